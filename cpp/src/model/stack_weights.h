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

// The cross-attention of each layer of a stack of width `dim`. Checkpoints have it in all layers;
// it is unused in those that see nothing.
void declare_cross(Manifest& manifest, const std::string& stack, const CrossConfig& config,
                   std::int32_t dim);
// One layer's.
CrossWeights load_cross(const Weights& weights, const std::string& stack, std::int32_t layer,
                        const CrossConfig& config);

}  // namespace ttsrt::model
