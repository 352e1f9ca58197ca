// When the estimator is evaluated, and how far the state goes then. The original computes times in
// float32, and sines of a thousand times of them make the rounding visible: so does this.
#pragma once

#include <cstdint>
#include <vector>

#include "step/itinerary.h"

namespace ttsrt::model::s3gen {

// The ends of the steps, from 0 to 1 [steps + 1]: even ones, or 1 - cos(pi / 2 * them).
std::vector<float> time_grid(std::int32_t steps, bool is_cosine);

// A step between each two times that follow each other.
std::vector<step::Evaluation> evaluations_of(const std::vector<float>& times);

// Appends the features of a time [width]: the sines of 1000 t f_k, then their cosines.
void add_time_features(float time, std::int32_t width, std::vector<float>& features);

}  // namespace ttsrt::model::s3gen
