#include "cpu/stages/conv_stages.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "cpu/kernels/tile_kernels.h"
#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kMaxTaps = 64;  // of a depthwise convolution

class DepthwiseStage : public Stage {
 public:
  DepthwiseStage(const Site& site, const ops::DepthwiseConv& op, const Rows& x, const Rows& out)
      : site_(site),
        x_(x),
        out_(out),
        taps_(op.weight.rows),
        weight_(vector_of(op.weight, op.weight.rows * x.width)),
        bias_(vector_of(op.bias, x.width)) {
    TTSRT_CHECK(InternalError, taps_ <= kMaxTaps, op.weight.name, ": expected at most ", kMaxTaps,
                " taps, got ", taps_);
  }

  std::string label() const override { return "depthwise convolution"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    const float* neighbours[kMaxTaps];
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        const std::int64_t at = row - segment.first_row + tap - taps_ / 2;
        const bool is_inside = at >= 0 && at < segment.rows;
        neighbours[tap] = is_inside ? x_.row(segment.first_row + at) : nullptr;
      }
      site_.kernels->depthwise(neighbours, weight_, bias_, static_cast<std::int32_t>(taps_),
                               x_.width, out_.row(row));
    }
  }

 private:
  Site site_;
  Rows x_;
  Rows out_;
  std::int64_t taps_;
  const float* weight_;
  const float* bias_;
};

// A unit is a block of an item's rows and a group of columns. A thread packs the block's inputs and
// those of the taps around it for itself.
class GroupedConvStage : public Stage {
 public:
  GroupedConvStage(const Site& site, const ops::GroupedConv& op, const Rows& x, const Rows& out,
                   bool has_many_rows)
      : site_(site), op_(op), x_(x), out_(out), bias_(vector_of(op.bias, out.width)) {
    const Element element = element_of(op.weight.dtype);
    element_ = static_cast<int>(element);
    shape_.depth = x.width / op.groups;
    shape_.groups = 1;
    shape_.words =
        element == Element::bfloat16 ? shape_.depth / 2 * site.kernels->pair_words : shape_.depth;
    shape_.group_words = shape_.words;
    uses_tiles_ = has_many_rows && site.kernels->tiles != nullptr && element == Element::bfloat16 &&
                  shape_.depth % kTileInputs == 0;
    block_ = uses_tiles_ ? kTileBlock : kTiles * site.kernels->tile_rows;
    stride_ = block_ + op.kernel - 1;
  }

  std::string label() const override {
    return message("grouped convolution ", out_.width, " of ", op_.groups, " groups");
  }
  bool is_needed() const override { return site_.launch->rows > 0; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>((stride_ + 1) * shape_.words) * sizeof(std::uint32_t);
  }

  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    std::int64_t units = 0;
    for (const step::Segment& segment : segments) units += blocks_of(segment) * op_.groups;
    const Range mine = share_of(units, worker);
    std::int64_t before = 0;
    for (const step::Segment& segment : segments) {
      const std::int64_t count = blocks_of(segment) * op_.groups;
      const std::int64_t end = std::min(mine.end - before, count);
      for (std::int64_t unit = std::max<std::int64_t>(mine.begin - before, 0); unit < end; ++unit)
        convolve(segment, unit / op_.groups * block_, unit % op_.groups, worker);
      before += count;
    }
  }

 private:
  static constexpr std::int64_t kTiles = 8;        // of a block
  static constexpr std::int64_t kTileBlock = 128;  // rows of a block, by tiles of bfloat16

  std::int64_t blocks_of(const step::Segment& segment) const {
    return (segment.rows + block_ - 1) / block_;
  }

  // Words [words][stride] of the rows from `first` - taps / 2 on; zeros outside the segment.
  void pack(const step::Segment& segment, std::int64_t first, std::int64_t group,
            std::uint32_t* prepared, std::uint32_t* packed) const {
    // Of tiles, words lie behind each other; else those of a row are `stride_` words apart.
    const std::int64_t row_step = uses_tiles_ ? shape_.words : 1;
    const std::int64_t word_step = uses_tiles_ ? 1 : stride_;
    for (std::int64_t i = 0; i < stride_; ++i) {
      std::uint32_t* to = packed + i * row_step;
      const std::int64_t at = first - op_.kernel / 2 + i;
      if (at < 0 || at >= segment.rows) {
        for (std::int64_t w = 0; w < shape_.words; ++w) to[w * word_step] = 0;
        continue;
      }
      const float* x = x_.row(segment.first_row + at) + group * shape_.depth;
      if (uses_tiles_) {
        site_.kernels->tiles->round(x, shape_.depth, to);
        continue;
      }
      site_.kernels->linear[element_].prepare(x, shape_, prepared);
      for (std::int64_t w = 0; w < shape_.words; ++w) to[w * word_step] = prepared[w];
    }
  }

  void convolve(const step::Segment& segment, std::int64_t first, std::int64_t group,
                const Worker& worker) const {
    auto* prepared = reinterpret_cast<std::uint32_t*>(worker.scratch);
    std::uint32_t* packed = prepared + shape_.words;
    pack(segment, first, group, prepared, packed);
    const std::int64_t outputs = out_.width / op_.groups;
    const std::int64_t cols = ops::padded_cols(op_.weight);
    ConvArgs args = {};
    args.weight = op_.weight.data +
                  group * outputs * cols * static_cast<std::int64_t>(size_of(op_.weight.dtype));
    args.packed = packed;
    args.stride = stride_;
    args.words = shape_.words;
    args.taps = op_.kernel;
    args.rows = static_cast<std::int32_t>(std::min(block_, segment.rows - first));
    args.panels = static_cast<std::int32_t>(outputs / ops::kPanel);
    args.out = out_.row(segment.first_row + first) + group * outputs;
    args.out_stride = out_.stride;
    args.bias = bias_ + group * outputs;
    args.activation = activation_of(op_.activate);
    args.accumulate = op_.accumulate;
    if (!uses_tiles_) return site_.kernels->convolve[element_](args);
    TileProduct product = {};
    product.rows = packed;
    product.row_words = shape_.words;
    product.weight = static_cast<const unsigned char*>(args.weight);
    product.taps = op_.kernel;
    product.steps = static_cast<std::int32_t>(shape_.depth / kTileInputs);
    product.num_rows = args.rows;
    product.panels = args.panels;
    site_.kernels->tiles->convolve(product, args);
  }

  Site site_;
  ops::GroupedConv op_;
  Rows x_;
  Rows out_;
  const float* bias_;
  RowShape shape_ = {};
  bool uses_tiles_ = false;
  int element_ = 0;
  std::int64_t block_ = 0;
  std::int64_t stride_ = 0;
};

