#include "model/s3gen/schedule.h"

#include <cmath>

namespace ttsrt::model::s3gen {

std::vector<float> time_grid(std::int32_t steps, bool is_cosine) {
  constexpr float kPi = 3.14159265358979323846F;
  std::vector<float> times;
  for (std::int32_t i = 0; i <= steps; ++i) {
    const auto even = static_cast<float>(static_cast<double>(i) / steps);
    const float angle = even * 0.5F * kPi;
    const auto cosine = static_cast<float>(std::cos(static_cast<double>(angle)));
    times.push_back(is_cosine ? 1.0F - cosine : even);
  }
  return times;
}

std::vector<step::Evaluation> evaluations_of(const std::vector<float>& times) {
  std::vector<step::Evaluation> evaluations;
  for (std::size_t i = 0; i + 1 < times.size(); ++i)
    evaluations.push_back({times[i + 1] - times[i], true});
  return evaluations;
}

void add_time_features(float time, std::int32_t width, std::vector<float>& features) {
  const std::int32_t half = width / 2;
  const auto factor = static_cast<float>(std::log(10000.0) / (half - 1));
  const std::size_t first = features.size();
  features.resize(first + static_cast<std::size_t>(width));
  for (std::int32_t k = 0; k < half; ++k) {
    const float exponent = static_cast<float>(k) * -factor;
    const auto frequency = static_cast<float>(std::exp(static_cast<double>(exponent)));
    const auto angle = static_cast<double>(1000.0F * time * frequency);
    float* at = features.data() + first + k;
    at[0] = static_cast<float>(std::sin(angle));
    at[half] = static_cast<float>(std::cos(angle));
  }
}

}  // namespace ttsrt::model::s3gen
