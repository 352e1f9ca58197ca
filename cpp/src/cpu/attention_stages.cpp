#include "cpu/attention_stages.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "ops/rules/prior.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);
constexpr std::int32_t kMostQueryRows = 8;

std::int64_t padded(std::int64_t positions) { return (positions + kLanes - 1) / kLanes * kLanes; }

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

  std::int64_t block_of(const step::Segment& segment, std::int32_t row, std::int32_t place) const {
    if (is_cached()) return segment.blocks[place / kLanes];
    const auto index =
        static_cast<std::size_t>(site_.launch->segment_of[static_cast<std::size_t>(row)]);
    return site_.launch->first_block[index] + place / kLanes;
  }

  void store(const step::Segment& segment, std::int32_t row, std::int32_t head) const {
    const std::int32_t place = place_of(segment, row);
    const std::int64_t width = std::int64_t{op_.heads} * op_.head_dim;
    std::byte* keys =
        base() + block_of(segment, row, place) * layout_.block_bytes + head * layout_.head_bytes;
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
    AttendArgs args;
    args.query = qkv_.row(row) + std::int64_t{head} * op_.head_dim;
    args.out = out_.row(row) + std::int64_t{head} * op_.head_dim;
    args.weights = scratch;
    const std::byte* first = base() + head * layout_.head_bytes;
    if (!is_cached()) first += block_of(segment, row, 0) * layout_.block_bytes;
    args.cache = reinterpret_cast<const unsigned char*>(first);
    args.block_bytes = layout_.block_bytes;
    args.value_offset = layout_.value_offset();
    args.blocks = is_cached() ? segment.blocks : nullptr;
    args.prior = nullptr;
    args.length = length_of(segment, row);
    args.head_dim = op_.head_dim;
    args.scale = 1.0F / std::sqrt(static_cast<float>(op_.head_dim));
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
    return static_cast<std::size_t>(query_rows() * padded(max_positions_) * kFloatBytes);
  }

  // Units are (head, row) pairs, balanced by the number of keys: each thread takes a run of the
  // keys of all units.
  void run(const Worker& worker) override {
    const Launch& launch = *site_.launch;
    std::int64_t keys = 0;
    for (std::int32_t row = 0; row < launch.rows; ++row)
      keys += length_of(launch.segment(row), row);
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
      attend_together(segment, row, query_rows(), head, scratch, padded(max_positions_));
    for (; row < end; ++row) {
      if (site_.launch->has_single_rows) store(segment, row, head);
      attend(segment, row, head, scratch);
    }
  }

  std::int32_t max_positions_;
};

class StoreMemoryStage : public Stage {
 public:
  StoreMemoryStage(const Site& site, const ops::StoreMemory& op, const Rows& kv)
      : site_(site), op_(op), kv_(kv) {}

  std::string label() const override { return "store cross-attention memory"; }
  void run(const Worker& worker) override {
    const BlockLayout& layout = site_.slots->memory_layout();
    const auto store = site_.kernels->attention[static_cast<int>(layout.element)].store;
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      if (segment.slot == step::kNobody) continue;
      const std::int32_t place =
          segment.position + static_cast<std::int32_t>(row) - segment.first_row;
      TTSRT_CHECK(InternalError, place < site_.slots->memory_rows(op_.memory),
                  "cross-attention memory: row ", place, " of ",
                  site_.slots->memory_rows(op_.memory));
      std::byte* keys = site_.slots->memory(segment.slot, op_.layer, op_.memory) +
                        place / kLanes * layout.block_bytes;
      for (std::int32_t head = 0; head < layout.heads; ++head) {
        const float* key = kv_.row(row) + std::int64_t{head} * layout.head_dim;
        std::byte* at = keys + head * layout.head_bytes;
        store(key, key + kv_.width / 2, at, at + layout.value_offset(), place % kLanes,
              layout.head_dim);
      }
    }
  }

 private:
  Site site_;
  ops::StoreMemory op_;
  Rows kv_;
};

bool names_layer(std::uint64_t layers, std::int32_t layer) {
  return layer < 64 && ((layers >> layer) & 1U) != 0;
}

// A unit is a row with all its heads, so that the mean over heads that goes to the scores has one
// order.
class CrossAttentionStage : public Stage {
 public:
  CrossAttentionStage(const Site& site, const ops::CrossAttention& op, const Rows& q,
                      const Rows& out, const Rows& scores)
      : site_(site), op_(op), q_(q), out_(out), scores_(scores) {}

