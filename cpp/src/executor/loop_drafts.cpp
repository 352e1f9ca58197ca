// How the loop lets a draft model guess, and what it tells of the stages of both networks.
#include <utility>

#include "executor/loop.h"

namespace ttsrt::executor {

// Guesses for those that run and have no guesses for their next step. Throws what the network
// throws.
void Loop::guess() {
  if (draft_ == nullptr) return;
  guessed_.clear();
  for (const Ranking::Entry& of : ranking_.entries()) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(of.slot)];
    if (of.is_paused || !sequence.wants_guesses()) continue;
    if (num_active() < sequence.request.speculation.speculate_below) guessed_.push_back(&sequence);
  }
  if (guessed_.empty()) return;
  // Others wait for their next step meanwhile.
  draft_->guess(guessed_, num_active() > 1 ? budget_.seconds : 0.0);
}

std::vector<StageTimes> Loop::stage_times() const {
  std::vector<StageTimes> stages = network_->stage_times();
  if (draft_ != nullptr) {
    for (StageTimes& times : draft_->stage_times()) stages.push_back(std::move(times));
  }
  for (StageTimes& times : stages) times.replica = replica_;
  return stages;
}

}  // namespace ttsrt::executor
