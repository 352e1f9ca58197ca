// The tensors of a stack of transformer layers: declared to a manifest and found among an engine's
// weights by one list of names and shapes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/manifest.h"
#include "model/weights.h"
#include "ops/weight.h"

namespace ttsrt::model {

// Biases may be absent, and the second norm where attention and feed-forward share one.
struct LayerWeights {
  ops::Weight self_norm, self_norm_bias, self_qkv, self_qkv_bias, self_out, self_out_bias;
  ops::Weight ffn_norm, ffn_norm_bias, ffn_in, ffn_in_bias, ffn_out, ffn_out_bias;
};

struct StackWeights {
  ops::Weight positions;  // [max_positions, dim], may be absent
  std::vector<LayerWeights> layers;
  ops::Weight norm_out, norm_out_bias;  // may be absent
};

struct CrossWeights {
  ops::Weight query_norm, memory_norm, q, kv, out;
};

// `name`: "decoder", ...
void declare_stack(Manifest& manifest, const std::string& name, const StackConfig& config);
StackWeights load_stack(const Weights& weights, const std::string& name, const StackConfig& config);

// A layer's weights of these names inside it: "self_norm", ...
LayerWeights layer_of(const StackConfig& config,
                      const std::function<ops::Weight(const std::string& name)>& find);

// The cross-attention of each layer of a stack of width `dim`. Checkpoints have it in all layers;
// it is unused in those that see nothing.
void declare_cross(Manifest& manifest, const std::string& stack, const CrossConfig& config,
                   std::int32_t dim);
// One layer's.
CrossWeights load_cross(const Weights& weights, const std::string& stack, std::int32_t layer,
                        const CrossConfig& config);

}  // namespace ttsrt::model
