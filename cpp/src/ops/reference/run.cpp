#include "ops/reference/run.h"

#include <variant>

#include "core/check.h"

namespace ttsrt::ops::reference {

std::int64_t Run::width_of(BufferId buffer) const {
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < program.activations.size(),
              program.name, ": buffer ", buffer, " of ", program.activations.size());
  return program.activations[static_cast<std::size_t>(buffer)].width;
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

void run_ops(Run& at, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i)
    std::visit([&at](const auto& op) { run(op, at); }, at.program.ops[i]);
}

void check_batch(const step::RowBatch& batch, const StateSpec& spec) {
  std::int32_t next = 0;
  for (const step::Segment& segment : batch.segments) {
    const bool is_gone = segment.slot == step::kNobody && batch.first_part > 0;
    TTSRT_CHECK(InternalError, is_gone || (segment.slot >= 0 && segment.slot < spec.slots),
                "segment: slot ", segment.slot, " of ", spec.slots);
    TTSRT_CHECK(InternalError, segment.first_row == next && segment.rows > 0, "segment of ",
                segment.rows, " rows: expected first row ", next, ", got ", segment.first_row);
    TTSRT_CHECK(InternalError, segment.position >= 0, "segment: position ", segment.position);
    next += segment.rows;
  }
  TTSRT_CHECK(InternalError, next == batch.rows, "batch: expected ", batch.rows,
              " rows in segments, got ", next);
  for (const step::Draw& draw : batch.draws) {
    TTSRT_CHECK(InternalError, draw.slot >= 0 && draw.slot < spec.slots, "draw: slot ", draw.slot,
                " of ", spec.slots);
    TTSRT_CHECK(InternalError, draw.conditional_row >= 0 && draw.conditional_row < batch.rows,
                "draw: row ", draw.conditional_row, " of ", batch.rows);
    TTSRT_CHECK(InternalError, draw.unconditional_row >= -1 && draw.unconditional_row < batch.rows,
                "draw: row ", draw.unconditional_row, " of ", batch.rows);
  }
}

}  // namespace ttsrt::ops::reference
