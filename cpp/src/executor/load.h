// How full each replica is, and which of them takes a request. Only counts and numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ttsrt::executor {

// What a request asks of a replica.
struct Demand {
  std::int32_t priority = 0;
  std::int32_t blocks = 0;  // of the cache, at worst
};

// What a replica's loop says of itself. A failed replica has no slots, so nothing fits it.
struct Load {
  std::int32_t slots = 0;            // for requests that run or are paused
  std::int32_t used_slots = 0;       // also by ended requests that a launch still names
  std::int32_t free_places = 0;      // for requests that run
  std::int32_t blocks = 0;           // of the cache
  std::int32_t promised_blocks = 0;  // worst cases of the requests in its slots
  // The priority that a request must exceed: of the paused request that would resume in a free
  // place, or, where no place is free, of the running one that would pause. Absent: with a free
  // place, every request may have it; without one, nobody would pause.
  std::optional<std::int32_t> rival = std::nullopt;

  bool has_room() const { return used_slots < slots && (free_places > 0 || rival.has_value()); }
  bool can_take(const Demand& demand) const;
  // The load with one request more, of which can_take() was true. Who would pause next isn't known
  // then.
  void take(const Demand& demand);
};

// The replica that takes a request, or -1: one with a free place before one where a request would
// pause for it, among these the one whose request of the lowest priority would; then the smallest
// share of used slots, then of promised blocks; then the first.
std::int32_t choose_replica(const std::vector<Load>& loads, const Demand& demand);

}  // namespace ttsrt::executor
