// Log-mel spectrograms, in float64: one for each frame, a window of the mirrored wave, its
// transform, and the weighted sums of its magnitudes.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/check.h"
#include "core/fft.h"
#include "ttsrt/audio.h"

namespace ttsrt {
namespace {

constexpr double kFloor = 1e-5;
constexpr std::int32_t kMaxWindow = 1 << 16;
constexpr std::int64_t kMaxSamples = std::int64_t{1} << 28;

// Slaney's scale: linear below 1 kHz, logarithmic above.
constexpr double kBreak = 1000.0;
constexpr double kBreakMel = 15.0;
constexpr double kHertzPerMel = 200.0 / 3.0;
double log_step() { return std::log(6.4) / 27.0; }

double mel_of(MelKind kind, double hertz) {
  if (kind == MelKind::vocos) return 2595.0 * std::log10(1.0 + hertz / 700.0);
  return hertz < kBreak ? hertz / kHertzPerMel : kBreakMel + std::log(hertz / kBreak) / log_step();
}

double hertz_of(MelKind kind, double mel) {
  if (kind == MelKind::vocos) return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0);
  return mel < kBreakMel ? mel * kHertzPerMel : kBreak * std::exp((mel - kBreakMel) * log_step());
}

// A triangle over neighbouring bins.
struct Band {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<Band> make_bands(const MelOptions& options) {
  const std::size_t bins = static_cast<std::size_t>(options.window) / 2 + 1;
  const double top = options.sample_rate / 2.0;
  const double top_mel = mel_of(options.kind, top);
  std::vector<double> edges;
  edges.reserve(static_cast<std::size_t>(options.bands) + 2);
  for (std::int32_t i = 0; i < options.bands + 2; ++i) {
    edges.push_back(hertz_of(options.kind, top_mel * i / (options.bands + 1)));
  }
  std::vector<Band> bands;
  for (std::size_t j = 0; j + 2 < edges.size(); ++j) {
    const double left = edges[j], middle = edges[j + 1], right = edges[j + 2];
    const double height = options.kind == MelKind::vocos ? 1.0 : 2.0 / (right - left);
    Band band;
    for (std::size_t k = 0; k < bins; ++k) {
      const double hertz = top * static_cast<double>(k) / static_cast<double>(bins - 1);
      const double up = (hertz - left) / (middle - left), down = (right - hertz) / (right - middle);
      const double weight = std::max(0.0, std::min(up, down));
      if (weight > 0.0 && band.weights.empty()) band.first = k;
      if (weight > 0.0) band.weights.push_back(weight * height);
    }
    bands.push_back(std::move(band));
  }
  return bands;
}

void check_options(const MelOptions& options) {
  const auto window = static_cast<std::uint32_t>(options.window);
  TTSRT_CHECK(ConfigError,
              options.window >= 16 && options.window <= kMaxWindow && std::has_single_bit(window),
              "mel: window: expected a power of two from 16 to ", kMaxWindow, ", got ",
              options.window);
  TTSRT_CHECK(ConfigError, options.hop >= 1 && options.hop <= options.window,
              "mel: hop: expected 1 to ", options.window, ", got ", options.hop);
  TTSRT_CHECK(ConfigError, options.bands >= 1 && options.bands <= options.window / 2,
              "mel: bands: expected 1 to ", options.window / 2, ", got ", options.bands);
  TTSRT_CHECK(ConfigError, options.sample_rate >= 1000 && options.sample_rate <= 768000,
              "mel: sample_rate: expected 1000 to 768000, got ", options.sample_rate);
}

std::vector<double> hann(std::int32_t size) {
  std::vector<double> window(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < window.size(); ++i) {
    window[i] = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(i) / size);
  }
  return window;
}

// The sample at `at`, which may lie up to `count - 1` outside: the ends are mirrored.
double mirrored(const float* samples, std::int64_t count, std::int64_t at) {
  if (at < 0) at = -at;
  if (at >= count) at = 2 * (count - 1) - at;
  return samples[at];
}

}  // namespace

MelKind mel_kind_from_name(const std::string& name) {
  if (name == "vocos") return MelKind::vocos;
  TTSRT_CHECK(ConfigError, name == "bigvgan", "mel: kind: expected vocos or bigvgan, got ",
              name.substr(0, 100));
  return MelKind::bigvgan;
}

Matrix<float> log_mel(const float* samples, std::int64_t count, const MelOptions& options) {
  check_options(options);
  const bool is_vocos = options.kind == MelKind::vocos;
  const std::int64_t padding = (is_vocos ? options.window : options.window - options.hop) / 2;
  TTSRT_CHECK(ConfigError, count > padding && count <= kMaxSamples, "mel: expected ", padding + 1,
              " to ", kMaxSamples, " samples, got ", count);
  for (std::int64_t i = 0; i < count; ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(samples[i]), "mel: expected finite samples, got ",
                samples[i], " at ", i);
  }
  const std::int64_t frames = (count + 2 * padding - options.window) / options.hop + 1;
  TTSRT_CHECK(ConfigError, count + 2 * padding >= options.window, "mel: expected at least ",
              options.window - 2 * padding, " samples, got ", count);
  const std::vector<Band> bands = make_bands(options);
  const std::vector<double> window = hann(options.window);
  RealFft fft(window.size());
  std::vector<double> frame(window.size()), magnitudes(window.size() / 2 + 1);
  Matrix<float> mel;
  mel.rows = frames;
  mel.cols = options.bands;
  mel.values.resize(static_cast<std::size_t>(frames) * bands.size());
  for (std::int64_t i = 0; i < frames; ++i) {
    for (std::size_t n = 0; n < window.size(); ++n) {
      const std::int64_t at = i * options.hop + static_cast<std::int64_t>(n) - padding;
      frame[n] = window[n] * mirrored(samples, count, at);
    }
    const auto& bins = fft.forward(frame.data());
    for (std::size_t k = 0; k < bins.size(); ++k) {
      magnitudes[k] = is_vocos ? std::abs(bins[k]) : std::sqrt(std::norm(bins[k]) + 1e-9);
    }
    for (std::size_t j = 0; j < bands.size(); ++j) {
      double sum = 0.0;
      for (std::size_t k = 0; k < bands[j].weights.size(); ++k) {
        sum += bands[j].weights[k] * magnitudes[bands[j].first + k];
      }
      mel.row(i)[j] = static_cast<float>(std::log(std::max(sum, kFloor)));
    }
  }
  return mel;
}

}  // namespace ttsrt
