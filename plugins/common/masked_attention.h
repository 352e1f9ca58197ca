// ops::SelfAttention over the paged cache, which it extends, or over the rows of a segment, with
// rope and the alignment scores of draws. Norms of heads and a rope of some heads, which whole
// items have, need a launch with `max_segments`.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

struct MaskedAttentionAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;  // where there are scores
  FaultAttributes faults;
  CacheAttributes cache;  // no blocks: nothing is kept, and a row sees its segment
  std::int32_t heads = 1;
  std::int32_t kv_heads = 1;
  std::int32_t head_dim = 1;
  float scale = 0.0F;  // of the scores; 0: 1 / sqrt(head_dim)
  std::int32_t is_causal = 1;
  std::int32_t single_rows = 0;  // 1: in every launch, each segment is one row and continues none
  std::int32_t rope_rows = 0;    // positions of the table; 0: there is no rope
  std::int32_t rope_width = 0;
  std::int32_t score_heads_low = 0;   // bits of heads 0..31 that add to the scores
  std::int32_t score_heads_high = 0;  // and of heads 32..63
  float score_share = 1.0F;
  std::int32_t rope_heads = 0;      // that the rope turns, from the first on; 0: all
  std::int32_t has_head_norms = 0;  // 1: RMS norms of each head of queries and keys
  float head_norm_epsilon = 1e-6F;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
    CacheAttributes::each(self.cache, visit);
    visit("heads", self.heads);
    visit("kv_heads", self.kv_heads);
    visit("head_dim", self.head_dim);
    visit("scale", self.scale);
    visit("is_causal", self.is_causal);
    visit("single_rows", self.single_rows);
    visit("rope_rows", self.rope_rows);
    visit("rope_width", self.rope_width);
    visit("score_heads_low", self.score_heads_low);
    visit("score_heads_high", self.score_heads_high);
    visit("score_share", self.score_share);
    visit("rope_heads", self.rope_heads);
    visit("has_head_norms", self.has_head_norms);
    visit("head_norm_epsilon", self.head_norm_epsilon);
  }
};

class MaskedAttention final : public OpOf<MaskedAttention, MaskedAttentionAttributes> {
 public:
  static constexpr const char* kName = "MaskedAttention";

  explicit MaskedAttention(MaskedAttentionAttributes attributes);
  // Of heads that are normed and turned before they attend.
  std::size_t workspace_bytes() const override;
  void enqueue(const Call& call) const override;

 private:
  void check() const;
  void enqueue_item(const Call& call) const;
  bool keeps() const { return at_.cache.cache_blocks > 0; }
  bool is_of_items() const { return at_.rope_heads > 0 || at_.has_head_norms != 0; }
  std::int64_t qkv_width() const {
    return (at_.heads + 2 * std::int64_t{at_.kv_heads}) * at_.head_dim;
  }
  std::uint64_t score_heads() const;
};

}  // namespace ttsrt::plugins
