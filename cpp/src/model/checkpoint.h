// An opened checkpoint, and whether an executor could serve what is built from it.
#pragma once

#include <memory>
#include <string>

#include "core/json.h"
#include "core/safetensors.h"
#include "model/family.h"
#include "model/limits.h"
#include "model/manifest.h"
#include "model/weights.h"

namespace ttsrt::model {

struct Checkpoint {
  // Reads config.json and the header of model.safetensors, and compares the two. Throws
  // FormatError.
  explicit Checkpoint(const std::string& folder);

  std::string where;  // of config.json
  Json json;
  const JsonGuard json_guard{json};
  SafetensorsFile weights;
  std::unique_ptr<const Family> family;
  Manifest manifest;

 private:
  Checkpoint(const std::string& folder, const InputFile& config);
};

// How requests to a network with these limits become itineraries. Throws FormatError naming `where`
// for defaults that no request could be served with.
std::unique_ptr<Itineraries> itineraries_of(const Family& family, const Limits& limits,
                                            const Weights* weights, const std::string& where);

// Writes every Program that an executor would run and checks it against the state that it would
// have, without memory for either. Throws FormatError naming `where`.
void check_programs(const Family& family, const Weights& weights, const Limits& limits,
                    const std::string& where);

}  // namespace ttsrt::model
