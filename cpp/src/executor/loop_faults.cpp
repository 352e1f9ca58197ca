// How the loop ends the requests whose rows came back not finite.
#include <algorithm>

#include "executor/faults.h"
#include "executor/loop.h"

namespace ttsrt::executor {

// Called before a launch is committed, so that nothing of a faulty step is. Of a shared prefix,
// every request that uses it fails, whoever brought the rows; nobody else does. A step that was
// launched before its request's end was known is dropped, with its faults.
void Loop::end_faulty(const step::StepPlan& plan, const step::StepOutput& output) {
  if (output.faults.empty() && output.rows.empty()) return;
  std::vector<step::Fault> faults = output.faults;
  append_emitted(output.rows, faults);
  for (const step::Fault& fault : faults) {
    const FaultyRow at = find_row(plan, fault, slots_);
    if (at.item == nullptr) continue;
    Sequence& sequence = *slots_[static_cast<std::size_t>(at.item->slot)];
    const std::string why = describe(fault, at, sequence, site_);
    if (Prefix* prefix = sequence.prefix_of(at.item->stop)) {
      break_prefix(*prefix, why);
    } else if (at.item->stop != sequence.stepwise ||
               !(sequence.steps_end.has_value() || sequence.waits_for_round ||
                 is_dropped(plan, at, output))) {
      mark(sequence, FinishReason::error, why);
    }
  }
}

// A shared prefix that holds nothing that can be trusted. Later launches may have read it: every
// request that uses it fails, and whoever comes later fills another.
void Loop::break_prefix(Prefix& broken, const std::string& why) {
  broken.is_broken = true;
  for (const std::int32_t slot : order_) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    const auto& used = sequence.prefixes;
    if (std::find(used.begin(), used.end(), &broken) != used.end())
      mark(sequence, FinishReason::error, why);
  }
}

}  // namespace ttsrt::executor
