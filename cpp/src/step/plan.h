// What the next launch shall do, as a plain value: which rows of which stop of which request.
#pragma once

#include <cstdint>
#include <vector>

#include "step/batch.h"

namespace ttsrt::step {

struct PlanItem {
  std::int32_t program = 0;
  std::int32_t slot = 0;   // of the request, or kNoSlot: it ended while its rows were paused
  std::int32_t stop = 0;   // index in its itinerary
  std::int32_t first = 0;  // first row of the stop that runs
  // Stepwise: 1, whatever the number of branches, or 1 and as many as there are drafts.
  std::int32_t rows = 0;
};

// Which parts of a Program run.
struct ProgramParts {
  std::int32_t first = 0;
  std::int32_t last = kAllParts;  // one past
  bool pauses = false;            // parts are left after these
};

struct StepPlan {
  std::vector<PlanItem> items;         // in the order of programs
  std::vector<ProgramParts> programs;  // of every Program

  bool is_empty() const { return items.empty(); }
  bool pauses_in(std::int32_t program) const {
    return programs[static_cast<std::size_t>(program)].pauses;
  }
  // Forgets the items and keeps the room.
  void clear(std::size_t num_programs) {
    items.clear();
    programs.assign(num_programs, {});
  }
};

}  // namespace ttsrt::step
