#include "cpu/stages/rate_stages.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "cpu/stages/rate_rows.h"
#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

// Runs a function for each range of `pieces` pieces for each row of the launch; threads have pieces
// of their own, so that a single row occupies all of them.
template <typename Each>
class PiecesStage : public Stage {
 public:
  PiecesStage(const Site& site, const char* label, std::int64_t pieces, Each each)
      : site_(site), label_(label), pieces_(pieces), each_(std::move(each)) {}

  std::string label() const override { return label_; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range range = share_of(site_.launch->rows * pieces_, worker);
    if (!range.is_empty()) each_(range);
  }

 private:
  Site site_;
  const char* label_;
  std::int64_t pieces_;
  Each each_;
};

template <typename Each>
void add_pieces(const Site& site, const char* label, std::int64_t pieces, Each each,
                Stages& stages) {
  stages.push_back(std::make_unique<PiecesStage<Each>>(site, label, pieces, std::move(each)));
}

// A thread has the last rows of sequences of its own.
class KeepPastStage : public Stage {
 public:
  KeepPastStage(const Site& site, std::int32_t past, const Rows& x, std::int64_t rate)
      : site_(site),
        past_(past),
        x_(x),
        rate_(rate),
        count_(site.slots->spec().past[static_cast<std::size_t>(past)].rows) {}

  std::string label() const override { return "keep past rows"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    std::int64_t index = 0;
    for_runs(site_, past_, [&](const RateRun& run) {
      if (index++ % worker.num_threads == worker.thread && run.first->slot != step::kNoSlot)
        keep(run);
    });
  }

 private:
  void keep(const RateRun& run) const {
    float* kept = site_.slots->past(past_, run.first->slot);
    const std::int64_t rows = run.rows * rate_;
    const std::int64_t moved = std::max<std::int64_t>(count_ - rows, 0);  // from before the run
    const auto bytes = static_cast<std::size_t>(x_.width) * sizeof(float);
    if (run.past(site_, past_) == nullptr) {
      std::memset(kept, 0, bytes * static_cast<std::size_t>(moved));
    } else {
      std::memmove(kept, kept + (count_ - moved) * x_.width,
                   bytes * static_cast<std::size_t>(moved));
    }
    const std::int64_t begin = run.first_row * rate_ + rows - (count_ - moved);
    std::memcpy(kept + moved * x_.width, x_.row(begin),
                bytes * static_cast<std::size_t>(count_ - moved));
  }

  Site site_;
  std::int32_t past_;
  Rows x_;
  std::int64_t rate_;
  std::int64_t count_;
};

// The inputs of an output row are four rows of the width of the outputs: those of even and of odd
// columns, now and before.
class UpsampleStage : public Stage {
 public:
  UpsampleStage(const Site& site, const ops::Upsample& op, const float* weight, const Rows& x,
                const Rows& out, std::int64_t rate)
      : site_(site),
        op_(op),
        weight_(weight),
        bias_(vector_of(op.bias, out.width)),
        x_(x),
        out_(out),
        rate_(rate) {}

  std::string label() const override { return message("upsample by ", op_.factor); }
  bool is_needed() const override { return site_.launch->rows > 0; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(4 * out_.width) * sizeof(float);
  }
  void run(const Worker& worker) override {
    const Range mine = share_of(site_.launch->rows * rate_, worker);
    for_runs(site_, op_.past, [&](const RateRun& run) {
      const std::int64_t first = run.first_row * rate_;
      const std::int64_t begin = std::max(mine.begin, first);
      const std::int64_t end = std::min(mine.end, first + run.rows * rate_);
      if (begin < end) upsample(run, begin, end, reinterpret_cast<float*>(worker.scratch));
    });
  }

 private:
  void upsample(const RateRun& run, std::int64_t begin, std::int64_t end, float* split) const {
    const std::int64_t width = out_.width;
    const bool is_first = begin == run.first_row * rate_;
    const float* before = is_first ? run.past(site_, op_.past) : x_.row(begin - 1);
    float* previous = split + 2 * width;
    if (before != nullptr) divide(before, previous);
    for (std::int64_t row = begin; row < end; ++row) {
      divide(x_.row(row), split);
      const bool has_before = before != nullptr || row > begin;
      const float* taps[] = {split, split + width, has_before ? previous : nullptr,
                             has_before ? previous + width : nullptr};
      for (std::int64_t j = 0; j < op_.factor; ++j)
        site_.kernels->depthwise(taps, weight_ + j * 4 * width, bias_, 4, width,
                                 out_.row(row * op_.factor + j));
      std::swap(split, previous);
    }
  }

  void divide(const float* x, float* out) const {
    for (std::int64_t n = 0; n < out_.width; ++n) {
      out[n] = x[2 * n];
      out[out_.width + n] = x[2 * n + 1];
    }
  }

  Site site_;
  ops::Upsample op_;
  const float* weight_;  // [factor, 4, N]
  const float* bias_;
  Rows x_;
  Rows out_;
  std::int64_t rate_;
};

}  // namespace

void add_keep_past(const Site& site, std::int32_t past, const Rows& x, std::int64_t rate,
                   Stages& stages) {
  stages.push_back(std::make_unique<KeepPastStage>(site, past, x, rate));
}

