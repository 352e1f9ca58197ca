// Stages around keys and values: SelfAttention over the paged cache or a segment alone,
// StoreMemory, CrossAttention, ClearScores.
//
// Decided: storing and attending are two stages with a barrier between, unless every segment is one
// row: then no row needs another row's key of this launch, and each thread stores the heads it
// attends.
#pragma once

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

// Attention over the first `length` positions of blocks that lie one behind the other; who asks,
// of which head, and where the answer goes, is the caller's to say.
AttendArgs attend_over(const BlockLayout& layout, std::int32_t length, float* weights);

// Floats that the weights of so many positions take: whole blocks.
constexpr std::int64_t weight_floats(std::int64_t positions) {
  return ops::padded_to(positions, kLanes);
}

// Blocks that hold the keys and values of whole segments, shared by the layers of a Program.
struct SegmentBlocks {
  std::byte* const* data = nullptr;  // read when stages run
  BlockLayout layout;
};

// `segments` is used where the op keeps nothing in the cache.
void add_self_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                        const Rows& out, const SegmentBlocks& segments, std::int32_t max_rows,
                        Stages& stages);
void add_store_memory(const Site& site, const ops::StoreMemory& op, const Rows& kv, Stages& stages);
// `scores.data` is null where the op has none.
void add_cross_attention(const Site& site, const ops::CrossAttention& op, const Rows& q,
                         const Rows& out, const Rows& scores, Stages& stages);
void add_clear_scores(const Site& site, const Rows& scores, Stages& stages);

}  // namespace ttsrt::cpu
