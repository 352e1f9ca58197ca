// Programs inside ops: how wide their rows are, and what is expected of them beside what
// check_program() (ops/check.h) expects of any Program.
#pragma once

#include "ops/program.h"

namespace ttsrt::ops {

// Returns the width of an activation of a nested Program; throws InternalError if there is none.
std::int64_t width_of(const NestedProgram& nested, BufferId buffer);

// Throws InternalError unless the nested Program consists of Norm, Linear, Gate and SelfAttention
// over a segment's own rows, one row per row, and is causal where rows are run one by one.
void check_nested(const NestedProgram& nested, bool needs_causal);

// Throws InternalError unless the parts of a PickCodes fit each other and `codebooks`, as many
// codes as a slot keeps.
void check_pick_codes(const PickCodes& op, std::int32_t codebooks);

}  // namespace ttsrt::ops
