// What the next launch shall do, as a plain value: which rows of which sequence, in which class.
#pragma once

#include <cstdint>
#include <vector>

#include "step/batch.h"

namespace ttsrt::step {

struct PlanItem {
  std::int32_t sequence = 0;  // index among the running
  RowClass row_class = RowClass::decode;
  Branch branch = Branch::conditional;
  bool is_prefix = false;  // rows of the sequence's shared unconditional prefix
  std::int32_t first = 0;  // first row, counted from the start of its part
  std::int32_t rows = 0;
};

struct StepPlan {
  std::vector<PlanItem> items;
  bool is_empty() const { return items.empty(); }
};

}  // namespace ttsrt::step
