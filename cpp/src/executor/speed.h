// How long rows and steps take on this machine, learned from what was launched.
#pragma once

#include "executor/sequence.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::executor {

// Smooths: the machine's speed changes.
class Speed {
 public:
  // Puts what a launch took into `row_seconds` and `step_share` of the budget.
  void learn(const step::StepPlan& plan, const step::StepBatch& batch,
             const step::StepOutput& output, const Site& site, StepBudget& budget);

 private:
  double lone_step_ = 0.0;  // seconds of a step of one request; 0: there was none
};

}  // namespace ttsrt::executor
