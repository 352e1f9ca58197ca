// Programs of one layer of a language model over given rows, for tools that make weights: the whole
// layer with what goes into each of its products, and its parts by themselves. Its formulas are
// those of model/block.h; buffers aren't shared, so that each value can be kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/rope.h"
#include "model/stack_weights.h"
#include "ops/program.h"

namespace ttsrt::model::llm {

// The parts of a layer (ttsrt/layer.h), in the order of their names.
enum class LayerPart : std::int32_t { layer, attention, feed_forward, both, self_out, ffn_out };

const std::vector<std::string>& layer_part_names();

// Values of a row that goes into a part.
std::int32_t width_of(LayerPart part, const StackConfig& config);

// Its rows are given vectors; its taps are what ttsrt/layer.h names. Keys and values go to layer 0
// of the paged cache.
ops::Program write_layer_part(LayerPart part, const StackConfig& config,
                              const LayerWeights& weights, const RopeTable& rope);

}  // namespace ttsrt::model::llm
