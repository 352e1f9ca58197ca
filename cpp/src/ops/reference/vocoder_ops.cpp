// The ops of vocoders: HarmonicSource at their beginning, PolarSpectrum, OverlapAdd, FadeIn and
// EmitRows at their end.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "rules/cycle.h"

namespace ttsrt::ops::reference {
namespace {

constexpr double kTwoPi = 6.28318530717958647693;

// What a HarmonicSource makes of one row.
struct SourceRow {
  const HarmonicSource& op;
  const float* weight;
  std::int64_t harmonics;
  std::int64_t hop;
  double norm;  // of the weights

  void fill(float pitch, const rules::Cycle& begin, const float* noise, float* out) const {
    const double hz = std::fabs(static_cast<double>(pitch));
    const bool is_voiced = hz > static_cast<double>(op.least_hz);
    const double amplitude =
        norm * static_cast<double>(is_voiced ? op.voiced_noise : op.unvoiced_noise);
    const float* phases = noise + hop;
    for (std::int64_t s = 0; s < hop; ++s) {
      const double cycles = rules::cycles_of(begin) +
                            hz * static_cast<double>(s + 1) / static_cast<double>(op.sample_rate);
      double sum = amplitude * static_cast<double>(noise[s]) +
                   static_cast<double>(vector_values(op.bias, 1)[0]);
      for (std::int64_t h = 0; h < harmonics && is_voiced; ++h) {
        const double turns = static_cast<double>(h + 1) * cycles;
        const double angle = kTwoPi * (turns - std::floor(turns)) + static_cast<double>(phases[h]);
        sum += static_cast<double>(weight[h] * op.sine) * std::sin(angle);
      }
      out[s] = static_cast<float>(std::tanh(sum));
    }
  }
};

// What the slot keeps of a row, or null where it keeps nothing.
float* kept_cycle(const HarmonicSource& op, const step::Segment& segment, std::int32_t position,
                  Run& at) {
  if (segment.slot == step::kNoSlot) return nullptr;
  return at.state.array_row(at.state.slot(segment.slot), op.cycles, segment.branch, position);
}

// Where the pitch is in front of a row of the item.
rules::Cycle cycle_before(const HarmonicSource& op, const step::Segment& segment,
                          std::int32_t position, Run& at) {
  const float* kept = position == 0 ? nullptr : kept_cycle(op, segment, position - 1, at);
  return kept == nullptr ? rules::Cycle{} : rules::Cycle{kept[0], kept[1]};
}

}  // namespace

void run(const PolarSpectrum& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const std::int64_t width = shape.width;
  const std::int64_t bins = width / 2;
  const float* x = at.values(op.x);
  float* out = at.values(op.out);
  for (std::int64_t r = 0; r < std::int64_t{at.batch.rows} * shape.rate; ++r) {
    const float* row = x + r * width;
    for (std::int64_t k = 0; k < bins; ++k) {
      const double logarithm = std::isfinite(row[k]) ? row[k] : NAN;
      const double exact = std::exp(logarithm);
      const double magnitude = exact > op.most ? op.most : exact;
      const double given = row[bins + k];
      const double phase = op.has_sine ? std::sin(given) : given;
      out[r * width + k] = static_cast<float>(magnitude * std::cos(phase));
      out[r * width + bins + k] = static_cast<float>(magnitude * std::sin(phase));
    }
  }
}

void run(const OverlapAdd& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const std::int64_t samples = shape.width;
  const std::int64_t hop = at.activation_of(op.out).width;
  const float* x = at.values(op.x);
  float* out = at.values(op.out);
  const float* window = vector_values(op.window, samples);
  for (const step::Segment& segment : at.batch.segments) {
    const std::int64_t first = std::int64_t{segment.first_row} * shape.rate;
    const std::int64_t rows = std::int64_t{segment.rows} * shape.rate;
    const float* frames = x + first * samples;
    for (std::int64_t at_sample = 0; at_sample < rows * hop; ++at_sample) {
      const std::int64_t place = op.trim + at_sample;
      double sum = 0.0;
      double squares = 0.0;
      for (std::int64_t f = std::max<std::int64_t>(0, (place - samples) / hop);
           f < rows - shape.beyond && f * hop <= place; ++f) {
        const std::int64_t in_frame = place - f * hop;
        if (in_frame >= samples) continue;
        sum += frames[f * samples + in_frame];
        squares += static_cast<double>(window[in_frame]) * window[in_frame];
      }
      out[first * hop + at_sample] = static_cast<float>(squares > 0.0 ? sum / squares : 0.0);
    }
  }
}

void run(const HarmonicSource& op, Run& at) {
  const std::int64_t hop = at.width_of(op.out);
  const std::int64_t harmonics = op.weight.rows * op.weight.cols;
  const float* weight = vector_values(op.weight, harmonics);
  double norm = 0.0;
  for (std::int64_t h = 0; h < harmonics; ++h) norm += static_cast<double>(weight[h]) * weight[h];
  const SourceRow row = {op, weight, harmonics, hop, std::sqrt(norm)};
  const std::int32_t beyond = at.activation_of(op.pitch).beyond;
  for (const step::Segment& segment : at.batch.segments) {
    const std::int32_t first = segment.position == 0 ? 0 : op.halo;
    rules::Cycle begin = cycle_before(op, segment, segment.position + first, at);
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const std::int64_t r = segment.first_row + i;
      float* out = at.rows(op.out, hop) + r * hop;
      std::fill(out, out + hop, 0.0F);
      if (i < first || i >= segment.rows - beyond) continue;
      const float hz = at.rows(op.pitch, 1)[r];
      row.fill(hz, begin, at.rows(op.noise, hop + harmonics) + r * (hop + harmonics), out);
      begin = rules::cycle_behind(begin, hz, static_cast<double>(hop),
                                  static_cast<double>(op.sample_rate));
      float* kept = kept_cycle(op, segment, segment.position + i, at);
      if (kept == nullptr) continue;
      kept[0] = begin.high;
      kept[1] = begin.low;
      at.check_finite(static_cast<std::int32_t>(r), kept, 2);
    }
  }
}

void run(const FadeIn& op, Run& at) {
  const std::int64_t values = at.activation_of(op.x).values();
  const std::int64_t count = op.factors.rows * op.factors.cols;
  const float* factors = vector_values(op.factors, count);
  for (const step::Segment& segment : at.batch.segments) {
    float* x = at.values(op.x) + segment.first_row * values;
    const std::int64_t first = segment.position * values;  // of the item
    for (std::int64_t i = 0; i < segment.rows * values && first + i < count; ++i)
      x[i] *= factors[first + i];
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
