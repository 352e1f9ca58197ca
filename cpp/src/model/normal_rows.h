// Normal numbers that depend on the seed, on their use and on their place alone.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/philox.h"

namespace ttsrt::model {

// Rows [first_row, first_row + rows) of `width` numbers of mean 0 and variance 1, by Box and
// Muller's method from Philox. Rows may have negative numbers.
std::vector<float> normal_rows(rules::DrawKind kind, std::uint64_t seed, std::int32_t first_row,
                               std::int32_t rows, std::int32_t width);

}  // namespace ttsrt::model
