// What a launch gave becomes progress and events.
#pragma once

#include <cstdint>

#include "executor/sequence.h"
#include "step/output.h"
#include "step/plan.h"

namespace ttsrt::executor {

// Books the rows that ran, appends codes and samples, pushes events. Requests that have ended since
// the launch are passed over: what it made for them is dropped. Requests that came to their own end
// now know why (Sequence::end). Returns the codec frames made.
std::int64_t commit(const step::StepPlan& plan, const step::StepBatch& batch,
                    const step::StepOutput& output, Slots& slots, const Site& site);

// Ends a sequence whose stops have all run; whether they have.
bool end_if_complete(Sequence& sequence);

// The logarithms of probabilities of steps from `first` on, of a sequence with token rules.
Logprobs logprobs_of(const Sequence& sequence, std::size_t first);

// What a sequence made since its last event.
Event next_event(Sequence& sequence, const step::Facts& facts);

}  // namespace ttsrt::executor
