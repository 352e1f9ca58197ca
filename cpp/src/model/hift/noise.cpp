#include "model/hift/noise.h"

#include <algorithm>

#include "model/normal_rows.h"
#include "rules/philox.h"

namespace ttsrt::model::hift {
namespace {

constexpr float kTwoPi = 6.28318530717958647693F;

// Uniform between -pi and pi.
std::vector<float> phases_of(std::int32_t harmonics, std::uint64_t seed) {
  std::vector<float> phases(static_cast<std::size_t>(harmonics), 0.0F);
  for (std::int32_t h = 1; h < harmonics; ++h)
    phases[static_cast<std::size_t>(h)] =
        kTwoPi * (rules::uniform(seed, h, 0, 0, rules::DrawKind::source_phase) - 0.5F);
  return phases;
}

}  // namespace

std::vector<float> noise_rows(const Config& config, std::uint64_t seed, std::int32_t first,
                              std::int32_t rows) {
  const std::vector<float> noise =
      normal_rows(rules::DrawKind::source_noise, seed, first, rows, config.samples());
  const std::vector<float> phases = phases_of(config.harmonics, seed);
  const auto width = static_cast<std::size_t>(config.noise_width());
  const auto samples = static_cast<std::size_t>(config.samples());
  std::vector<float> made(static_cast<std::size_t>(rows) * width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    std::copy_n(noise.data() + row * samples, samples, made.data() + row * width);
    std::copy(phases.begin(), phases.end(), made.data() + row * width + samples);
  }
  return made;
}

}  // namespace ttsrt::model::hift