  std::string label() const override { return "cross-attention"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(3 * padded(site_.slots->memory_rows(op_.memory)) * kFloatBytes);
  }

  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    auto* scratch = reinterpret_cast<float*>(worker.scratch);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto at = static_cast<std::int32_t>(row);
      const step::Segment& segment = site_.launch->segment(at);
      const ops::rules::SlotRules& rules =
          site_.slots->rules[static_cast<std::size_t>(segment.slot)];
      const std::int32_t length =
          op_.memory == ops::Memory::text ? rules.text_len : rules.context_len;
      if (segment.branch == step::Branch::unconditional || length == 0) {
        std::memset(out_.row(row), 0, static_cast<std::size_t>(out_.width) * sizeof(float));
      } else {
        attend(segment, rules, at, length, scratch);
      }
    }
  }

 private:
  void attend(const step::Segment& segment, const ops::rules::SlotRules& rules, std::int32_t row,
              std::int32_t length, float* scratch) const {
    const BlockLayout& layout = site_.slots->memory_layout();
    float* scores = scores_of(rules, row);
    float* mean = scratch + 2 * padded(length);
    if (scores != nullptr) std::memset(mean, 0, static_cast<std::size_t>(length) * sizeof(float));
    AttendArgs args;
    args.weights = scratch;
    args.prior = prior_of(segment, rules, scratch + padded(length));
    args.block_bytes = layout.block_bytes;
    args.value_offset = layout.value_offset();
    args.blocks = nullptr;
    args.length = length;
    args.head_dim = op_.head_dim;
    args.scale = 1.0F / std::sqrt(static_cast<float>(op_.head_dim));
    const std::byte* first = site_.slots->memory(segment.slot, op_.layer, op_.memory);
    for (std::int32_t head = 0; head < op_.heads; ++head) {
      args.query = q_.row(row) + std::int64_t{head} * op_.head_dim;
      args.out = out_.row(row) + std::int64_t{head} * op_.head_dim;
      args.cache = reinterpret_cast<const unsigned char*>(first + head * layout.head_bytes);
      const float inverse = site_.kernels->attention[static_cast<int>(layout.element)].attend(args);
      if (scores == nullptr) continue;
      for (std::int32_t i = 0; i < length; ++i) mean[i] += args.weights[i] * inverse;
    }
    if (scores == nullptr) return;
    const auto shares = static_cast<float>(op_.heads * std::popcount(rules.prior.estimate_layers));
    for (std::int32_t i = 0; i < length; ++i) scores[i] += mean[i] / shares;
  }

  float* scores_of(const ops::rules::SlotRules& rules, std::int32_t row) const {
    if (scores_.data == nullptr || op_.memory != ops::Memory::text) return nullptr;
    const std::int32_t draw = site_.launch->draw_of[static_cast<std::size_t>(row)];
    return draw < 0 || !names_layer(rules.prior.estimate_layers, op_.layer) ? nullptr
                                                                            : scores_.row(draw);
  }

  // Fills `weights` with the prior's logarithms where it acts: added to the scores before the
  // softmax they multiply the probabilities, and no sum can vanish.
  const float* prior_of(const step::Segment& segment, const ops::rules::SlotRules& rules,
                        float* weights) const {
    const ops::rules::SlotState& state =
        site_.slots->states[static_cast<std::size_t>(segment.slot)];
    const bool acts = op_.memory == ops::Memory::text && segment.apply_prior && state.has_prior &&
                      rules.prior.mode != ops::rules::PriorMode::off &&
                      names_layer(rules.prior.apply_layers, op_.layer);
    if (!acts) return nullptr;
    const std::int32_t* counts = site_.slots->counts(segment.slot);
    for (std::int32_t i = 0; i < rules.text_len; ++i) {
      const float weight = ops::rules::prior_weight(rules.prior, state, counts, rules.text_len, i);
      weights[i] = std::log(weight + ops::rules::kTinyWeight);
    }
    return weights;
  }

  Site site_;
  ops::CrossAttention op_;
  Rows q_;
  Rows out_;
  Rows scores_;
};

class ClearScoresStage : public Stage {
 public:
  ClearScoresStage(const Site& site, const Rows& scores) : site_(site), scores_(scores) {}

  std::string label() const override { return "clear scores"; }
  bool is_needed() const override { return site_.launch->draws > 0; }
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    std::fill(scores_.row(draws.begin), scores_.row(draws.end), 0.0F);
  }

 private:
  Site site_;
  Rows scores_;
};

}  // namespace

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

void add_store_memory(const Site& site, const ops::StoreMemory& op, const Rows& kv,
                      Stages& stages) {
  const ops::StateSpec& spec = site.slots->spec();
  TTSRT_CHECK(InternalError,
              op.layer < spec.memory_layers &&
                  kv.width == std::int64_t{2} * spec.memory_heads * spec.memory_head_dim,
              "cross-attention memory: layer ", op.layer, " of ", spec.memory_layers, ", width ",
              kv.width);
  stages.push_back(std::make_unique<StoreMemoryStage>(site, op, kv));
}

void add_cross_attention(const Site& site, const ops::CrossAttention& op, const Rows& q,
                         const Rows& out, const Rows& scores, Stages& stages) {
  const ops::StateSpec& spec = site.slots->spec();
  TTSRT_CHECK(InternalError,
              op.layer < spec.memory_layers && op.heads == spec.memory_heads &&
                  op.head_dim == spec.memory_head_dim &&
                  q.width == std::int64_t{op.heads} * op.head_dim && out.width == q.width,
              "cross-attention: layer ", op.layer, " of ", spec.memory_layers, ", ", op.heads,
              " heads of ", op.head_dim);
  stages.push_back(std::make_unique<CrossAttentionStage>(site, op, q, out, scores));
}

void add_clear_scores(const Site& site, const Rows& scores, Stages& stages) {
  stages.push_back(std::make_unique<ClearScoresStage>(site, scores));
}

}  // namespace ttsrt::cpu
