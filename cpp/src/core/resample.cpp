// Changes the rate of samples by a windowed sinc. An output at phase p of the ratio's n phases is a
// sum over the inputs within six zero crossings, so only those taps are kept.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kMinRate = 1000;
constexpr std::int32_t kMaxRate = 768000;
constexpr std::int64_t kMaxSamples = std::int64_t{1} << 28;
constexpr double kCrossings = 6.0;
constexpr double kBand = 0.99;  // of the smaller rate's half

struct Phase {
  std::int64_t first = 0;  // of the inputs, relative to the start of the ratio's period
  std::vector<float> taps;
};

Phase make_phase(double from, double to, double phase) {
  const double base = kBand * std::min(from, to);
  const double centre = phase * from / to;
  const double reach = kCrossings * from / base;
  Phase made;
  made.first = static_cast<std::int64_t>(std::ceil(centre - reach));
  const auto last = static_cast<std::int64_t>(std::floor(centre + reach));
  for (std::int64_t j = made.first; j <= last; ++j) {
    const double at = (static_cast<double>(j) / from - phase / to) * base;
    const double angle = std::numbers::pi * at;
    const double sinc = at == 0.0 ? 1.0 : std::sin(angle) / angle;
    const double window = std::cos(angle / (2.0 * kCrossings));
    made.taps.push_back(static_cast<float>(base / from * sinc * window * window));
  }
  return made;
}

void check_rate(const char* name, std::int32_t rate) {
  TTSRT_CHECK(ConfigError, rate >= kMinRate && rate <= kMaxRate, "resample: ", name, ": expected ",
              kMinRate, " to ", kMaxRate, " samples per second, got ", rate);
}

}  // namespace

std::vector<float> resample(const float* samples, std::int64_t count, std::int32_t from,
                            std::int32_t to) {
  check_rate("from", from);
  check_rate("to", to);
  TTSRT_CHECK(ConfigError, count >= 0 && count <= kMaxSamples, "resample: expected at most ",
              kMaxSamples, " samples, got ", count);
  if (from == to) return {samples, samples + count};
  const std::int64_t divisor = std::gcd(from, to);
  const std::int64_t period = from / divisor, phases = to / divisor;
  const std::int64_t made = (count * phases + period - 1) / period;
  TTSRT_CHECK(ConfigError, made <= kMaxSamples, "resample: expected a result of at most ",
              kMaxSamples, " samples, got ", made);
  std::vector<Phase> kernel(static_cast<std::size_t>(std::min(phases, made)));
  for (std::size_t p = 0; p < kernel.size(); ++p) {
    kernel[p] = make_phase(static_cast<double>(period), static_cast<double>(phases),
                           static_cast<double>(p));
  }
  std::vector<float> result(static_cast<std::size_t>(made));
  for (std::int64_t i = 0; i < made; ++i) {
    const Phase& phase = kernel[static_cast<std::size_t>(i % phases)];
    const std::int64_t first = i / phases * period + phase.first;
    const auto taps = static_cast<std::int64_t>(phase.taps.size());
    double sum = 0.0;
    for (std::int64_t j = std::max<std::int64_t>(0, -first); j < taps && first + j < count; ++j) {
      sum += static_cast<double>(phase.taps[static_cast<std::size_t>(j)]) * samples[first + j];
    }
    result[static_cast<std::size_t>(i)] = static_cast<float>(sum);
  }
  return result;
}

}  // namespace ttsrt
