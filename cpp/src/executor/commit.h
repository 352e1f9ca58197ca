// What a launch gave becomes progress, events and results.
#pragma once

#include <memory>
#include <vector>

#include "executor/sequence.h"
#include "step/output.h"
#include "step/plan.h"

namespace ttsrt::executor {

// Books the rows that ran, appends codes, pushes events. Sequences that came to their own end know
// why (Sequence::end); the loop finishes them. Returns the codec frames made.
std::int64_t commit(const step::StepPlan& plan, const step::StepBatch& batch,
                    const step::StepOutput& output,
                    std::vector<std::unique_ptr<Sequence>>& sequences,
                    const step::ModelFacts& facts);

// Ends a sequence: last event, result. What it made so far is kept.
void finish(Sequence& sequence, FinishReason reason, const std::string& error,
            const step::ModelFacts& facts);

}  // namespace ttsrt::executor
