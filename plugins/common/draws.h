// The ops of draws: ops::ClearScores, ops::UpdatePrior, ops::SampleCodes and ops::FinishStep.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

// What ops that have no activation know of a launch.
struct DrawAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  FaultAttributes faults;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
  }
  void check(const char* plugin) const {
    launch.check(plugin);
    slots.check(plugin);
    check_at_least(plugin, "max_draws", 1, launch.max_draws);
  }
};

// Sets the scores of the draws to zero, before the first attention that adds to them.
class ClearScores final : public OpOf<ClearScores, DrawAttributes> {
 public:
  static constexpr const char* kName = "ClearScores";

  explicit ClearScores(DrawAttributes attributes);
  void enqueue(const Call& call) const override;
};

// Focus, counts and marks of each draw, from its scores.
class PriorUpdate final : public OpOf<PriorUpdate, DrawAttributes> {
 public:
  static constexpr const char* kName = "PriorUpdate";

  explicit PriorUpdate(DrawAttributes attributes);
  void enqueue(const Call& call) const override;
};

// Whether speech ended in this stack, which becomes the last codes.
class FinishStep final : public OpOf<FinishStep, DrawAttributes> {
 public:
  static constexpr const char* kName = "FinishStep";

  explicit FinishStep(DrawAttributes attributes);
  void enqueue(const Call& call) const override;
};

struct GuidedSampleAttributes : DrawAttributes {
  std::int32_t vocab = 1;        // ids of each codebook
  std::int32_t keep_guided = 0;  // 1: the guided logits are kept, for traces

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    DrawAttributes::each(self, visit);
    visit("vocab", self.vocab);
    visit("keep_guided", self.keep_guided);
  }
};

// Guidance, masks, filters and a draw for each codebook.
class GuidedSample final : public OpOf<GuidedSample, GuidedSampleAttributes> {
 public:
  static constexpr const char* kName = "GuidedSample";

  explicit GuidedSample(GuidedSampleAttributes attributes);
  std::size_t workspace_bytes() const override;
  void enqueue(const Call& call) const override;
};

}  // namespace ttsrt::plugins
