#include "cpu/stages/time_conv.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "cpu/kernels/tile_kernels.h"
#include "cpu/stages/rate_rows.h"
#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kWindowFloats =
    24 * 1024;                            // of a block's inputs, which stay in the L2 cache
constexpr std::int64_t kLeastBlock = 24;  // output rows of a block
constexpr std::int64_t kMostBlock = kMostTimeRows;
constexpr std::int64_t kUnitsPerThread = 4;
// By tiles: the same, and the least inputs of a tap, fewer of which would leave most of a tile
// empty.
constexpr std::int64_t kTileWindowWords = 96 * 1024;
constexpr std::int64_t kTileLeastBlock = 32;
constexpr std::int64_t kTileMostBlock = kMostTimeRows / kTileLeastBlock * kTileLeastBlock;
constexpr std::int64_t kTileLeastWidth = 16;

// A weight of bfloat16 with an odd number of inputs has pairs that belong to two taps: it is stored
// again with a zero behind each tap.
const std::byte* pad_taps(StageList& list, const ops::Weight& weight, std::int64_t taps) {
  const std::int64_t width = weight.cols / taps;
  const std::int64_t panels = ops::padded_rows(weight.rows) / ops::kPanel;
  const std::int64_t from_cols = ops::padded_cols(weight);
  const std::int64_t to_cols = taps * (width + 1);
  float* room = list.allocate(panels * ops::kPanel, to_cols / 2).data;
  auto* to = reinterpret_cast<std::uint16_t*>(room);
  const auto* from = reinterpret_cast<const std::uint16_t*>(weight.data);
  const auto place = [](std::int64_t col, std::int64_t lane) {
    return (col / 2 * ops::kPanel + lane) * 2 + col % 2;
  };
  for (std::int64_t panel = 0; panel < panels && list.has_weights; ++panel) {
    for (std::int64_t col = 0; col < weight.cols; ++col) {
      for (std::int64_t lane = 0; lane < ops::kPanel; ++lane)
        to[panel * ops::kPanel * to_cols + place(col + col / width, lane)] =
            from[panel * ops::kPanel * from_cols + place(col, lane)];
    }
  }
  return reinterpret_cast<const std::byte*>(room);
}

// A unit is a block of output rows by a group of panels. Threads that finish their units steal from
// the others. Of one block, a thread packs the inputs once for all of its groups that follow each
// other.
class TimeConvStage : public Stage {
 public:
  TimeConvStage(StageList& list, const TimeConvSpec& spec)
      : site_(list.site),
        spec_(spec),
        op_(*spec.op),
        bias_(vector_of(op_.bias, spec.out.width)),
        element_(element_of(op_.weight.dtype)),
        panels_(ops::padded_rows(op_.weight.rows) / ops::kPanel) {
    const std::int64_t width = spec.x.width;
    const bool is_narrow = element_ == Element::bfloat16;
    uses_tiles_ = is_narrow && site_.kernels->tiles != nullptr && width >= kTileLeastWidth;
    if (is_narrow && !uses_tiles_ && site_.kernels->a16 != nullptr)
      site_.kernels = site_.kernels->a16;
    const std::int64_t padded = is_narrow ? ops::padded_to(width, 2) : width;
    shape_ = {width, is_narrow ? padded / 2 * site_.kernels->pair_words : padded, 0, 1};
    if (uses_tiles_) shape_.words = ops::padded_to(width, kTileInputs) / 2;
    shape_.group_words = shape_.words;
    const bool is_odd = padded != width && op_.kernel > 1;
    weight_ = is_odd ? pad_taps(list, op_.weight, op_.kernel) : op_.weight.data;
    const std::int64_t cols = is_odd ? op_.kernel * padded : ops::padded_cols(op_.weight);
    panel_bytes_ = cols * ops::kPanel * static_cast<std::int64_t>(size_of(op_.weight.dtype));
    const std::int64_t room = uses_tiles_ ? kTileWindowWords : kWindowFloats;
    const std::int64_t least = uses_tiles_ ? kTileLeastBlock : kLeastBlock;
    const std::int64_t fitting = room / (op_.stride * shape_.words);
    block_ = std::clamp(fitting / least * least, least, uses_tiles_ ? kTileMostBlock : kMostBlock);
    out_rate_ = spec.rate / op_.stride;
  }

