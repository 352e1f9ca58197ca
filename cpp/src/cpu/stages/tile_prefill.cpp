#include "cpu/stages/tile_prefill.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "cpu/kernels/tile_kernels.h"
#include "cpu/stages/self_attention_part.h"

namespace ttsrt::cpu {
namespace {

// Keys and values of a head that a thread holds in tiles, which stay in its L2 cache.
constexpr std::int64_t kMostHeldBytes = std::int64_t{2} << 20;
constexpr std::int32_t kParts = 2;  // bfloat16 of a query or a share: nearly as exact as float32

std::int64_t padded_positions(std::int64_t positions) {
  return ops::padded_to(positions, kTileInputs);
}
std::int64_t held_bytes(std::int64_t positions, std::int64_t head_dim) {
  return padded_positions(positions) * head_dim * 4;
}

bool draws(const ops::Op& op) {
  return std::holds_alternative<ops::SampleCodes>(op) ||
         std::holds_alternative<ops::PickCodes>(op) ||
         std::holds_alternative<ops::FinishStep>(op) ||
         std::holds_alternative<ops::GuessBlock>(op) ||
         std::holds_alternative<ops::FinishBlock>(op) ||
         std::holds_alternative<ops::ShiftBlock>(op);
}

// A unit is up to kTileQueries queries of a segment that read one head of keys: the query heads of
// its group in one row after the other. Threads take consecutive units, with about as many keys for
// each thread. A thread copies the keys and values of a head into tiles once for all of its units
// that read it.
class PrefillAttendStage : public SelfAttentionPart {
 public:
  PrefillAttendStage(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows)
      : SelfAttentionPart(site, op, rows, {}),
        max_positions_(max_cached_positions(site.slots->spec())) {}

  std::string label() const override { return "self-attention by tiles"; }
  bool is_needed() const override { return site_.launch->rows > 0; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(query_bytes() + held_bytes(max_positions_, op_.head_dim) +
                                    tile_scratch_bytes(max_positions_, op_.head_dim, kParts));
  }

  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    std::int64_t keys = 0;
    for (const step::Segment& segment : segments)
      for (std::int32_t unit = 0; unit < units_of(segment); ++unit) keys += keys_of(segment, unit);
    const Range mine = share_of(keys * kv_heads(), worker);
    Held held;
    held.keys = reinterpret_cast<unsigned char*>(worker.scratch) + query_bytes();
    held.values = held.keys + held_bytes(max_positions_, op_.head_dim) / 2;
    std::int64_t at = 0;
    for (const step::Segment& segment : segments) {
      for (std::int32_t head = 0; head < kv_heads(); ++head) {
        held.positions = 0;
        for (std::int32_t unit = 0; unit < units_of(segment) && at < mine.end; ++unit) {
          if (at >= mine.begin) attend(segment, head, unit, held, worker);
          at += keys_of(segment, unit);
        }
      }
    }
  }

 private:
  // The head that a thread is at.
  struct Held {
    unsigned char* keys = nullptr;
    unsigned char* values = nullptr;
    std::int32_t positions = 0;  // that are in tiles, whole steps
    std::int32_t finite = 0;     // before the first whose values are not
  };

  std::int64_t query_bytes() const {
    return std::int64_t{kTileQueries} * op_.head_dim * static_cast<std::int64_t>(sizeof(float));
  }
  std::int32_t queries_of(const step::Segment& segment) const { return segment.rows * group(); }
  std::int32_t units_of(const step::Segment& segment) const {
    return (queries_of(segment) + kTileQueries - 1) / kTileQueries;
  }
  // Positions that the last row of a unit sees.
  std::int32_t keys_of(const step::Segment& segment, std::int32_t unit) const {
    const std::int32_t last = std::min(queries_of(segment), (unit + 1) * kTileQueries) - 1;
    return length_of(segment, segment.first_row + last / group());
  }

