// Stages that use keys and values: SelfAttention over the paged cache or over a segment,
// StoreMemory, CrossAttention, ClearScores.
//
// Storing and attending are two stages with a barrier between them. If every segment is one row,
// they are one stage: no row then needs another row's key of this launch, and each thread stores
// the keys of the heads that it attends to. If the op has scores, they are a third stage: one pass
// more over the heads that add to them, for draws that read them only.
#pragma once

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

// Returns the arguments of attention over the first `length` positions of consecutive blocks. The
// caller adds the query, the head and the output.
AttendArgs attend_over(const BlockLayout& layout, std::int32_t length, float* weights);

// Returns the floats for the weights of this many positions, in whole blocks.
constexpr std::int64_t weight_floats(std::int64_t positions) {
  return ops::padded_to(positions, kLanes);
}

// Blocks for the keys and values of whole segments; all layers of a Program share them.
struct SegmentBlocks {
  std::byte* const* data = nullptr;  // read when stages run
  BlockLayout layout;
};

// What self-attention reads and writes. `scores.data` is null if the op has no scores.
struct SelfAttentionRows {
  Rows qkv;
  Rows out;
  Rows scores;
};

// The most positions that a sequence has in the cache. Where the state limits them, the number of
// blocks does not matter, so that scratch is planned before the pool is.
std::int32_t max_cached_positions(const ops::StateSpec& spec);

// `segments` is used if the op does not use the cache. add_store_rows() adds the stage that stores
// alone, which then also runs in launches of single rows.
void add_store_rows(const Site& site, const ops::SelfAttention& op, const SelfAttentionRows& rows,
                    const SegmentBlocks& segments, Stages& stages);
void add_self_attention(const Site& site, const ops::SelfAttention& op,
                        const SelfAttentionRows& rows, const SegmentBlocks& segments,
                        std::int32_t max_rows, Stages& stages);
void add_store_memory(const Site& site, const ops::StoreMemory& op, const Rows& kv, Stages& stages);
// `scores.data` is null if the op has no scores.
void add_cross_attention(const Site& site, const ops::CrossAttention& op, const Rows& q,
                         const Rows& out, const Rows& scores, Stages& stages);
void add_clear_scores(const Site& site, const Rows& scores, Stages& stages);

}  // namespace ttsrt::cpu
