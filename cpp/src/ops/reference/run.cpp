#include "ops/reference/run.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "core/check.h"

namespace ttsrt::ops::reference {

std::int64_t Run::width_of(BufferId buffer) const {
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < program.activations.size(),
              program.name, ": buffer ", buffer, " of ", program.activations.size());
  return program.activations[static_cast<std::size_t>(buffer)].width;
}

const Activation& Run::activation_of(BufferId buffer) const {
  width_of(buffer);
  return program.activations[static_cast<std::size_t>(buffer)];
}

float* Run::values(BufferId buffer) const {
  TTSRT_CHECK(InternalError, activation_of(buffer).space == RowSpace::rows, program.name, ": ",
              activation_of(buffer).name, ": expected one row per row");
  return activations[static_cast<std::size_t>(buffer)].data();
}

float* Run::values(BufferId buffer, RowSpace space, std::int64_t width) const {
  TTSRT_CHECK(InternalError, width_of(buffer) == width, program.name, ": buffer ", buffer,
              ": expected width ", width, ", got ", width_of(buffer));
  const Activation& activation = program.activations[static_cast<std::size_t>(buffer)];
  TTSRT_CHECK(InternalError, activation.space == space, program.name, ": ", activation.name,
              ": expected one row per ", space == RowSpace::rows ? "row" : "draw");
  return activations[static_cast<std::size_t>(buffer)].data();
}

std::vector<std::int32_t> Run::branch_rows(const step::Draw& draw) const {
  std::vector<std::int32_t> found = {draw.conditional_row};
  if (draw.unconditional_row >= 0) found.push_back(draw.unconditional_row);
  return found;
}

void Run::check_finite(std::int32_t row, const float* values, std::int64_t count) const {
  const auto is_finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(values, values + count, is_finite)) add_fault(row);
}

void Run::add_fault_of(const rules::DrawOutcome& drawn, std::int32_t row) const {
  if (drawn.fault == rules::DrawFault::not_finite) add_fault(row);
  if (drawn.fault == rules::DrawFault::no_choice) add_fault(row, FaultKind::no_choice);
}

void run_ops(Run& at, std::size_t begin, std::size_t end) {
  for (at.op = begin; at.op < end; ++at.op)
    std::visit([&at](const auto& op) { run(op, at); }, at.program.ops[at.op]);
}

}  // namespace ttsrt::ops::reference
