// Which tensors an engine holds, in which layout, and which checkpoint tensor each comes from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/manifest.h"
#include "model/quantize.h"
#include "ops/weight.h"

namespace ttsrt::model {

struct PackItem {
  TensorSpec source;           // in the checkpoint
  ops::Weight weight;          // name, dtype, layout, logical shape, quantization
  std::int64_t first_row = 0;  // rows taken from the source seen as [*, cols], from this one on
  std::int64_t taps = 1;       // > 1: the source is [rows, cols / taps, taps]; taps come first
};

// Of a manifest whose sizes are filled in. `dtype`: of tables, and of matrices that aren't
// quantized.
std::vector<PackItem> plan_engine(const Manifest& manifest, DType dtype,
                                  const QuantizationPlan& quantization);

}  // namespace ttsrt::model
