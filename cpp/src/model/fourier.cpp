#include "model/fourier.h"

#include <cmath>
#include <cstddef>

namespace ttsrt::model {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

std::vector<float> hann(std::int32_t samples) {
  std::vector<float> window(static_cast<std::size_t>(samples));
  for (std::size_t n = 0; n < window.size(); ++n)
    window[n] =
        static_cast<float>(0.5 - 0.5 * std::cos(2.0 * kPi * static_cast<double>(n) / samples));
  return window;
}

std::vector<float> fourier_transform(std::int32_t samples, const std::vector<float>& window) {
  const std::int32_t bins = samples / 2 + 1;
  std::vector<float> matrix(static_cast<std::size_t>(2 * bins) * static_cast<std::size_t>(samples));
  for (std::int32_t k = 0; k < bins; ++k) {
    for (std::int32_t n = 0; n < samples; ++n) {
      const double angle = 2.0 * kPi * (std::int64_t{k} * n % samples) / samples;
      const double factor = static_cast<double>(window[static_cast<std::size_t>(n)]);
      matrix[static_cast<std::size_t>(k * samples + n)] =
          static_cast<float>(factor * std::cos(angle));
      matrix[static_cast<std::size_t>((bins + k) * samples + n)] =
          static_cast<float>(-factor * std::sin(angle));
    }
  }
  return matrix;
}

std::vector<float> inverse_transform(std::int32_t samples, const std::vector<float>& window) {
  const std::int32_t bins = samples / 2 + 1;
  const std::int64_t width = std::int64_t{2} * bins;
  std::vector<double> circle(static_cast<std::size_t>(samples));  // cosines of whole steps
  for (std::int32_t i = 0; i < samples; ++i)
    circle[static_cast<std::size_t>(i)] = std::cos(2.0 * kPi * i / samples);
  std::vector<float> matrix(static_cast<std::size_t>(samples * width));
  for (std::int64_t n = 0; n < samples; ++n) {
    float* row = matrix.data() + n * width;
    const double scale = static_cast<double>(window[static_cast<std::size_t>(n)]) / samples;
    for (std::int64_t k = 0; k < bins; ++k) {
      const bool is_edge = k == 0 || k + 1 == bins;  // whose imaginary parts are ignored
      const auto angle = static_cast<std::size_t>(k * n % samples);
      const auto quarter = (angle + static_cast<std::size_t>(3 * samples / 4)) %
                           static_cast<std::size_t>(samples);  // cos(x - 90 degrees) = sin x
      row[k] = static_cast<float>((is_edge ? 1.0 : 2.0) * scale * circle[angle]);
      row[bins + k] = is_edge ? 0.0F : static_cast<float>(-2.0 * scale * circle[quarter]);
    }
  }
  return matrix;
}

}  // namespace ttsrt::model
