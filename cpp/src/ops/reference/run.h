// One launch, as the plain forms of ops use it: the rows, the values of every activation, and the
// state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/faults.h"
#include "ops/program.h"
#include "ops/reference/state.h"
#include "rules/filter_chain.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::ops::reference {

struct Run {
  const Program& program;
  const step::RowBatch& batch;
  State& state;
  std::vector<std::vector<float>>& activations;
  RowFaults* faults = nullptr;  // null in a nested Program, whose faults show in what it returns
  std::size_t op = 0;           // that runs
  step::RowsOutput* emitted = nullptr;  // that EmitRows fills

  // Says that what this op stored or drew for a row is not finite.
  void add_fault(std::int32_t row, FaultKind kind = FaultKind::not_finite) const {
    if (faults != nullptr) faults->add(row, fault_word(op, kind));
  }
  // Does so where one of these values is not finite.
  void check_finite(std::int32_t row, const float* values, std::int64_t count) const;
  // Says what was wrong with a draw, if anything was.
  void add_fault_of(const rules::DrawOutcome& drawn, std::int32_t row) const;

  // Returns the values of an activation, and checks that its shape is [rows or draws, width].
  float* values(BufferId buffer, RowSpace space, std::int64_t width) const;
  float* rows(BufferId buffer, std::int64_t width) const {
    return values(buffer, RowSpace::rows, width);
  }
  float* draws(BufferId buffer, std::int64_t width) const {
    return values(buffer, RowSpace::draws, width);
  }
  std::int64_t width_of(BufferId buffer) const;
  // An activation with rows of any rate, and its values.
  const Activation& activation_of(BufferId buffer) const;
  float* values(BufferId buffer) const;
  // Returns the rows of both branches of a draw; without guidance, the second is absent.
  std::vector<std::int32_t> branch_rows(const step::Draw& draw) const;
};

// Draws a code from one row of masked logits, which it may change; `seen` is as in rules::DrawRow.
// A guess has probabilities that serve as MaskGit's confidences.
rules::DrawOutcome draw(const rules::SamplerRules& sampler, std::vector<float>& logits,
                        const std::uint32_t* seen, float number);
rules::DrawOutcome draw_guess(const rules::SamplerRules& sampler, std::vector<float>& logits,
                              const std::uint32_t* seen, float number);

// Runs ops [begin, end) of the Program.
void run_ops(Run& at, std::size_t begin, std::size_t end);

// The ops, in one file per family.
void run(const EmbedRows& op, Run& at);
void run(const Norm& op, Run& at);
void run(const Linear& op, Run& at);
void run(const Gate& op, Run& at);
void run(const Unfold& op, Run& at);
void run(const SelfAttention& op, Run& at);
void run(const StoreMemory& op, Run& at);
void run(const CrossAttention& op, Run& at);
void run(const StoreContext& op, Run& at);
void run(const ClearScores& op, Run& at);
void run(const UpdatePrior& op, Run& at);
void run(const SampleCodes& op, Run& at);
void run(const PickCodes& op, Run& at);
void run(const FinishStep& op, Run& at);
void run(const ShiftBlock& op, Run& at);
void run(const GuessBlock& op, Run& at);
void run(const FinishBlock& op, Run& at);
void run(const LoadRows& op, Run& at);
void run(const SaveRows& op, Run& at);
void run(const StoreSchedule& op, Run& at);
void run(const ModulatedNorm& op, Run& at);
void run(const AddModulated& op, Run& at);
void run(const ClearFiller& op, Run& at);
void run(const StretchText& op, Run& at);
void run(const DepthwiseConv& op, Run& at);
void run(const GroupedConv& op, Run& at);
void run(const ResponseNorm& op, Run& at);
void run(const FlowStep& op, Run& at);
void run(const JoinColumns& op, Run& at);
void run(const ActivateRows& op, Run& at);
void run(const DistanceRows& op, Run& at);
void run(const RelativeAttention& op, Run& at);
void run(const PolarSpectrum& op, Run& at);
void run(const OverlapAdd& op, Run& at);
void run(const EmitRows& op, Run& at);
void run(const DequantizeCodes& op, Run& at);
void run(const ShiftRows& op, Run& at);
void run(const HarmonicSource& op, Run& at);
void run(const FadeIn& op, Run& at);
void run(const HalfSnake& op, Run& at);
void run(const TimeConv& op, Run& at);
void run(const Upsample& op, Run& at);
void run(const Clamp& op, Run& at);
void run(const SplitRows& op, Run& at);
void run(const QuantizeRows& op, Run& at);

}  // namespace ttsrt::ops::reference