  std::string label() const override {
    return message("time convolution ", op_.weight.rows, " x ", op_.weight.cols, " ",
                   name_of(op_.weight.dtype), uses_tiles_ ? " by tiles" : "");
  }
  bool is_needed() const override { return site_.launch->rows > 0; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(window_rows(block_) * shape_.words) * sizeof(std::uint32_t);
  }

  void run(const Worker& worker) override {
    std::int64_t blocks = 0;
    for_runs(site_, op_.past, [&](const RateRun& run) { blocks += blocks_of(run); });
    if (blocks == 0) return;
    const std::int64_t wanted = worker.num_threads == 1 ? 1 : kUnitsPerThread * worker.num_threads;
    const std::int64_t groups =
        std::clamp<std::int64_t>((wanted + blocks - 1) / blocks, 1, panels_);
    const Range mine = share_of(blocks * groups, worker);
    SharedRange& own = site_.ranges[worker.thread];
    own.open(static_cast<std::int32_t>(mine.begin), static_cast<std::int32_t>(mine.end));
    Window window{reinterpret_cast<std::uint32_t*>(worker.scratch)};
    for (auto taken = own.take_front(1); !taken.is_empty(); taken = own.take_front(1))
      convolve(taken.begin, groups, window);
    for (std::int32_t away = 1; away < worker.num_threads; ++away) {
      SharedRange& other = site_.ranges[(worker.thread + away) % worker.num_threads];
      for (auto taken = other.take_back(1); !taken.is_empty(); taken = other.take_back(1))
        convolve(taken.begin, groups, window);
    }
  }

 private:
  // The inputs of a block.
  struct Window {
    std::uint32_t* packed;
    std::int64_t block = -1;              // of the launch
    const std::uint32_t* rows = nullptr;  // that of the first output row and tap
    std::int64_t stride = 0;              // words from row to row
  };

  std::int64_t window_rows(std::int64_t rows) const {
    return (rows - 1) * op_.stride + std::int64_t{op_.kernel - 1} * op_.dilation + 1;
  }
  std::int64_t blocks_of(const RateRun& run) const {
    return (run.rows * out_rate_ - spec_.out_beyond + block_ - 1) / block_;
  }

  void convolve(std::int64_t unit, std::int64_t groups, Window& window) const {
    const std::int64_t block = unit / groups;
    const std::int64_t group = unit % groups;
    std::int64_t before = 0;
    for_runs(site_, op_.past, [&](const RateRun& run) {
      const std::int64_t at = block - before;
      const std::int64_t count = blocks_of(run);
      before += count;
      if (at < 0 || at >= count) return;
      const std::int64_t first = at * block_;
      const std::int64_t rows = std::min(block_, run.rows * out_rate_ - spec_.out_beyond - first);
      if (window.block != block) fill(run, first, rows, window);
      window.block = block;
      multiply(run.first_row * out_rate_ + first, rows,
               {panels_ * group / groups, panels_ * (group + 1) / groups}, window);
    });
  }

  // The row that stands for one outside of [0, all).
  std::int64_t padded_from(std::int64_t i, std::int64_t all) const {
    if (op_.padding == ops::Padding::reflect) i = i < 0 ? -i : 2 * (all - 1) - i;
    return std::clamp<std::int64_t>(i, 0, all - 1);
  }

  // Finds or packs the inputs of output rows [first, first + rows) of a run.
  void fill(const RateRun& run, std::int64_t first, std::int64_t rows, Window& window) const {
    const std::int64_t begin = first * op_.stride - op_.before;
    const std::int64_t end = begin + window_rows(rows);
    const std::int64_t all = run.rows * spec_.rate - spec_.beyond;
    const Rows& x = spec_.x;
    if (begin >= 0 && end <= all && element_ != Element::bfloat16) {
      window.rows =
          reinterpret_cast<const std::uint32_t*>(x.row(run.first_row * spec_.rate + begin));
      window.stride = x.stride;
      return;
    }
    const float* past = run.past(site_, op_.past);
    for (std::int64_t i = begin; i < end; ++i) {
      std::uint32_t* to = window.packed + (i - begin) * shape_.words;
      const float* from = nullptr;
      if (i >= 0 && i < all) {
        from = x.row(run.first_row * spec_.rate + i);
      } else if (past != nullptr) {
        from = past + (op_.before + i) * x.width;
      } else if (op_.padding != ops::Padding::zeros && op_.past < 0 && all > 0) {
        from = x.row(run.first_row * spec_.rate + padded_from(i, all));
      }
      pack(from, to);
    }
    window.rows = window.packed;
    window.stride = shape_.words;
  }

