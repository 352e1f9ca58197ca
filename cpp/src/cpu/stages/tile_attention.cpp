#include "cpu/stages/tile_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernels/tile_kernels.h"
#include "cpu/stages/head_rows.h"

namespace ttsrt::cpu {
namespace {

// Positions that keys and values of a segment take.
std::int64_t padded_positions(std::int64_t rows) { return ops::padded_to(rows, kTileInputs); }

class TileAttentionPart : public Stage {
 public:
  TileAttentionPart(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                    const Rows& out, const TileSegments& segments)
      : site_(site), op_(op), qkv_(qkv), out_(out), segments_(segments), heads_(site, op) {}

  bool is_needed() const override { return site_.launch->rows > 0; }

 protected:
  // Keys of a head of a segment that begins `before` padded positions behind the first; its values
  // follow.
  unsigned char* keys(const step::Segment& segment, std::int64_t before, std::int32_t head) const {
    const std::int64_t position_bytes = std::int64_t{op_.head_dim} * 4;
    const std::int64_t of_heads =
        before * op_.num_kv_heads() + padded_positions(segment.rows) * head;
    return reinterpret_cast<unsigned char*>(*segments_.data) + of_heads * position_bytes;
  }
  std::int64_t value_offset(const step::Segment& segment) const {
    return padded_positions(segment.rows) * op_.head_dim * 2;
  }
  const TileKernels& tiles() const { return *site_.kernels->tiles; }

  Site site_;
  ops::SelfAttention op_;
  Rows qkv_;
  Rows out_;
  TileSegments segments_;
  HeadRows heads_;
};

// A unit is a head of up to kTileInputs positions; those behind the last are filled with zeros.
class TileStoreStage : public TileAttentionPart {
 public:
  using TileAttentionPart::TileAttentionPart;

  std::string label() const override { return "store keys and values in tiles"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(kTileInputs) * static_cast<std::size_t>(op_.head_dim) *
           sizeof(float);
  }

  void run(const Worker& worker) override {
    const std::int32_t heads = op_.num_kv_heads();
    const auto& segments = site_.launch->batch->segments;
    std::int64_t units = 0;
    for (const step::Segment& segment : segments) units += blocks_of(segment) * heads;
    const Range mine = share_of(units, worker);
    std::int64_t at = 0;
    std::int64_t before = 0;
    for (const step::Segment& segment : segments) {
      const std::int64_t count = blocks_of(segment) * heads;
      const std::int64_t end = std::min(mine.end - at, count);
      for (std::int64_t unit = std::max<std::int64_t>(mine.begin - at, 0); unit < end; ++unit)
        store(segment, before, static_cast<std::int32_t>(unit % heads),
              static_cast<std::int32_t>(unit / heads) * kTileInputs, worker);
      at += count;
      before += padded_positions(segment.rows);
    }
  }

 private:
  static std::int64_t blocks_of(const step::Segment& segment) {
    return padded_positions(segment.rows) / kTileInputs;
  }

  // The positions [first, first + kTileInputs) of a head.
  void store(const step::Segment& segment, std::int64_t before, std::int32_t head,
             std::int32_t first, const Worker& worker) const {
    auto* turned = reinterpret_cast<float*>(worker.scratch);
    const float* key_rows[kTileInputs];
    const float* value_rows[kTileInputs];
    const std::int32_t count = std::min(kTileInputs, segment.rows - first);
    for (std::int32_t i = 0; i < count; ++i) {
      const float* key =
          qkv_.row(segment.first_row + first + i) + std::int64_t{op_.heads + head} * op_.head_dim;
      key_rows[i] = heads_.key(segment.position + first + i, head, key,
                               turned + std::int64_t{i} * op_.head_dim);
      value_rows[i] = key + std::int64_t{op_.num_kv_heads()} * op_.head_dim;
    }
    unsigned char* to = keys(segment, before, head) + std::int64_t{first} * op_.head_dim * 2;
    tiles().store(key_rows, value_rows, count, to, to + value_offset(segment), op_.head_dim);
  }
};

// A unit is up to kTileQueries queries of a head. Threads take runs of units with as many keys.
class TileAttendStage : public TileAttentionPart {
 public:
  using TileAttentionPart::TileAttentionPart;

