// Which tensors an engine holds, in which layout, and which checkpoint tensor each comes from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/quantize.h"
#include "ops/weight.h"

namespace ttsrt::model {

struct PackItem {
  std::string component;  // "decoder", ...
  ops::Weight weight;     // name, dtype, layout, logical shape, quantization
  std::string source;     // name in the checkpoint
  std::vector<std::int64_t> source_shape;
  std::int64_t first_row = 0;  // rows taken from the source seen as [*, cols], from this one on
  std::int32_t kernel =
      1;  // > 1: the source is [rows, cols / kernel, kernel] and the taps come first
};

// `dtype`: of tables, and of matrices that aren't quantized. `voice_rows`: rows of the stored
// voices' longest.
std::vector<PackItem> plan_engine(const ModelConfig& config, DType dtype,
                                  const QuantizationPlan& quantization, std::int32_t voice_rows);

}  // namespace ttsrt::model