  // A row of inputs, or zeros.
  void pack(const float* from, std::uint32_t* to) const {
    if (from == nullptr || uses_tiles_)
      std::memset(to, 0, static_cast<std::size_t>(shape_.words) * sizeof(std::uint32_t));
    if (from == nullptr) return;
    if (uses_tiles_) {
      site_.kernels->tiles->round(from, shape_.depth, to);
    } else {
      site_.kernels->linear[static_cast<int>(element_)].prepare(from, shape_, to);
    }
  }

  // Output rows [row, row + rows) of the launch by these panels.
  void multiply(std::int64_t row, std::int64_t rows, const Range& panels,
                const Window& window) const {
    const Rows& out = spec_.out;
    TimeConvArgs args = {};
    args.weight = weight_;
    args.panel_bytes = panel_bytes_;
    args.rows = window.rows;
    args.row_step = window.stride * op_.stride;
    args.tap_step = window.stride * op_.dilation;
    args.words = shape_.words;
    args.taps = op_.kernel;
    args.count = static_cast<std::int32_t>(rows);
    args.outputs = static_cast<std::int32_t>(out.width);
    args.first_panel = static_cast<std::int32_t>(panels.begin);
    args.last_panel = static_cast<std::int32_t>(panels.end);
    args.out = out.row(row);
    args.out_stride = out.stride;
    args.bias = bias_;
    if (spec_.addend.data != nullptr) args.addend = spec_.addend.row(row);
    args.addend_stride = spec_.addend.stride;
    args.scale = op_.scale;
    args.accumulate = op_.accumulate;
    if (uses_tiles_) {
      site_.kernels->tiles->time_convolve(args);
    } else {
      site_.kernels->time_convolve[static_cast<int>(element_)](args);
    }
    if (op_.activate != ops::Activate::none) apply(activation_of(op_.activate), row, rows, panels);
    if (spec_.snake.width > 0) activate(row, rows, panels);
  }

  void apply(Activation activation, std::int64_t row, std::int64_t rows,
             const Range& panels) const {
    const std::int64_t first = panels.begin * ops::kPanel;
    const std::int64_t count = std::min(panels.end * ops::kPanel, spec_.out.width) - first;
    for (std::int64_t r = row; r < row + rows; ++r) {
      float* out = spec_.out.row(r) + first;
      site_.kernels->activate(out, activation, count, out);
    }
  }

  void activate(std::int64_t row, std::int64_t rows, const Range& panels) const {
    const std::int64_t width = spec_.out.width;
    const std::int64_t first = panels.begin * ops::kPanel;
    const std::int64_t count = std::min(panels.end * ops::kPanel, width) - first;
    if (count == width)
      return site_.kernels->half_snake(
          spec_.snake.args(spec_.out.row(row), spec_.activated.row(row), rows * width, 0));
    for (std::int64_t r = row; r < row + rows; ++r)
      site_.kernels->half_snake(
          spec_.snake.args(spec_.out.row(r) + first, spec_.activated.row(r) + first, count, first));
  }

  Site site_;
  TimeConvSpec spec_;
  ops::TimeConv op_;
  const float* bias_;
  Element element_;
  bool uses_tiles_ = false;
  std::int64_t panels_;
  RowShape shape_ = {};
  const std::byte* weight_ = nullptr;
  std::int64_t panel_bytes_ = 0;
  std::int64_t block_ = 0;
  std::int64_t out_rate_ = 1;
};

}  // namespace

void add_time_conv(StageList& list, const TimeConvSpec& spec, Stages& stages) {
  stages.push_back(std::make_unique<TimeConvStage>(list, spec));
  const ops::TimeConv& op = *spec.op;
  if (op.past >= 0 && op.before > 0) add_keep_past(list.site, op.past, spec.x, spec.rate, stages);
}

}  // namespace ttsrt::cpu
