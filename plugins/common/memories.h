// ops::StoreMemory and ops::CrossAttention: the memory of cross-attention, kept once for a request,
// and what attends to it under the attention prior.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

struct StoreMemoryAttributes {
  LaunchAttributes launch;
  FaultAttributes faults;
  MemoryAttributes memory;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    FaultAttributes::each(self.faults, visit);
    MemoryAttributes::each(self.memory, visit);
  }
};

class StoreMemory final : public OpOf<StoreMemory, StoreMemoryAttributes> {
 public:
  static constexpr const char* kName = "StoreMemory";

  explicit StoreMemory(StoreMemoryAttributes attributes);
  void enqueue(const Call& call) const override;
};

struct CrossAttentionPriorAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  MemoryAttributes memory;
  std::int32_t has_scores = 0;   // 1: layers named for estimation add to the scores of draws
  std::int32_t kept_memory = 0;  // 1: the network stores no memory, so it may be read early

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    MemoryAttributes::each(self.memory, visit);
    visit("has_scores", self.has_scores);
    visit("kept_memory", self.kept_memory);
  }
};

// `head_scores` and `heads_done` are shared by all layers; the latter are zeros before the first
// launch, and after each.
class CrossAttentionPrior final : public OpOf<CrossAttentionPrior, CrossAttentionPriorAttributes> {
 public:
  static constexpr const char* kName = "CrossAttentionPrior";

  explicit CrossAttentionPrior(CrossAttentionPriorAttributes attributes);
  void enqueue(const Call& call) const override;
};

}  // namespace ttsrt::plugins
