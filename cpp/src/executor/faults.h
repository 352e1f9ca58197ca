// Rows that came back not finite (step/fault.h): whose they are, and what their requests are told.
#pragma once

#include <string>
#include <vector>

#include "executor/sequence.h"
#include "step/output.h"
#include "step/plan.h"

namespace ttsrt::executor {

// A faulty row as one of an item of the plan.
struct FaultyRow {
  // Null: nobody's, as its request ended between two parts of the batch.
  const step::PlanItem* item = nullptr;
  std::int32_t row = 0;  // of the item
};

FaultyRow find_row(const step::StepPlan& plan, const step::Fault& fault, const Slots& slots);

// Whether the row is that of a draft which the model did not pick: nothing remains of it.
bool is_dropped(const step::StepPlan& plan, const FaultyRow& at, const step::StepOutput& output);

// Appends a fault for every emitted row that is not finite.
void append_emitted(const std::vector<step::RowsOutput>& rows, std::vector<step::Fault>& faults);

// "decode, step 12: logits: expected finite numbers, got infinity or NaN". The step is that of the
// request, 0 before its first one.
std::string describe(const step::Fault& fault, const FaultyRow& at, const Sequence& sequence,
                     const Site& site);

}  // namespace ttsrt::executor
