// Plain products of quantized weights: the same integers as in any backend, with sums in double.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/weight.h"

namespace ttsrt::ops::reference {

// Returns x [rows, K] W^T as [rows, N].
std::vector<double> quantized_product(const Weight& weight, const float* x, std::int64_t rows);

}  // namespace ttsrt::ops::reference
