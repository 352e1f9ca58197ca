// The random numbers of a request's source.
#pragma once

#include <cstdint>
#include <vector>

#include "model/hift/config.h"

namespace ttsrt::model::hift {

// Of rows [first, first + rows) [rows, config.noise_width()]: the normal numbers of each row's
// samples, and behind them the phases of the harmonics in radians, the same in each row; that of
// the fundamental is 0. They depend on the seed, the number of the sample and that of the harmonic
// alone.
std::vector<float> noise_rows(const Config& config, std::uint64_t seed, std::int32_t first,
                              std::int32_t rows);

}  // namespace ttsrt::model::hift
