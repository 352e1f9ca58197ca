// The first and the last plugin of a network: what begins a launch, and what gives its results.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

struct LaunchEndAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  std::int32_t clear_scores = 0;  // 1: BeginLaunch sets the scores of all draws to zero, too

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    visit("clear_scores", self.clear_scores);
  }
};

// Clears fault words, prepares the outcome of the draws and tells the time.
class BeginLaunch final : public OpOf<BeginLaunch, LaunchEndAttributes> {
 public:
  static constexpr const char* kName = "BeginLaunch";

  explicit BeginLaunch(LaunchEndAttributes attributes);
  void enqueue(const Call& call) const override;
};

// Writes what the host reads to the buffers of the launch's stage.
class GiveResults final : public OpOf<GiveResults, LaunchEndAttributes> {
 public:
  static constexpr const char* kName = "GiveResults";

  explicit GiveResults(LaunchEndAttributes attributes);
  void enqueue(const Call& call) const override;
};

}  // namespace ttsrt::plugins
