// What a traced launch tells of the stages of each request (ExecutorOptions::trace).
#pragma once

#include <cstddef>

#include "executor/sequence.h"
#include "step/output.h"
#include "step/plan.h"

namespace ttsrt::executor {

// Taps of Programs that make no steps, before the first step.
void trace_rows(const step::StepPlan& plan, const step::StepBatch& batch,
                const step::StepOutput& output, Slots& slots, const Site& site);

// Taps of one draw of a step: both branches of stages with a value per row, the draw's own value of
// others; and the prior that the step was weighted by.
void trace_step(Sequence& sequence, const step::StepBatch& batch, const step::StepOutput& output,
                std::size_t draw);

}  // namespace ttsrt::executor
