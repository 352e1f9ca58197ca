#include "executor/faults.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

const char* name_of(step::FaultStage stage) {
  switch (stage) {
    case step::FaultStage::given_rows:
      return "rows of the request";
    case step::FaultStage::self_attention:
      return "self-attention keys and values";
    case step::FaultStage::cross_attention:
      return "cross-attention keys and values";
    case step::FaultStage::kept_rows:
      return "encoded context";
    case step::FaultStage::item_rows:
      return "rows of the item";
    case step::FaultStage::schedule:
      return "rows of the schedule";
    case step::FaultStage::scores:
      return "attention scores";
    case step::FaultStage::logits:
      return "logits";
    case step::FaultStage::local_logits:
      return "logits of the local transformer";
    case step::FaultStage::choice:
      return "codes";
    case step::FaultStage::emitted:
      return "output";
  }
  return "unknown";
}

// Rows of an item in its launch: a step has one, or a block of them, for each branch.
std::int32_t rows_of(const step::PlanItem& item, const Slots& slots) {
  if (item.slot == step::kNoSlot) return item.rows;
  const Sequence& sequence = *slots[static_cast<std::size_t>(item.slot)];
  const bool is_block = item.stop == sequence.stepwise && sequence.stop(item.stop).block_rows > 0;
  const std::int32_t rows = is_block ? sequence.step_rows() : item.rows;
  return rows * sequence.stop(item.stop).num_branches;
}

}  // namespace

FaultyRow find_row(const step::StepPlan& plan, const step::Fault& fault, const Slots& slots) {
  std::int32_t before = 0;
  for (const step::PlanItem& item : plan.items) {
    if (item.program != fault.program) continue;
    const std::int32_t row = fault.row - before;
    before += rows_of(item, slots);
    if (fault.row >= before) continue;
    return item.slot == step::kNoSlot ? FaultyRow{} : FaultyRow{&item, row};
  }
  return {};
}

bool is_dropped(const step::StepPlan& plan, const FaultyRow& at, const step::StepOutput& output) {
  if (at.item->rows == 1) return false;
  std::size_t draw = static_cast<std::size_t>(at.row);
  for (const step::PlanItem* item = plan.items.data(); item != at.item; ++item)
    draw += item->program == at.item->program ? static_cast<std::size_t>(item->rows) : 0;
  return draw < output.draws.size() && !output.draws[draw].has_codes;
}

void append_emitted(const std::vector<step::RowsOutput>& rows, std::vector<step::Fault>& faults) {
  for (const step::RowsOutput& of : rows) {
    const auto count = static_cast<std::int32_t>(static_cast<std::int64_t>(of.values.size()) /
                                                 std::max<std::int64_t>(of.width, 1));
    for (std::int32_t row = 0; row < count; ++row) {
      const auto first = of.values.begin() + row * of.width;
      const bool is_finite =
          std::all_of(first, first + of.width, [](float value) { return std::isfinite(value); });
      if (!is_finite) faults.push_back({of.program, row, step::FaultStage::emitted, -1});
    }
  }
}

std::string describe(const step::Fault& fault, const FaultyRow& at, const Sequence& sequence,
                     const Site& site) {
  const step::ProgramInfo& program = site.programs[static_cast<std::size_t>(fault.program)];
  const bool is_step = program.pace == step::Pace::stepwise;
  const std::int32_t ahead = is_step && at.item->rows > 1 ? at.row : 0;  // drafts before it
  const std::int32_t step = sequence.steps_before + at.item->first + ahead;
  const std::string where = is_step ? message(program.name, ", step ", step)
                                    : message(program.name, ", step ", sequence.steps(), ", row ",
                                              at.item->first + at.row);
  if (fault.stage == step::FaultStage::choice)
    return message(where, ": ", name_of(fault.stage),
                   ": expected an id to draw, got masks that forbid every id");
  const std::string layer = fault.layer < 0 ? std::string() : message(" of layer ", fault.layer);
  return message(where, ": ", name_of(fault.stage), layer,
                 ": expected finite numbers, got infinity or NaN");
}

}  // namespace ttsrt::executor
