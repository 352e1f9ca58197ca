#include "cpu/stages/source_stages.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "cpu/stages/row_stages.h"
#include "rules/cycle.h"

namespace ttsrt::cpu {
namespace {

constexpr double kTwoPi = 6.28318530717958647693;

// What the slot keeps of a row, or null where it keeps nothing.
float* kept_cycle(const Site& site, std::int32_t array, const step::Segment& segment,
                  std::int32_t position) {
  if (segment.slot == step::kNoSlot) return nullptr;
  return site.slots->array_row(array, segment.slot, segment.branch, position);
}

rules::Cycle cycle_before(const Site& site, std::int32_t array, const step::Segment& segment,
                          std::int32_t position) {
  const float* kept = position == 0 ? nullptr : kept_cycle(site, array, segment, position - 1);
  return kept == nullptr ? rules::Cycle{} : rules::Cycle{kept[0], kept[1]};
}

// What the pitch has behind each row. A thread has segments of its own.
class CyclesStage : public Stage {
 public:
  CyclesStage(const Site& site, const ops::HarmonicSource& op, const SourceRows& rows)
      : site_(site), op_(op), rows_(rows) {}

  std::string label() const override { return "cycles of the pitch"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    std::int32_t index = 0;
    for (const step::Segment& segment : site_.launch->batch->segments) {
      if (index++ % worker.num_threads == worker.thread) count(segment);
    }
  }

 private:
  void count(const step::Segment& segment) const {
    const std::int32_t first = rows_.first(segment, op_.halo);
    rules::Cycle cycle = cycle_before(site_, op_.cycles, segment, segment.position + first);
    for (std::int32_t i = first; i < rows_.last(segment); ++i) {
      const std::int32_t row = segment.first_row + i;
      cycle =
          rules::cycle_behind(cycle, *rows_.pitch.row(row), static_cast<double>(rows_.out.width),
                              static_cast<double>(op_.sample_rate));
      float* kept = kept_cycle(site_, op_.cycles, segment, segment.position + i);
      if (kept == nullptr) return;
      kept[0] = cycle.high;
      kept[1] = cycle.low;
      if (!std::isfinite(cycle.high)) site_.add_fault(row);
    }
  }

  Site site_;
  ops::HarmonicSource op_;
  SourceRows rows_;
};

// The samples of each row, which needs what the row in front of it has left.
class SourceStage : public Stage {
 public:
  SourceStage(const StageList& list, const ops::HarmonicSource& op, const SourceRows& rows)
      : site_(list.site),
        op_(op),
        rows_(rows),
        harmonics_(op.weight.rows * op.weight.cols),
        weight_(vector_of(op.weight, harmonics_)),
        bias_(vector_of(op.bias, 1)) {
    double squares = 0.0;
    for (std::int64_t h = 0; h < harmonics_ && list.has_weights; ++h)
      squares += static_cast<double>(weight_[h]) * static_cast<double>(weight_[h]);
    norm_ = static_cast<float>(std::sqrt(squares));
  }

  std::string label() const override { return message("source of ", harmonics_, " harmonics"); }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range mine = share_of(site_.launch->rows, worker);
    for (std::int64_t row = mine.begin; row < mine.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      const auto i = static_cast<std::int32_t>(row - segment.first_row);
      if (i >= rows_.first(segment, op_.halo) && i < rows_.last(segment)) {
        fill(row, cycle_before(site_, op_.cycles, segment, segment.position + i));
      } else {
        std::fill_n(rows_.out.row(row), rows_.out.width, 0.0F);
      }
    }
  }

 private:
  void fill(std::int64_t row, const rules::Cycle& begin) const {
    const std::int64_t hop = rows_.out.width;
    const float* noise = rows_.noise.row(row);
    const float* phases = noise + hop;
    float* out = rows_.out.row(row);
    const float hz = std::fabs(*rows_.pitch.row(row));
    const bool is_voiced = hz > op_.least_hz;
    const float amplitude = norm_ * (is_voiced ? op_.voiced_noise : op_.unvoiced_noise);
    const double step = static_cast<double>(hz) / static_cast<double>(op_.sample_rate);
    for (std::int64_t s = 0; s < hop; ++s) {
      float sum = amplitude * noise[s] + *bias_;
      const double cycles = rules::cycles_of(begin) + step * static_cast<double>(s + 1);
      for (std::int64_t h = 0; h < harmonics_ && is_voiced; ++h) {
        const double turns = static_cast<double>(h + 1) * cycles;
        const double angle = kTwoPi * (turns - std::floor(turns));
        sum += weight_[h] * op_.sine * std::sin(static_cast<float>(angle) + phases[h]);
      }
      out[s] = std::tanh(sum);
    }
  }

  Site site_;
  ops::HarmonicSource op_;
  SourceRows rows_;
  std::int64_t harmonics_;
  const float* weight_;
  const float* bias_;
  float norm_ = 0.0F;
};

class FadeStage : public Stage {
 public:
  FadeStage(const Site& site, const ops::FadeIn& op, const Rows& x, std::int64_t rate)
      : site_(site),
        count_(op.factors.rows * op.factors.cols),
        factors_(vector_of(op.factors, count_)),
        x_(x),
        values_(x.width * rate) {}

  std::string label() const override { return "fade in"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      const std::int64_t first = (segment.position + row - segment.first_row) * values_;
      float* x = x_.data + row * values_;
      for (std::int64_t i = 0; i < values_ && first + i < count_; ++i) x[i] *= factors_[first + i];
    }
  }

 private:
  Site site_;
  std::int64_t count_;
  const float* factors_;
  Rows x_;
  std::int64_t values_;
};

}  // namespace

void add_harmonic_source(const StageList& list, const ops::HarmonicSource& op,
                         const SourceRows& rows, Stages& stages) {
  stages.push_back(std::make_unique<CyclesStage>(list.site, op, rows));
  stages.push_back(std::make_unique<SourceStage>(list, op, rows));
}

void add_fade_in(const Site& site, const ops::FadeIn& op, const Rows& x, std::int64_t rate,
                 Stages& stages) {
  stages.push_back(std::make_unique<FadeStage>(site, op, x, rate));
}

}  // namespace ttsrt::cpu
