// The ops of a text in front of whole items: ClearFiller, StretchText, DepthwiseConv, ResponseNorm.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "rules/stretch.h"

namespace ttsrt::ops::reference {

void run(const ClearFiller& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  float* x = at.rows(op.x, width);
  for (const step::Segment& segment : at.batch.segments) {
    if (segment.slot == step::kNoSlot) continue;
    const std::int32_t text_len = at.state.slot(segment.slot).rules.text_len;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      float* row = x + (segment.first_row + i) * width;
      if (segment.position + i >= text_len) std::fill(row, row + width, 0.0F);
    }
  }
}

void run(const StretchText& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    const std::int32_t text_len =
        segment.slot == step::kNoSlot ? 1 : at.state.slot(segment.slot).rules.text_len;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const float* from =
          x + (segment.first_row + rules::stretched_from(i, segment.rows, text_len)) * width;
      std::copy(from, from + width, out + (segment.first_row + i) * width);
    }
  }
}

void run(const DepthwiseConv& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  const std::int64_t kernel = op.weight.rows;
  const float* weight = vector_values(op.weight, kernel * width);
  const float* bias = vector_values(op.bias, width);
  for (const step::Segment& segment : at.batch.segments) {
    const float* first = x + segment.first_row * width;
    for (std::int64_t i = 0; i < segment.rows; ++i) {
      for (std::int64_t c = 0; c < width; ++c) {
        double sum = bias[c];
        for (std::int64_t tap = 0; tap < kernel; ++tap) {
          const std::int64_t from = i + tap - kernel / 2;
          if (from < 0 || from >= segment.rows) continue;
          sum += static_cast<double>(first[from * width + c]) * weight[tap * width + c];
        }
        out[(segment.first_row + i) * width + c] = static_cast<float>(sum);
      }
    }
  }
}

void run(const ResponseNorm& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  float* x = at.rows(op.x, width);
  float* sums = at.rows(op.sums, width);
  const float* gamma = vector_values(op.gamma, width);
  const float* beta = vector_values(op.beta, width);
  for (const step::Segment& segment : at.batch.segments) {
    float* first = x + segment.first_row * width;
    float* norms = sums + segment.first_row * width;
    double mean = 0.0;
    for (std::int64_t c = 0; c < width; ++c) {
      double squares = 0.0;
      for (std::int64_t i = 0; i < segment.rows; ++i)
        squares += static_cast<double>(first[i * width + c]) * first[i * width + c];
      norms[c] = static_cast<float>(std::sqrt(squares));
      mean += std::sqrt(squares) / static_cast<double>(width);
    }
    for (std::int64_t i = 0; i < segment.rows; ++i) {
      for (std::int64_t c = 0; c < width; ++c) {
        float& value = first[i * width + c];
        const double scaled = value * (norms[c] / (mean + op.epsilon));
        value = static_cast<float>(gamma[c] * scaled + beta[c] + value);
      }
    }
  }
}

}  // namespace ttsrt::ops::reference
