// Replays the prior's state on the host from the scores of each step; traces show its weights as
// the prior of a step.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/slot_rules.h"

namespace ttsrt::decode {

class PriorMirror {
 public:
  explicit PriorMirror(const rules::SlotRules& rules);

  bool has_prior() const { return state_.has_prior; }
  std::vector<float> weights() const;  // [text_len]: weights of the next step
  void update(const float* scores);    // [text_len]: scores of the last step

 private:
  rules::SlotRules rules_;
  rules::SlotState state_;
  std::vector<std::int32_t> counts_;
};

}  // namespace ttsrt::decode
