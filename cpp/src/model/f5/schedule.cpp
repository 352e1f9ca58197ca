#include "model/f5/schedule.h"

#include <cmath>
#include <utility>

#include "model/f5/config.h"

namespace ttsrt::model::f5 {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kPrunedFrom = 32.0;

// The steps that EPSS keeps, in 32nds, or none for a number of steps that it says nothing of.
std::vector<double> pruned(std::int32_t steps) {
  if (steps == 5) return {0, 2, 4, 8, 16, 32};
  if (steps == 6) return {0, 2, 4, 6, 8, 16, 32};
  if (steps == 7) return {0, 2, 4, 6, 8, 16, 24, 32};
  if (steps == 10) return {0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32};
  if (steps == 12) return {0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32};
  if (steps == 16) return {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32};
  return {};
}

}  // namespace

std::vector<double> time_grid(const ScheduleOptions& options) {
  std::vector<double> times;
  if (options.use_epss) {
    times = pruned(options.steps);
    for (double& time : times) time /= kPrunedFrom;
  }
  for (std::int32_t i = 0; times.size() <= static_cast<std::size_t>(options.steps); ++i)
    times.push_back(static_cast<double>(i) / options.steps);
  for (double& time : times) time += options.sway * (std::cos(0.5 * kPi * time) - 1.0 + time);
  return times;
}

Schedule make_schedule(const ScheduleOptions& options) {
  const std::vector<double> grid = time_grid(options);
  Schedule schedule;
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    const double step = grid[i + 1] - grid[i];
    if (options.is_midpoint) {
      schedule.times.push_back(static_cast<float>(grid[i]));
      schedule.evaluations.push_back({static_cast<float>(0.5 * step), false});
    }
    schedule.times.push_back(
        static_cast<float>(options.is_midpoint ? grid[i] + 0.5 * step : grid[i]));
    schedule.evaluations.push_back({static_cast<float>(step), true});
  }
  return schedule;
}

std::vector<float> time_features(const std::vector<float>& times) {
  constexpr std::int32_t kHalf = kTimeWidth / 2;
  std::vector<float> features(times.size() * static_cast<std::size_t>(kTimeWidth));
  for (std::size_t i = 0; i < times.size(); ++i) {
    float* row = features.data() + i * static_cast<std::size_t>(kTimeWidth);
    for (std::int32_t k = 0; k < kHalf; ++k) {
      const double frequency = std::exp(-k * std::log(10000.0) / (kHalf - 1));
      const double angle = 1000.0 * static_cast<double>(times[i]) * frequency;
      row[k] = static_cast<float>(std::sin(angle));
      row[kHalf + k] = static_cast<float>(std::cos(angle));
    }
  }
  return features;
}

}  // namespace ttsrt::model::f5
