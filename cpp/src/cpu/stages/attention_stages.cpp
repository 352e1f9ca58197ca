#include "cpu/stages/attention_stages.h"

#include <cmath>
#include <cstring>

#include "core/check.h"

namespace ttsrt::cpu {
namespace {

// Self-attention, both where keys and values stay in the cache and where they live for this launch
// only.
class SelfAttentionPart : public Stage {
 public:
  SelfAttentionPart(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                    const Rows& out, const SegmentBlocks& segments)
      : site_(site), op_(op), qkv_(qkv), out_(out), segments_(segments) {
    layout_ = is_cached() ? site.slots->cache_layout() : segments.layout;
    kernels_ = &site.kernels->attention[static_cast<int>(layout_.element)];
  }

 protected:
  bool is_cached() const { return op_.cache_layer >= 0; }

  std::byte* base() const {
    return is_cached() ? site_.slots->cache(op_.cache_layer) : *segments_.data;
  }

  // Place of a row of a segment: how many rows of its sequence stand before it.
  std::int32_t place_of(const step::Segment& segment, std::int32_t row) const {
    return row - segment.first_row + (is_cached() ? segment.position : 0);
  }

  std::int64_t block_of(std::int32_t row, std::int32_t place) const {
    if (is_cached()) return site_.launch->table(row)[place / kLanes];
    const auto index =
        static_cast<std::size_t>(site_.launch->segment_of[static_cast<std::size_t>(row)]);
    return site_.launch->first_block[index] + place / kLanes;
  }

  void store(const step::Segment& segment, std::int32_t row, std::int32_t head) const {
    const std::int32_t place = place_of(segment, row);
    const std::int64_t width = std::int64_t{op_.heads} * op_.head_dim;
    std::byte* keys =
        base() + block_of(row, place) * layout_.block_bytes + head * layout_.head_bytes;
    const float* key = qkv_.row(row) + width + std::int64_t{head} * op_.head_dim;
    kernels_->store(key, key + width, keys, keys + layout_.value_offset(), place % kLanes,
                    op_.head_dim);
  }

  void attend(const step::Segment& segment, std::int32_t row, std::int32_t head,
              float* scratch) const {
    kernels_->attend(attend_args(segment, row, head, scratch));
  }

  // `rows` rows of one segment, from `row` on; scratch: as much for each.
  void attend_together(const step::Segment& segment, std::int32_t row, std::int32_t rows,
                       std::int32_t head, float* scratch, std::int64_t scratch_floats) const {
    AttendArgs args[kMostQueryRows];
    for (std::int32_t i = 0; i < rows; ++i)
      args[i] = attend_args(segment, row + i, head, scratch + i * scratch_floats);
    kernels_->attend_rows(args);
  }

  AttendArgs attend_args(const step::Segment& segment, std::int32_t row, std::int32_t head,
                         float* scratch) const {
    AttendArgs args = attend_over(layout_, length_of(segment, row), scratch);
    args.query = qkv_.row(row) + std::int64_t{head} * op_.head_dim;
    args.out = out_.row(row) + std::int64_t{head} * op_.head_dim;
    const std::byte* first = base() + head * layout_.head_bytes;
    if (!is_cached()) first += block_of(row, 0) * layout_.block_bytes;
    args.cache = reinterpret_cast<const unsigned char*>(first);
    if (is_cached()) args.blocks = site_.launch->table(row);
    return args;
  }

  std::int32_t length_of(const step::Segment& segment, std::int32_t row) const {
    return op_.causal ? place_of(segment, row) + 1 : segment.rows;
  }

  Site site_;
  ops::SelfAttention op_;
  Rows qkv_;
  Rows out_;
  SegmentBlocks segments_;
  BlockLayout layout_;
  const AttentionKernels* kernels_ = nullptr;
};

class StoreRowsStage : public SelfAttentionPart {
 public:
  using SelfAttentionPart::SelfAttentionPart;

  std::string label() const override { return "store keys and values"; }
  bool is_needed() const override { return !site_.launch->has_single_rows; }

  // By (row, head), heads first in a share, so that a thread writes whole blocks of its heads.
  void run(const Worker& worker) override {
    const Range heads = share_of(op_.heads, worker);
    const bool splits_heads = op_.heads >= worker.num_threads;
    const Range rows =
        splits_heads ? Range{0, site_.launch->rows} : share_of(site_.launch->rows, worker);
    const Range mine = splits_heads ? heads : Range{0, op_.heads};
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto at = static_cast<std::int32_t>(row);
      for (std::int64_t head = mine.begin; head < mine.end; ++head) {
        store(site_.launch->segment(at), at, static_cast<std::int32_t>(head));
      }
    }
  }
};

class AttendRowsStage : public SelfAttentionPart {
 public:
  AttendRowsStage(const Site& site, const ops::SelfAttention& op, const Rows& qkv, const Rows& out,
                  const SegmentBlocks& segments, std::int32_t max_positions)
      : SelfAttentionPart(site, op, qkv, out, segments), max_positions_(max_positions) {}

