// Products of quantized weights, plainly: the same whole numbers as any backend's, sums in double.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/weight.h"

namespace ttsrt::ops::reference {

// x [rows, K] W^T -> [rows, N].
std::vector<double> quantized_product(const Weight& weight, const float* x, std::int64_t rows);

}  // namespace ttsrt::ops::reference
