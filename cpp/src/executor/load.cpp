#include "executor/load.h"

#include "core/check.h"

namespace ttsrt::executor {
namespace {

// Compares a / of_a with b / of_b: negative, 0 or positive.
std::int64_t compare_shares(std::int64_t a, std::int64_t of_a, std::int64_t b, std::int64_t of_b) {
  return a * of_b - b * of_a;
}

// Whether a request should rather go to `a` than to `b`. Both can take it.
bool is_better(const Load& a, const Load& b) {
  const bool pauses = a.free_places == 0;
  if (pauses != (b.free_places == 0)) return !pauses;
  if (pauses && a.rival != b.rival) return a.rival < b.rival;
  const std::int64_t slots = compare_shares(a.used_slots, a.slots, b.used_slots, b.slots);
  if (slots != 0) return slots < 0;
  return compare_shares(a.promised_blocks, a.blocks, b.promised_blocks, b.blocks) < 0;
}

}  // namespace

bool Load::can_take(const Demand& demand) const {
  return has_room() && (!rival.has_value() || demand.priority > *rival) &&
         demand.blocks <= blocks - promised_blocks;
}

void Load::take(const Demand& demand) {
  TTSRT_DCHECK(can_take(demand));
  ++used_slots;
  promised_blocks += demand.blocks;
  if (free_places > 0) --free_places;
  if (free_places == 0) rival.reset();
}

std::int32_t choose_replica(const std::vector<Load>& loads, const Demand& demand) {
  std::int32_t best = -1;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    if (!loads[i].can_take(demand)) continue;
    if (best < 0 || is_better(loads[i], loads[static_cast<std::size_t>(best)]))
      best = static_cast<std::int32_t>(i);
  }
  return best;
}

}  // namespace ttsrt::executor