  std::string label() const override { return "self-attention"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(query_rows() * weight_floats(max_positions_)) * sizeof(float);
  }

  // Units are (head, row) pairs, balanced by the number of keys: each thread takes a run of the
  // keys of all units.
  void run(const Worker& worker) override {
    const Launch& launch = *site_.launch;
    std::int64_t keys = 0;
    for (std::int32_t row = 0; row < launch.rows; ++row)
      keys += length_of(launch.segment(row), row);
    if (keys == 0) return;
    const Range share = share_of(keys * op_.heads, worker);
    for (std::int64_t head = share.begin / keys; head < op_.heads && head * keys < share.end;
         ++head) {
      std::int64_t before = head * keys;
      Run run;
      for (std::int32_t row = 0; row < launch.rows && before < share.end; ++row) {
        const std::int64_t at = before;
        before += length_of(launch.segment(row), row);
        if (at < share.begin) continue;
        if (!run.goes_on(launch, row)) {
          attend_run(run, static_cast<std::int32_t>(head), worker);
          run = {row, 0};
        }
        ++run.rows;
      }
      attend_run(run, static_cast<std::int32_t>(head), worker);
    }
  }

 private:
  // Rows of one segment.
  struct Run {
    std::int32_t first = 0;
    std::int32_t rows = 0;
    bool goes_on(const Launch& launch, std::int32_t row) const {
      return rows > 0 && launch.segment_of[static_cast<std::size_t>(row)] ==
                             launch.segment_of[static_cast<std::size_t>(first)];
    }
  };

  std::int32_t query_rows() const { return site_.kernels->query_rows; }

  void attend_run(const Run& run, std::int32_t head, const Worker& worker) const {
    if (run.rows == 0) return;
    const step::Segment& segment = site_.launch->segment(run.first);
    auto* scratch = reinterpret_cast<float*>(worker.scratch);
    const std::int32_t end = run.first + run.rows;
    std::int32_t row = run.first;
    for (; query_rows() > 1 && row + query_rows() <= end; row += query_rows())
      attend_together(segment, row, query_rows(), head, scratch, weight_floats(max_positions_));
    for (; row < end; ++row) {
      if (site_.launch->has_single_rows) store(segment, row, head);
      attend(segment, row, head, scratch);
    }
  }

  std::int32_t max_positions_;
};

}  // namespace

AttendArgs attend_over(const BlockLayout& layout, std::int32_t length, float* weights) {
  AttendArgs args = {};
  args.weights = weights;
  args.block_bytes = layout.block_bytes;
  args.value_offset = layout.value_offset();
  args.length = length;
  args.head_dim = layout.head_dim;
  args.scale = 1.0F / std::sqrt(static_cast<float>(layout.head_dim));
  return args;
}

void add_self_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                        const Rows& out, const SegmentBlocks& segments, std::int32_t max_rows,
                        Stages& stages) {
  const ops::StateSpec& spec = site.slots->spec();
  const bool is_cached = op.cache_layer >= 0;
  TTSRT_CHECK(InternalError,
              qkv.width == 3 * out.width && out.width == std::int64_t{op.heads} * op.head_dim,
              "self-attention: expected width ", op.heads * op.head_dim, ", got ", out.width);
  TTSRT_CHECK(InternalError,
              !is_cached || (spec.cache_heads == op.heads && spec.cache_head_dim == op.head_dim &&
                             op.cache_layer < spec.cache_layers && op.causal),
              "self-attention: expected a causal layer of the cache, got layer ", op.cache_layer,
              " of ", spec.cache_layers);
  stages.push_back(std::make_unique<StoreRowsStage>(site, op, qkv, out, segments));
  const std::int64_t cached = std::int64_t{spec.num_blocks} * ops::kBlockSize;
  const std::int64_t most =
      spec.max_positions > 0 ? std::min<std::int64_t>(cached, spec.max_positions) : cached;
  const auto max_positions = is_cached ? static_cast<std::int32_t>(most) : max_rows;
  stages.push_back(std::make_unique<AttendRowsStage>(site, op, qkv, out, segments, max_positions));
}

}  // namespace ttsrt::cpu