SnakeSpec snake_of(StageList& list, const ops::HalfSnake& op, std::int64_t width) {
  SnakeSpec snake;
  snake.width = width;
  snake.slope = op.slope;
  if (!op.alpha.is_present()) return snake;
  snake.snakes = op.alpha.rows * op.alpha.cols;
  const std::int64_t stride = width + kLanes;
  float* tables = list.allocate(3, stride).data;
  snake.alpha = tables;
  snake.inverse = tables + stride;
  snake.share = tables + 2 * stride;
  if (!list.has_weights) return snake;
  const float* alpha = vector_of(op.alpha, snake.snakes);
  for (std::int64_t i = 0; i < stride; ++i) {
    const std::int64_t column = i % width;
    if (column >= snake.snakes) continue;
    tables[i] = alpha[column];
    tables[stride + i] = 1.0F / (alpha[column] + op.epsilon);
    tables[2 * stride + i] = 1.0F;
  }
  return snake;
}

void add_dequantize(const Site& site, const ops::DequantizeCodes& op, const Rows& out,
                    Stages& stages) {
  const auto each = [site, op, out](const Range& rows) {
    const std::int64_t width = op.table.cols;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site.launch->segment(static_cast<std::int32_t>(row));
      const std::int32_t* codes = segment.ids + (row - segment.first_row) * op.codebooks;
      for (std::int32_t c = 0; c < op.codebooks; ++c) {
        TTSRT_CHECK(InternalError, codes[c] >= 0 && codes[c] < op.table.rows, op.table.name,
                    ": code ", codes[c], " of ", op.table.rows);
        const float* from = reinterpret_cast<const float*>(op.table.data) + codes[c] * width;
        std::copy(from, from + width, out.row(row) + c * width);
      }
    }
  };
  add_pieces(site, "dequantize codes", 1, each, stages);
}

void add_half_snake(const Site& site, const SnakeSpec& snake, const Rows& x, const Rows& out,
                    std::int64_t rate, Stages& stages) {
  const auto each = [site, snake, x, out](const Range& rows) {
    site.kernels->half_snake(snake.args(x.row(rows.begin), out.row(rows.begin),
                                        (rows.end - rows.begin) * snake.width, 0));
  };
  add_pieces(site, "half snake", rate, each, stages);
}

void add_upsample(StageList& list, const ops::Upsample& op, const Rows& x, const Rows& out,
                  std::int64_t rate, Stages& stages) {
  const std::int64_t factor = op.factor;
  float* weight = list.allocate(factor, 4 * out.width).data;
  const auto* given = reinterpret_cast<const float*>(op.weight.data);
  for (std::int64_t i = 0; i < factor * 4 * out.width && list.has_weights; ++i) {
    const std::int64_t n = i % out.width;
    const std::int64_t tap = i / out.width % 4;  // even and odd now, even and odd before
    const std::int64_t j = i / (4 * out.width);
    weight[i] = given[(2 * n + tap % 2) * 2 * factor + j + (tap < 2 ? 0 : factor)];
  }
  stages.push_back(std::make_unique<UpsampleStage>(list.site, op, weight, x, out, rate));
  if (op.past >= 0) add_keep_past(list.site, op.past, x, rate, stages);
}

void add_clamp(const Site& site, const ops::Clamp& op, const Rows& x, std::int64_t rate,
               Stages& stages) {
  const auto each = [op, x](const Range& rows) {
    float* values = x.row(rows.begin);
    const std::int64_t count = (rows.end - rows.begin) * x.width;
    for (std::int64_t i = 0; i < count; ++i) values[i] = std::clamp(values[i], op.least, op.most);
  };
  add_pieces(site, "clamp", rate, each, stages);
}

void add_split_rows(const Site& site, const Rows& x, const Rows& out, std::int64_t values,
                    Stages& stages) {
  const auto each = [x, out, values](const Range& rows) {
    std::memcpy(out.data + rows.begin * values, x.data + rows.begin * values,
                static_cast<std::size_t>((rows.end - rows.begin) * values) * sizeof(float));
  };
  add_pieces(site, "split rows", 1, each, stages);
}

void add_shift_rows(const Site& site, const ops::ShiftRows& op, const Rows& x, const Rows& out,
                    std::int64_t rate, Stages& stages) {
  const auto each = [site, op, x, out, rate](const Range& rows) {
    const auto bytes = static_cast<std::size_t>(x.width) * sizeof(float);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::int64_t first = site.launch->segment(static_cast<std::int32_t>(row)).first_row;
      for (std::int64_t t = (row - first) * rate; t < (row - first + 1) * rate; ++t)
        std::memcpy(out.row(first * rate + t), x.row(first * rate + std::abs(t - op.count)), bytes);
    }
  };
  add_pieces(site, "shift rows", 1, each, stages);
}

void add_quantize_rows(const Site& site, const ops::QuantizeRows& op, const Rows& x,
                       const Rows& out, Stages& stages) {
  const auto each = [op, x, out](const Range& rows) {
    const auto dims = static_cast<std::int64_t>(op.levels.size());
    for (std::int64_t i = rows.begin * out.width; i < rows.end * out.width; ++i) {
      float code = 0.0F;
      float base = 1.0F;
      for (std::int64_t d = 0; d < dims; ++d) {
        const std::int32_t levels = op.levels[static_cast<std::size_t>(d)];
        const float scale = static_cast<float>(levels - 1) / 2.0F * (1.0F - 1e-3F);
        const float offset = levels % 2 == 0 ? 0.5F : 0.0F;
        const float shifted = x.data[i * dims + d] + std::tan(offset / scale);
        const float index = std::nearbyint(scale * std::tanh(shifted) - offset);
        const std::int32_t middle = levels / 2;
        code += (index + static_cast<float>(middle)) * base;
        base *= static_cast<float>(levels);
      }
      out.data[i] = code;
    }
  };
  add_pieces(site, "quantize rows", 1, each, stages);
}

}  // namespace ttsrt::cpu