  std::string label() const override { return "self-attention by tiles"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(query_bytes() +
                                    tile_scratch_bytes(segments_.max_rows, op_.head_dim, 1));
  }

  void run(const Worker& worker) override {
    const auto& segments = site_.launch->batch->segments;
    std::int64_t keys = 0;
    for (const step::Segment& segment : segments) keys += blocks_of(segment) * segment.rows;
    const Range mine = share_of(keys * op_.heads, worker);
    std::int64_t at = 0;
    std::int64_t before = 0;
    for (const step::Segment& segment : segments) {
      for (std::int32_t head = 0; head < op_.heads; ++head) {
        for (std::int64_t block = 0; block < blocks_of(segment); ++block) {
          if (at >= mine.begin && at < mine.end)
            attend(segment, before, head, static_cast<std::int32_t>(block), worker);
          at += segment.rows;
        }
      }
      before += padded_positions(segment.rows);
    }
  }

 private:
  static std::int64_t blocks_of(const step::Segment& segment) {
    return (segment.rows + kTileQueries - 1) / kTileQueries;
  }
  std::int64_t query_bytes() const {
    return std::int64_t{kTileQueries} * op_.head_dim * static_cast<std::int64_t>(sizeof(float));
  }

  void attend(const step::Segment& segment, std::int64_t before, std::int32_t head,
              std::int32_t block, const Worker& worker) const {
    const std::int32_t first = block * kTileQueries;
    auto* turned = reinterpret_cast<float*>(worker.scratch);
    const float* queries[kTileQueries];
    float* outs[kTileQueries];
    TileAttend args = {};
    args.rows = std::min(kTileQueries, segment.rows - first);
    const std::int64_t column = std::int64_t{head} * op_.head_dim;
    for (std::int32_t r = 0; r < args.rows; ++r) {
      const std::int32_t row = segment.first_row + first + r;
      queries[r] = heads_.query(segment.position + first + r, head, qkv_.row(row) + column,
                                turned + std::int64_t{r} * op_.head_dim);
      outs[r] = out_.row(row) + column;
    }
    args.queries = queries;
    args.outs = outs;
    args.keys = keys(segment, before, head / (op_.heads / op_.num_kv_heads()));
    args.values = args.keys + value_offset(segment);
    args.scratch = reinterpret_cast<unsigned char*>(worker.scratch) + query_bytes();
    args.length = segment.rows;
    args.finite = segment.rows;
    args.parts = 1;
    args.head_dim = op_.head_dim;
    args.scale = op_.scale > 0.0F ? op_.scale : 1.0F / std::sqrt(static_cast<float>(op_.head_dim));
    tiles().attend(args);
  }
};

}  // namespace

bool uses_tiles(const StageList& list, const ops::SelfAttention& op) {
  return list.site.kernels->tiles != nullptr && op.cache_layer < 0 && !op.causal &&
         op.scores == ops::kNoBuffer && op.segment_dtype == DType::bfloat16 &&
         op.head_dim % kTileInputs == 0;
}

std::int64_t tile_segment_bytes(const ops::SelfAttention& op, const ops::ProgramLimits& limits) {
  return limits.segment_blocks(kTileInputs) * kTileInputs * op.num_kv_heads() * op.head_dim * 4;
}

void add_tile_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                        const Rows& out, const TileSegments& segments, Stages& stages) {
  stages.push_back(std::make_unique<TileStoreStage>(site, op, qkv, out, segments));
  stages.push_back(std::make_unique<TileAttendStage>(site, op, qkv, out, segments));
}

}  // namespace ttsrt::cpu
