// Requests in flight by rank, larger priority first and older first among equals; which of them
// are paused; and who pauses for whom. Only counts and numbers: the loop moves the requests.
//
// A request pauses only for one of strictly larger priority, the youngest of the lowest priority
// first, and the first one in rank resumes. So whoever runs is never of a lower priority than
// whoever is paused, except while the cache has no room for a request that waits.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ttsrt::executor {

// Which places a loop has: `running` requests are launched, `paused` ones keep a slot besides.
struct Places {
  std::int32_t running = 1;
  std::int32_t paused = 0;
};

class Ranking {
 public:
  struct Entry {
    std::int32_t slot = 0;
    std::int32_t priority = 0;
    bool is_paused = false;
  };

  explicit Ranking(Places places);

  // The youngest of all.
  void add(std::int32_t slot, std::int32_t priority);
  // Does nothing where the slot isn't there.
  void remove(std::int32_t slot);
  void pause(std::int32_t slot) { set_paused(slot, true); }
  void resume(std::int32_t slot) { set_paused(slot, false); }

  const std::vector<Entry>& entries() const { return entries_; }  // first in rank first
  std::int32_t num_running() const {
    return static_cast<std::int32_t>(entries_.size()) - num_paused_;
  }
  std::int32_t num_paused() const { return num_paused_; }
  std::int32_t num_places() const { return places_.running - num_running(); }  // that are free
  bool has_place() const { return num_places() > 0; }

  // Who resumes while there is a place, or nothing.
  std::optional<Entry> next_resumed() const;
  // Who would pause for a request of a larger priority, or nothing.
  std::optional<Entry> next_paused() const;

 private:
  void set_paused(std::int32_t slot, bool is_paused);

  const Places places_;
  std::vector<Entry> entries_;
  std::int32_t num_paused_ = 0;
};

}  // namespace ttsrt::executor
