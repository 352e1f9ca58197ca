// Whether an executor could serve what is built from a checkpoint.
#pragma once

#include <memory>
#include <string>

#include "model/family.h"
#include "model/limits.h"
#include "model/weights.h"

namespace ttsrt::model {

// How requests to a network with these limits become itineraries. Throws FormatError naming `where`
// for defaults that no request could be served with.
std::unique_ptr<Itineraries> itineraries_of(const Family& family, const Limits& limits,
                                            const Weights* weights, const std::string& where);

// Writes every Program that an executor would run and checks it against the state that it would
// have, without memory for either. Throws FormatError naming `where`.
void check_programs(const Family& family, const Weights& weights, const Limits& limits,
                    const std::string& where);

}  // namespace ttsrt::model