  // Puts the positions of a head up to `length` into tiles.
  void hold(const step::Segment& segment, std::int32_t head, std::int32_t length,
            Held& held) const {
    const std::int32_t all = length_of(segment, segment.first_row + segment.rows - 1);
    if (held.positions == 0) held.finite = all;
    for (; held.positions < length; held.positions += kTileInputs) {
      TileCached args = {};
      args.value_offset = layout_.value_offset();
      args.count = std::min(kTileInputs, all - held.positions);
      args.head_dim = op_.head_dim;
      const std::int64_t offset = std::int64_t{held.positions} * op_.head_dim * 2;
      args.keys = held.keys + offset;
      args.values = held.values + offset;
      for (std::int32_t i = 0; i * kLanes < args.count; ++i)
        args.blocks[i] = block(segment, held.positions + i * kLanes, head);
      const std::int32_t finite = site_.kernels->tiles->gather(args);
      if (finite < args.count) held.finite = std::min(held.finite, held.positions + finite);
    }
  }

  const unsigned char* block(const step::Segment& segment, std::int32_t position,
                             std::int32_t head) const {
    const std::byte* at = base() + block_of(segment.first_row, position) * layout_.block_bytes +
                          head * layout_.head_bytes;
    return reinterpret_cast<const unsigned char*>(at);
  }

  void attend(const step::Segment& segment, std::int32_t head, std::int32_t unit, Held& held,
              const Worker& worker) const {
    const std::int32_t first = unit * kTileQueries;
    auto* turned = reinterpret_cast<float*>(worker.scratch);
    const float* queries[kTileQueries];
    float* outs[kTileQueries];
    std::int32_t lengths[kTileQueries];
    TileAttend args = {};
    args.rows = std::min(kTileQueries, queries_of(segment) - first);
    for (std::int32_t r = 0; r < args.rows; ++r) {
      const std::int32_t row = segment.first_row + (first + r) / group();
      const std::int32_t query = head * group() + (first + r) % group();
      const std::int64_t column = std::int64_t{query} * op_.head_dim;
      queries[r] = turned_.query(position_of(segment, row), query, qkv_.row(row) + column,
                                 turned + std::int64_t{r} * op_.head_dim);
      outs[r] = out_.row(row) + column;
      lengths[r] = length_of(segment, row);
    }
    args.queries = queries;
    args.outs = outs;
    args.lengths = lengths;
    args.length = keys_of(segment, unit);
    hold(segment, head, args.length, held);
    args.keys = held.keys;
    args.values = held.values;
    args.scratch = held.keys + held_bytes(max_positions_, op_.head_dim);
    args.head_dim = op_.head_dim;
    args.scale = op_.scale > 0.0F ? op_.scale : 1.0F / std::sqrt(static_cast<float>(op_.head_dim));
    args.parts = kParts;
    args.finite = held.finite;
    site_.kernels->tiles->attend(args);
  }

  std::int32_t max_positions_;
};

}  // namespace

bool attends_prefill_by_tiles(const Site& site, const ops::Program& program,
                              const ops::SelfAttention& op) {
  if (site.kernels->tiles == nullptr || op.cache_layer < 0 || !op.causal) return false;
  const bool fits =
      held_bytes(max_cached_positions(site.slots->spec()), op.head_dim) <= kMostHeldBytes;
  return fits && op.scores == ops::kNoBuffer && op.head_dim % kTileInputs == 0 &&
         site.slots->cache_layout().element == Element::bfloat16 &&
         std::none_of(program.ops.begin(), program.ops.end(), draws);
}

void add_prefill_attention(const Site& site, const ops::SelfAttention& op,
                           const SelfAttentionRows& rows, Stages& stages) {
  add_store_rows(site, op, rows, {}, stages);
  stages.push_back(std::make_unique<PrefillAttendStage>(site, op, rows));
}

}  // namespace ttsrt::cpu
