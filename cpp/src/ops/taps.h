// Records the values that a trace keeps of a launch.
#pragma once

#include <cstdint>

#include "ops/program.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::ops {

// Appends a Program's taps after its last part has run over `rows`. `values_of(buffer)` gives the
// values of an activation; `index` is the Program's number (ProgramLimits::index). A tap has
// a row for each row of the launch, also of a buffer with a rate, whose width is then that of all
// its rows.
template <typename ValuesOf>
void append_taps(const Program& program, std::int32_t index, const step::RowBatch& rows,
                 const ValuesOf& values_of, step::StepOutput& output) {
  if (rows.rows == 0 || rows.last_part < program.num_parts()) return;
  for (const Tap& kept : program.taps) {
    const Activation& activation = program.activations[static_cast<std::size_t>(kept.buffer)];
    step::TapOutput tap;
    tap.name = kept.name;
    tap.program = index;
    tap.is_per_draw = activation.space == RowSpace::draws;
    tap.width = activation.values();
    tap.rows = activation.space == RowSpace::rows ? rows.rows
                                                  : static_cast<std::int64_t>(rows.draws.size());
    const float* values = values_of(kept.buffer);
    tap.values.assign(values, values + tap.rows * tap.width);
    output.taps.push_back(std::move(tap));
  }
}

}  // namespace ttsrt::ops
