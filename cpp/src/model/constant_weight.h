// Weights that are computed and stand in no engine.
#pragma once

#include <string>
#include <vector>

#include "ops/program.h"

namespace ttsrt::model {

// Stores values in the layout and with the shape of `weight`, float32, for as long as the Program
// lives. Returns the weight with its place.
ops::Weight keep_constant(ops::Program& program, const std::string& name,
                          const std::vector<float>& values, ops::Weight weight);

}  // namespace ttsrt::model
