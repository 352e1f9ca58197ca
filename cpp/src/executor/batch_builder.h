// From a plan to the rows of a launch.
#pragma once

#include "executor/sequence.h"
#include "step/batch.h"
#include "step/plan.h"

namespace ttsrt::executor {

// Fills `batch` (cleared first; its room is kept, so that a warm step allocates nothing). Takes the
// cache blocks the rows need and forks shared prefixes in front of the first rows behind them. What
// this changes belongs to the requests in the plan: they end where the launch fails.
void build_batch(const step::StepPlan& plan, Slots& slots, const Site& site,
                 step::StepBatch& batch);

}  // namespace ttsrt::executor
