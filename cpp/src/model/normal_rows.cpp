#include "model/normal_rows.h"

#include <cmath>
#include <cstddef>

namespace ttsrt::model {
namespace {

constexpr double kTwoPi = 6.28318530717958647693;

// In (0, 1), from the 32 bits of a word.
double inside(std::uint32_t word) { return (static_cast<double>(word) + 0.5) / 4294967296.0; }

}  // namespace

std::vector<float> normal_rows(rules::DrawKind kind, std::uint64_t seed, std::int32_t first_row,
                               std::int32_t rows, std::int32_t width) {
  std::vector<float> values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
  for (std::int32_t row = 0; row < rows; ++row) {
    float* out = values.data() + std::int64_t{row} * width;
    for (std::int32_t column = 0; column < width; column += 4) {
      std::uint32_t words[4] = {static_cast<std::uint32_t>(first_row + row),
                                static_cast<std::uint32_t>(column), 0,
                                static_cast<std::uint32_t>(kind)};
      rules::philox4x32(seed, words);
      for (std::int32_t i = 0; i < 4 && column + i < width; ++i) {
        const std::int32_t pair = i / 2 * 2;
        const double radius = std::sqrt(-2.0 * std::log(inside(words[pair])));
        const double angle = kTwoPi * inside(words[pair + 1]);
        out[column + i] =
            static_cast<float>(radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
      }
    }
  }
  return values;
}

}  // namespace ttsrt::model
