// The ops at the end of a vocoder: PolarSpectrum, OverlapAdd, EmitRows.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"

namespace ttsrt::ops::reference {

void run(const PolarSpectrum& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const std::int64_t bins = width / 2;
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, width);
  for (std::int64_t r = 0; r < at.batch.rows; ++r) {
    const float* row = x + r * width;
    for (std::int64_t k = 0; k < bins; ++k) {
      const double logarithm = std::isfinite(row[k]) ? row[k] : NAN;
      const double exact = std::exp(logarithm);
      const double magnitude = exact > op.most ? op.most : exact;
      out[r * width + k] =
          static_cast<float>(magnitude * std::cos(static_cast<double>(row[bins + k])));
      out[r * width + bins + k] =
          static_cast<float>(magnitude * std::sin(static_cast<double>(row[bins + k])));
    }
  }
}

void run(const OverlapAdd& op, Run& at) {
  const std::int64_t samples = at.width_of(op.x);
  const std::int64_t hop = at.width_of(op.out);
  const float* x = at.rows(op.x, samples);
  float* out = at.rows(op.out, hop);
  const float* window = vector_values(op.window, samples);
  for (const step::Segment& segment : at.batch.segments) {
    const float* frames = x + segment.first_row * samples;
    for (std::int64_t at_sample = 0; at_sample < segment.rows * hop; ++at_sample) {
      const std::int64_t place = op.trim + at_sample;
      double sum = 0.0;
      double squares = 0.0;
      for (std::int64_t f = std::max<std::int64_t>(0, (place - samples) / hop);
           f < segment.rows && f * hop <= place; ++f) {
        const std::int64_t in_frame = place - f * hop;
        if (in_frame >= samples) continue;
        sum += frames[f * samples + in_frame];
        squares += static_cast<double>(window[in_frame]) * window[in_frame];
      }
      out[segment.first_row * hop + at_sample] =
          static_cast<float>(squares > 0.0 ? sum / squares : 0.0);
    }
  }
}

void run(const EmitRows& op, Run& at) {
  const std::int64_t width = at.activation_of(op.x).values();
  const float* x = at.values(op.x);
  TTSRT_CHECK(InternalError, at.emitted != nullptr, at.program.name, ": rows that nobody takes");
  if (!at.batch.returns_rows) return;
  at.emitted->width = width;
  at.emitted->values.assign(x, x + at.batch.rows * width);
}

}  // namespace ttsrt::ops::reference
