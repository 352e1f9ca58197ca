// The stages that run per draw: UpdatePrior, SampleCodes, FinishStep.
#pragma once

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

void add_update_prior(const Site& site, const Rows& scores, Stages& stages);
// `guided.data` is null if the op does not keep guided logits.
void add_sample_codes(const Site& site, const ops::SampleCodes& op, const Rows& logits,
                      const Rows& guided, Stages& stages);
void add_finish_step(const Site& site, const ops::FinishStep& op, Stages& stages);

}  // namespace ttsrt::cpu
