// How the loop lets requests go: those that are cancelled or late, those that fail, and those that
// came to their end.
#include <algorithm>
#include <utility>

#include "executor/ending.h"
#include "executor/loop.h"

namespace ttsrt::executor {

// Marks what was cancelled or ran out of time, waiting or running.
void Loop::end_cancelled() {
  const Clock::time_point now = Clock::now();
  const bool closes = intake_.is_closing();
  for (Intake::Ended& ended : intake_.take_ended(now))
    end_pending(std::move(ended.pending), ended.reason, "");
  for (const std::int32_t slot : order_) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    if (closes || sequence.channel->is_cancelled()) {
      mark(sequence, FinishReason::cancelled);
    } else if (is_expired(sequence.request.deadline, sequence.submitted, now)) {
      mark(sequence, FinishReason::deadline);
    }
  }
}

// Ends a running request, once: nothing is launched for it any more, and what is in flight is
// dropped. Rows that it has in a split batch become nobody's.
void Loop::mark(Sequence& sequence, FinishReason reason, const std::string& why) {
  if (sequence.end.has_value()) return;
  sequence.end = reason;
  sequence.error = why;
  for (SplitBatch& split : split_) {
    bool is_wanted = false;
    for (SplitBatch::Member& member : split.members) {
      if (member.slot == sequence.slot) member.slot = step::kNoSlot;
      is_wanted |= member.slot != step::kNoSlot;
    }
    if (is_wanted) continue;
    split.members.clear();
    split.next_part = 0;
  }
}

// A failed launch costs the requests that were in it; the executor goes on.
void Loop::fail_plan(const step::StepPlan& plan, const std::string& why) {
  for (const step::PlanItem& item : plan.items) {
    if (item.slot != step::kNoSlot)
      mark(*slots_[static_cast<std::size_t>(item.slot)], FinishReason::error, why);
  }
}

// The shared prefixes that a failed launch should have filled.
void Loop::break_prefixes(const step::StepPlan& plan, const std::string& why) {
  for (const step::PlanItem& item : plan.items) {
    if (item.slot == step::kNoSlot) continue;
    Prefix* broken = slots_[static_cast<std::size_t>(item.slot)]->prefix_of(item.stop);
    if (broken != nullptr) break_prefix(*broken, why);
  }
}

void Loop::fail_running(const std::string& why) {
  for (const std::int32_t slot : order_)
    mark(*slots_[static_cast<std::size_t>(slot)], FinishReason::error, why);
}

// Waits for every launch in flight and drops what it made. What a launch reads belongs to its
// requests, so they may go only when it is over, also on a device that has failed.
void Loop::abandon_flights() {
  for (; num_flights_ > 0; --num_flights_) {
    const model::Ticket ticket = flights_[first_flight_].ticket;
    first_flight_ = (first_flight_ + 1) % flights_.size();
    try {
      network_->collect(ticket);
    } catch (const std::exception&) {
      continue;  // the device has failed: the launch is over
    }
  }
}

// The device is gone: nothing can run here any more, and what is in flight is lost.
void Loop::fail_device(const std::string& why) {
  Intake::Loss loss = intake_.fail_device(replica_, why);
  has_failed_ = true;
  abandon_flights();
  for (const std::int32_t slot : order_) slots_[static_cast<std::size_t>(slot)]->flights = 0;
  fail_running(loss.of_running);
  settle();
  for (Pending& pending : loss.waiting)
    end_pending(std::move(pending), FinishReason::error, loss.of_waiting);
}

// Lets go of the requests that have ended and that no launch names any more.
void Loop::settle() {
  for (std::size_t i = 0; i < order_.size();) {
    const std::int32_t slot = order_[i];
    const Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    if (sequence.end.has_value()) ranking_.remove(slot);
    if (sequence.end.has_value() && sequence.flights == 0) {
      order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(i));
      release(slot);
    } else {
      ++i;
    }
  }
}

// Its slot and blocks are free, and counted so, before its caller hears of it.
void Loop::release(std::int32_t slot) {
  const std::unique_ptr<Sequence> ended = std::move(slots_[static_cast<std::size_t>(slot)]);
  own_blocks_ -= ended->own_blocks();
  for (BlockTable& table : ended->tables) table.clear();
  if (draft_ != nullptr) draft_->release(slot);
  for (Prefix* prefix : ended->prefixes) {
    if (prefix != nullptr) prefixes_.release(*prefix);
  }
  free_slots_.push_back(slot);
  const FinishReason reason = ended->end.value_or(FinishReason::error);  // always there
  intake_.count(replica_, load(), [&](StatsBook& stats) {
    stats.count_ended(replica_, ended->channel->id(), reason, num_active());
    stats.count_paused(replica_, ranking_.num_paused());
  });
  end(*ended, reason, ended->error, site_.facts);
}

void Loop::end_pending(Pending&& pending, FinishReason reason, const std::string& why) {
  intake_.count(replica_, load(), [&](StatsBook& stats) {
    stats.count_ended(replica_, pending.channel->id(), reason, num_active());
  });
  end(std::move(pending), reason, why, site_.facts);
}

}  // namespace ttsrt::executor
