// From a plan to the rows of a launch.
#pragma once

#include <memory>
#include <vector>

#include "executor/sequence.h"
#include "step/batch.h"
#include "step/plan.h"

namespace ttsrt::executor {

// Fills `batch` (cleared first). Takes the cache blocks the rows need; forks shared prefixes that
// this launch completes.
void build_batch(const step::StepPlan& plan, std::vector<std::unique_ptr<Sequence>>& sequences,
                 const step::ModelFacts& facts, step::StepBatch& batch);

}  // namespace ttsrt::executor
