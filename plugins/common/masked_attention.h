// ops::SelfAttention over the paged cache, which it extends, or over the rows of a segment, with
// rope and the alignment scores of draws.
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
  }
};

class MaskedAttention final : public OpOf<MaskedAttention, MaskedAttentionAttributes> {
 public:
  static constexpr const char* kName = "MaskedAttention";

  explicit MaskedAttention(MaskedAttentionAttributes attributes);
  void enqueue(const Call& call) const override;

 private:
  void check() const;
  bool keeps() const { return at_.cache.cache_blocks > 0; }
  std::uint64_t score_heads() const;
};

}  // namespace ttsrt::plugins