// Threads sum pieces of columns of their own, over all rows of each segment in order.
class ResponseSumStage : public Stage {
 public:
  ResponseSumStage(const Site& site, const Rows& x, const Rows& sums)
      : site_(site), x_(x), sums_(sums) {}

  std::string label() const override { return "response sums"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    const std::int64_t pieces = (x_.width + kPiece - 1) / kPiece;
    const Range mine = share_of(pieces, worker);
    for (std::int64_t piece = mine.begin; piece < mine.end; ++piece) {
      const std::int64_t first = piece * kPiece;
      const std::int64_t count = std::min(kPiece, x_.width - first);
      for (const step::Segment& segment : segments) sum(segment, first, count);
    }
  }

 private:
  static constexpr std::int64_t kPiece = 64;  // columns

  void sum(const step::Segment& segment, std::int64_t first, std::int64_t count) const {
    float* norms = sums_.row(segment.first_row) + first;
    std::memset(norms, 0, static_cast<std::size_t>(count) * sizeof(float));
    for (std::int64_t row = segment.first_row; row < segment.first_row + segment.rows; ++row) {
      const float* x = x_.row(row) + first;
      site_.kernels->add_products(x, x, count, norms);
    }
    for (std::int64_t c = 0; c < count; ++c) norms[c] = std::sqrt(norms[c]);
  }

  Site site_;
  Rows x_;
  Rows sums_;
};

class RespondStage : public Stage {
 public:
  RespondStage(const Site& site, const ops::ResponseNorm& op, const Rows& x, const Rows& sums)
      : site_(site),
        x_(x),
        sums_(sums),
        gamma_(vector_of(op.gamma, x.width)),
        beta_(vector_of(op.beta, x.width)),
        epsilon_(op.epsilon) {}

  std::string label() const override { return "response norm"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    const step::Segment* segment = nullptr;
    float inverse = 0.0F;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& of = site_.launch->segment(static_cast<std::int32_t>(row));
      const float* norms = sums_.row(of.first_row);
      if (&of != segment)
        inverse =
            1.0F / (site_.kernels->sum(norms, x_.width) / static_cast<float>(x_.width) + epsilon_);
      segment = &of;
      site_.kernels->respond(norms, inverse, gamma_, beta_, x_.width, x_.row(row));
    }
  }

 private:
  Site site_;
  Rows x_;
  Rows sums_;
  const float* gamma_;
  const float* beta_;
  float epsilon_;
};

}  // namespace

void add_depthwise_conv(const Site& site, const ops::DepthwiseConv& op, const Rows& x,
                        const Rows& out, Stages& stages) {
  stages.push_back(std::make_unique<DepthwiseStage>(site, op, x, out));
}

void add_grouped_conv(const Site& site, const ops::GroupedConv& op, const Rows& x, const Rows& out,
                      bool has_many_rows, Stages& stages) {
  stages.push_back(std::make_unique<GroupedConvStage>(site, op, x, out, has_many_rows));
}

void add_response_norm(const Site& site, const ops::ResponseNorm& op, const Rows& x,
                       const Rows& sums, Stages& stages) {
  stages.push_back(std::make_unique<ResponseSumStage>(site, x, sums));
  stages.push_back(std::make_unique<RespondStage>(site, op, x, sums));
}

}  // namespace ttsrt::cpu
