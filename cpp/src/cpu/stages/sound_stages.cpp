#include "cpu/stages/sound_stages.h"

#include <algorithm>
#include <cmath>

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

class PolarStage : public Stage {
 public:
  PolarStage(const Site& site, float most, const Rows& x, const Rows& out)
      : site_(site), most_(most), x_(x), out_(out) {}

  std::string label() const override { return "polar spectrum"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    const std::int64_t bins = x_.width / 2;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const float* x = x_.row(row);
      float* out = out_.row(row);
      for (std::int64_t k = 0; k < bins; ++k) {
        const float exact = std::exp(x[k]);
        // Infinity minus itself is NaN: what is not finite may not become the largest magnitude.
        const float magnitude = (exact > most_ ? most_ : exact) + (x[k] - x[k]);
        out[k] = magnitude * std::cos(x[bins + k]);
        out[bins + k] = magnitude * std::sin(x[bins + k]);
      }
    }
  }

 private:
  Site site_;
  float most_;
  Rows x_;
  Rows out_;
};

class OverlapStage : public Stage {
 public:
  OverlapStage(const Site& site, const ops::OverlapAdd& op, const Rows& x, const Rows& out)
      : site_(site), trim_(op.trim), window_(vector_of(op.window, x.width)), x_(x), out_(out) {}

  std::string label() const override { return "overlap-add"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      add(site_.launch->segment(static_cast<std::int32_t>(row)), row);
  }

 private:
  // Samples of a row, each the sum of its frames in order over that of their squared windows.
  void add(const step::Segment& segment, std::int64_t row) const {
    const std::int64_t hop = out_.width;
    const std::int64_t frames = x_.width;
    const std::int64_t begin = trim_ + (row - segment.first_row) * hop;
    for (std::int64_t sample = 0; sample < hop; ++sample) {
      const std::int64_t place = begin + sample;
      float sum = 0.0F;
      float squares = 0.0F;
      const std::int64_t last = std::min<std::int64_t>(place / hop, segment.rows - 1);
      for (std::int64_t f = std::max<std::int64_t>(place - frames + hop, 0) / hop; f <= last; ++f) {
        const std::int64_t at = place - f * hop;
        sum += x_.row(segment.first_row + f)[at];
        squares += window_[at] * window_[at];
      }
      out_.row(row)[sample] = squares > 0.0F ? sum / squares : 0.0F;
    }
  }

  Site site_;
  std::int64_t trim_;
  const float* window_;
  Rows x_;
  Rows out_;
};

}  // namespace

void add_polar_spectrum(const Site& site, const ops::PolarSpectrum& op, const Rows& x,
                        const Rows& out, Stages& stages) {
  stages.push_back(std::make_unique<PolarStage>(site, op.most, x, out));
}

void add_overlap_add(const Site& site, const ops::OverlapAdd& op, const Rows& x, const Rows& out,
                     Stages& stages) {
  stages.push_back(std::make_unique<OverlapStage>(site, op, x, out));
}

}  // namespace ttsrt::cpu
