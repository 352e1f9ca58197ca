// The prior's state played again on the host from a step's scores: what traces show as the weight
// row of a step.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/slot_rules.h"

namespace ttsrt::decode {

class PriorMirror {
 public:
  explicit PriorMirror(const rules::SlotRules& rules);

  bool has_prior() const { return state_.has_prior; }
  std::vector<float> weights() const;  // [text_len]: the row the next step uses
  void update(const float* scores);    // [text_len]: of the step just done

 private:
  rules::SlotRules rules_;
  rules::SlotState state_;
  std::vector<std::int32_t> counts_;
};

}  // namespace ttsrt::decode
