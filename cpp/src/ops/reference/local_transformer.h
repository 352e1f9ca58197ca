// The local transformer of the reference: inputs of the places of one group, the nested Program
// over them, and the heads. Both ways of picking codes use it.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/program.h"
#include "ops/reference/run.h"
#include "ops/reference/state.h"
#include "rules/slot_rules.h"

namespace ttsrt::ops::reference {

class LocalTransformer {
 public:
  LocalTransformer(const PickCodes& op, State& state);

  // Appends the input of place 0 to `rows` [n, width]: the projection of a decoder output [dim].
  void append_hidden(const float* hidden, std::vector<float>& rows) const;
  // Appends the projection of a code's embedding in table `place`.
  void append_code(std::int32_t place, std::int32_t code, std::vector<float>& rows) const;
  // Returns the output of the nested Program over `rows` [n, width], places 0 to n - 1 of a group.
  std::vector<float> forward(std::vector<float> rows) const;
  // Writes the logits [vocab] of head `place` from row `row` of an output.
  void head(std::int32_t place, const std::vector<float>& output, std::int64_t row,
            float* logits) const;

 private:
  const PickCodes& op_;
  State& state_;
  std::int64_t width_;      // of an input
  std::int64_t out_width_;  // of an output
};

// Data for picking codes [codebooks] from the branches' decoder outputs [dim]; raw logits
// [codebooks * vocab] are kept per branch.
struct Pick {
  const PickCodes& op;
  const LocalTransformer& network;
  const step::Draw& draw;
  const rules::SlotRules& rules;
  const rules::SlotState& state;
  std::vector<const float*> hidden;        // per branch, conditional first
  std::vector<float*> logits;              // per branch
  std::vector<const std::uint32_t*> seen;  // per place, null without a penalty
  const Run& run;
  std::int32_t row;  // of the launch, to which faults belong

  // Returns the guided, masked logits of a slice, from `logits`.
  std::vector<float> masked(std::int32_t place, float scale) const;
};
void pick_autoregressive(const Pick& pick, std::int32_t* codes);
void pick_maskgit(const Pick& pick, std::int32_t* codes);

}  // namespace ttsrt::ops::reference
