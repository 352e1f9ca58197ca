// What the next launch shall do, as a plain value: which rows of which sequence, in which class.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "step/batch.h"

namespace ttsrt::step {

struct PlanItem {
  std::int32_t sequence = 0;  // index among the running, or kNobody: it ended while its rows paused
  RowClass row_class = RowClass::decode;
  Branch branch = Branch::conditional;
  bool is_prefix = false;  // rows of the sequence's shared unconditional prefix
  std::int32_t first = 0;  // first row, counted from the start of its part
  std::int32_t rows = 0;
};

// Which parts of a class's Program run.
struct PlanParts {
  std::int32_t first = 0;
  std::int32_t last = kAllParts;  // one past
};

struct StepPlan {
  std::vector<PlanItem> items;
  std::array<PlanParts, kRowClasses> parts;   // of every class
  std::array<bool, kRowClasses> pauses = {};  // an encoder that has parts left after these

  bool is_empty() const { return items.empty(); }
  bool pauses_in(RowClass row_class) const { return pauses[static_cast<std::size_t>(row_class)]; }
};

}  // namespace ttsrt::step
