#include "ops/reference/attention.h"

#include <algorithm>
#include <cmath>

namespace ttsrt::ops::reference {

std::vector<double> attention_probabilities(const HeadShape& shape, std::int32_t head,
                                            const float* q, const Seen& seen, std::int64_t count) {
  const std::int64_t begin = std::int64_t{head} * shape.head_dim;
  const std::int64_t kv_begin = shape.kv_begin(head);
  std::vector<double> scores(static_cast<std::size_t>(count));
  for (std::size_t j = 0; j < scores.size(); ++j) {
    for (std::int64_t d = 0; d < shape.head_dim; ++d)
      scores[j] += static_cast<double>(q[begin + d]) * seen.keys[j][kv_begin + d];
    if (shape.scale > 0.0F) {
      scores[j] *= shape.scale;
    } else {
      scores[j] /= std::sqrt(static_cast<double>(shape.head_dim));
    }
    // Where others compute in float32, a score beyond its range is infinite.
    if (!std::isfinite(static_cast<float>(scores[j]))) scores[j] = NAN;
  }
  if (scores.empty()) return scores;
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double& score : scores) {
    score = std::exp(score - largest);
    sum += score;
  }
  for (double& score : scores) score /= sum;
  return scores;
}

void mix_values(const HeadShape& shape, std::int32_t head, const std::vector<double>& probabilities,
                const Seen& seen, float* out) {
  const std::int64_t begin = std::int64_t{head} * shape.head_dim;
  const std::int64_t kv_begin = shape.kv_begin(head);
  for (std::int64_t d = 0; d < shape.head_dim; ++d) {
    double sum = 0.0;
    for (std::size_t j = 0; j < probabilities.size(); ++j)
      sum += probabilities[j] * seen.values[j][kv_begin + d];
    out[begin + d] = static_cast<float>(sum);
  }
}

void attend(const HeadShape& shape, const float* q, const Seen& seen, std::int64_t count,
            float* out) {
  for (std::int32_t head = 0; head < shape.heads; ++head) {
    mix_values(shape, head, attention_probabilities(shape, head, q, seen, count), seen, out);
  }
}

}  // namespace ttsrt::ops::reference
