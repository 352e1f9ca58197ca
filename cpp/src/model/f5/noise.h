// Where an integration begins: normal numbers that depend on the seed and on their place alone.
#pragma once

#include <cstdint>
#include <vector>

namespace ttsrt::model::f5 {

// [rows, width] of mean 0 and variance 1, by Box and Muller's method from Philox.
std::vector<float> normal_rows(std::uint64_t seed, std::int32_t rows, std::int32_t width);

}  // namespace ttsrt::model::f5
