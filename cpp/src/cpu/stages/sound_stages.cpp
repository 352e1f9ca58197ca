#include "cpu/stages/sound_stages.h"

#include <algorithm>
#include <cmath>

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

class PolarStage : public Stage {
 public:
  PolarStage(const Site& site, const ops::PolarSpectrum& op, const Rows& x, const Rows& out,
             std::int64_t rate)
      : site_(site), most_(op.most), has_sine_(op.has_sine), x_(x), out_(out), rate_(rate) {}

  std::string label() const override { return "polar spectrum"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows * rate_, worker);
    const std::int64_t bins = x_.width / 2;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const float* x = x_.row(row);
      float* out = out_.row(row);
      for (std::int64_t k = 0; k < bins; ++k) {
        const float exact = std::exp(x[k]);
        // Infinity minus itself is NaN: what is not finite may not become the largest magnitude.
        const float magnitude = (exact > most_ ? most_ : exact) + (x[k] - x[k]);
        const float phase = has_sine_ ? std::sin(x[bins + k]) : x[bins + k];
        out[k] = magnitude * std::cos(phase);
        out[bins + k] = magnitude * std::sin(phase);
      }
    }
  }

 private:
  Site site_;
  float most_;
  bool has_sine_;
  Rows x_;
  Rows out_;
  std::int64_t rate_;
};

class OverlapStage : public Stage {
 public:
  OverlapStage(const Site& site, const ops::OverlapAdd& op, const OverlapRows& rows)
      : site_(site), trim_(op.trim), window_(vector_of(op.window, rows.x.width)), rows_(rows) {}

  std::string label() const override { return "overlap-add"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      for (std::int64_t i = row * rows_.rate; i < (row + 1) * rows_.rate; ++i) add(segment, i);
    }
  }

 private:
  // Samples of a row, each the sum of its frames in order over that of their squared windows.
  void add(const step::Segment& segment, std::int64_t row) const {
    const std::int64_t hop = rows_.out.width;
    const std::int64_t frames = rows_.x.width;
    const std::int64_t first = segment.first_row * rows_.rate;
    const std::int64_t count = segment.rows * rows_.rate - rows_.beyond;
    const std::int64_t begin = trim_ + (row - first) * hop;
    for (std::int64_t sample = 0; sample < hop; ++sample) {
      const std::int64_t place = begin + sample;
      float sum = 0.0F;
      float squares = 0.0F;
      const std::int64_t last = std::min<std::int64_t>(place / hop, count - 1);
      for (std::int64_t f = std::max<std::int64_t>(place - frames + hop, 0) / hop; f <= last; ++f) {
        const std::int64_t at = place - f * hop;
        sum += rows_.x.row(first + f)[at];
        squares += window_[at] * window_[at];
      }
      rows_.out.row(row)[sample] = squares > 0.0F ? sum / squares : 0.0F;
    }
  }

  Site site_;
  std::int64_t trim_;
  const float* window_;
  OverlapRows rows_;
};

}  // namespace

void add_polar_spectrum(const Site& site, const ops::PolarSpectrum& op, const Rows& x,
                        const Rows& out, std::int64_t rate, Stages& stages) {
  stages.push_back(std::make_unique<PolarStage>(site, op, x, out, rate));
}

void add_overlap_add(const Site& site, const ops::OverlapAdd& op, const OverlapRows& rows,
                     Stages& stages) {
  stages.push_back(std::make_unique<OverlapStage>(site, op, rows));
}

}  // namespace ttsrt::cpu
