// The tensors of a stack of transformer layers: declared to a manifest and found among an engine's
// weights by one list of names and shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/manifest.h"
#include "model/weights.h"
#include "ops/weight.h"

namespace ttsrt::model {

struct LayerWeights {
  ops::Weight self_norm, self_qkv, self_out, ffn_norm, ffn_in, ffn_out;
};

struct StackWeights {
  ops::Weight positions;  // [max_positions, dim]
  std::vector<LayerWeights> layers;
  ops::Weight norm_out;  // may be absent
};

struct CrossWeights {
  ops::Weight query_norm, memory_norm, q, kv, out;
};

// `name`: "decoder", ...
void declare_stack(Manifest& manifest, const std::string& name, const StackConfig& config);
StackWeights load_stack(const Weights& weights, const std::string& name, const StackConfig& config);

// One layer's cross-attention, in a stack of width `dim`.
void declare_cross(Manifest& manifest, const std::string& stack, std::int32_t layer,
                   const CrossConfig& config, std::int32_t dim);
CrossWeights load_cross(const Weights& weights, const std::string& stack, std::int32_t layer,
                        const CrossConfig& config);

}  // namespace ttsrt::model
