// ops::StoreContext and ops::Unfold: what moves rows and multiplies nothing.
#pragma once

#include "common/bound.h"

namespace ttsrt::plugins {

struct StoreContextAttributes {
  LaunchAttributes launch;
  SlotAttributes slots;
  FaultAttributes faults;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    SlotAttributes::each(self.slots, visit);
    FaultAttributes::each(self.faults, visit);
  }
};

class StoreContext final : public OpOf<StoreContext, StoreContextAttributes> {
 public:
  static constexpr const char* kName = "StoreContext";

  explicit StoreContext(StoreContextAttributes attributes);
  void enqueue(const Call& call) const override;
};

struct UnfoldAttributes {
  LaunchAttributes launch;
  std::int32_t width = 1;
  std::int32_t kernel = 1;
  std::int32_t is_causal = 1;
  std::int32_t has_history = 0;  // 1: rows before a segment are kept in the slots

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    LaunchAttributes::each(self.launch, visit);
    visit("width", self.width);
    visit("kernel", self.kernel);
    visit("is_causal", self.is_causal);
    visit("has_history", self.has_history);
  }
};

class Unfold final : public OpOf<Unfold, UnfoldAttributes> {
 public:
  static constexpr const char* kName = "Unfold";

  explicit Unfold(UnfoldAttributes attributes);
  void enqueue(const Call& call) const override;
};

}  // namespace ttsrt::plugins
