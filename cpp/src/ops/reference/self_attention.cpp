// SelfAttention: over the paged cache, or over the rows of the segment alone.
#include "core/check.h"
#include "ops/reference/attention.h"
#include "ops/reference/run.h"

namespace ttsrt::ops::reference {
namespace {

std::int32_t block_of(const step::Segment& segment, std::int32_t position) {
  const std::int32_t index = position / kBlockSize;
  TTSRT_CHECK(InternalError, segment.blocks != nullptr && index < segment.num_blocks, "position ",
              position, " needs block ", index, " of a table of ", segment.num_blocks);
  return segment.blocks[index];
}

// Appends the segment's keys and values; `qkv` are its rows [rows, 3 * width].
void append(const SelfAttention& op, const step::Segment& segment, const float* qkv,
            std::int64_t width, State& state) {
  for (std::int32_t i = 0; i < segment.rows; ++i) {
    const std::int32_t position = segment.position + i;
    const std::int32_t block = block_of(segment, position);
    for (std::int32_t part = 0; part < 2; ++part) {
      const float* from = qkv + (i * 3 + 1 + part) * width;
      float* kept = state.cache_row(op.cache_layer, block, position % kBlockSize, part);
      state.keep(from, op.heads, op.head_dim, kept);
    }
  }
}

Seen cached_rows(const SelfAttention& op, const step::Segment& segment, State& state) {
  Seen seen;
  for (std::int32_t position = 0; position < segment.position + segment.rows; ++position) {
    const std::int32_t block = block_of(segment, position);
    seen.keys.push_back(state.cache_row(op.cache_layer, block, position % kBlockSize, 0));
    seen.values.push_back(state.cache_row(op.cache_layer, block, position % kBlockSize, 1));
  }
  return seen;
}

Seen own_rows(const step::Segment& segment, const float* qkv, std::int64_t width) {
  Seen seen;
  for (std::int32_t i = 0; i < segment.rows; ++i) {
    seen.keys.push_back(qkv + (i * 3 + 1) * width);
    seen.values.push_back(qkv + (i * 3 + 2) * width);
  }
  return seen;
}

}  // namespace

void run(const SelfAttention& op, Run& at) {
  const HeadShape shape{op.heads, op.head_dim};
  const std::int64_t width = std::int64_t{op.heads} * op.head_dim;
  const float* qkv = at.rows(op.qkv, 3 * width);
  float* out = at.rows(op.out, width);
  const bool is_cached = op.cache_layer >= 0;
  const StateSpec& spec = at.state.spec();
  TTSRT_CHECK(InternalError,
              !is_cached || (spec.cache_heads == op.heads && spec.cache_head_dim == op.head_dim),
              "self-attention: expected ", spec.cache_heads, " heads of ", spec.cache_head_dim,
              " as the cache has, got ", op.heads, " of ", op.head_dim);
  TTSRT_CHECK(InternalError, !is_cached || op.causal,
              "self-attention: a cached row can't see what comes after it");
  for (const step::Segment& segment : at.batch.segments) {
    const float* rows = qkv + segment.first_row * 3 * width;
    if (is_cached) append(op, segment, rows, width, at.state);
    const Seen seen =
        is_cached ? cached_rows(op, segment, at.state) : own_rows(segment, rows, width);
    const std::int64_t before = is_cached ? segment.position : 0;
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const std::int64_t count = op.causal ? before + i + 1 : segment.rows;
      attend(shape, rows + i * 3 * width, seen, count, out + (segment.first_row + i) * width);
    }
  }
}

}  // namespace ttsrt::ops::reference
