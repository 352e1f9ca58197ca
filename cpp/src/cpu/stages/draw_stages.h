// The stages that run per draw: UpdatePrior, SampleCodes, FinishStep.
#pragma once

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

// What stages that run per draw have in common.
class DrawStage : public Stage {
 public:
  explicit DrawStage(const Site& site) : site_(site) {}
  bool is_needed() const override { return site_.launch->draws > 0; }

 protected:
  const step::Draw& draw(std::int64_t index) const {
    return site_.launch->batch->draws[static_cast<std::size_t>(index)];
  }
  const rules::SlotRules& rules(std::int32_t slot) const {
    return site_.slots->rules[static_cast<std::size_t>(slot)];
  }
  rules::SlotState& state(std::int32_t slot) const {
    return site_.slots->states[static_cast<std::size_t>(slot)];
  }

  Site site_;
};

void add_update_prior(const Site& site, const Rows& scores, Stages& stages);
// `guided.data` is null if the op does not keep guided logits.
void add_sample_codes(const Site& site, const ops::SampleCodes& op, const Rows& logits,
                      const Rows& guided, Stages& stages);
void add_finish_step(const Site& site, const ops::FinishStep& op, Stages& stages);

}  // namespace ttsrt::cpu
