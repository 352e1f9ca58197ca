// Which tensors an engine holds, in which layout, and which checkpoint tensor each comes from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "ops/weight.h"

namespace ttsrt::model {

struct PackItem {
  std::string component;  // "decoder", ...
  ops::Weight weight;     // name, dtype, layout, logical shape
  std::string source;     // name in the checkpoint
  std::vector<std::int64_t> source_shape;
  std::int64_t first_row = 0;  // rows taken from the source seen as [*, cols], from this one on
  std::int32_t kernel =
      1;  // > 1: the source is [rows, cols / kernel, kernel] and the taps come first
};

// `voice_rows`: rows of the stored voices' longest.
std::vector<PackItem> plan_engine(const ModelConfig& config, DType dtype, std::int32_t voice_rows);

}  // namespace ttsrt::model
