// When the network is evaluated, and how far the state goes then: pure numbers, computed in
// float64.
#pragma once

#include <cstdint>
#include <vector>

#include "step/itinerary.h"

namespace ttsrt::model::f5 {

constexpr std::int32_t kMaxEvaluations = 128;  // of one request
constexpr double kMaxStrength = 100.0;
constexpr double kMinSway = -1.0;
constexpr double kMaxSway = 1.7519383938841716;  // 2 / (pi - 2): above it, times would go back

struct ScheduleOptions {
  std::int32_t steps = 32;
  double sway = -1.0;  // t becomes t + sway * (cos(pi t / 2) - 1 + t)
  bool use_epss = true;
  bool is_midpoint = false;
};

// The ends of the steps, from 0 to 1 [steps + 1]. With EPSS (arXiv 2505.19931), 5, 6, 7, 10, 12 and
// 16 steps are chosen out of 32 even ones.
std::vector<double> time_grid(const ScheduleOptions& options);

// What a request's evaluations are.
struct Schedule {
  std::vector<float> times;                   // of each evaluation
  std::vector<step::Evaluation> evaluations;  // as many
};
Schedule make_schedule(const ScheduleOptions& options);

// The features of times [times, kTimeWidth]: the sines of 1000 t f_k, then their cosines.
std::vector<float> time_features(const std::vector<float>& times);

}  // namespace ttsrt::model::f5
