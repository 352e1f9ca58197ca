#include "executor/ranking.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::executor {

Ranking::Ranking(Places places) : places_(places) {
  entries_.reserve(static_cast<std::size_t>(places.running) +
                   static_cast<std::size_t>(places.paused));
}

void Ranking::add(std::int32_t slot, std::int32_t priority) {
  const auto behind = std::find_if(entries_.begin(), entries_.end(),
                                   [&](const Entry& of) { return of.priority < priority; });
  entries_.insert(behind, {slot, priority, false});
}

void Ranking::remove(std::int32_t slot) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& of) { return of.slot == slot; });
  if (found == entries_.end()) return;
  if (found->is_paused) --num_paused_;
  entries_.erase(found);
}

void Ranking::set_paused(std::int32_t slot, bool is_paused) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& of) { return of.slot == slot; });
  TTSRT_DCHECK(found != entries_.end() && found->is_paused != is_paused);
  found->is_paused = is_paused;
  num_paused_ += is_paused ? 1 : -1;
}

std::optional<Ranking::Entry> Ranking::next_resumed() const {
  if (num_paused_ == 0 || !has_place()) return std::nullopt;
  return *std::find_if(entries_.begin(), entries_.end(),
                       [](const Entry& of) { return of.is_paused; });
}

std::optional<Ranking::Entry> Ranking::next_paused() const {
  if (has_place() || num_paused_ >= places_.paused) return std::nullopt;
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [](const Entry& of) { return !of.is_paused; });
  if (found == entries_.rend()) return std::nullopt;
  return *found;
}

}  // namespace ttsrt::executor
