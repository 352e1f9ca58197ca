// Lowering of the ops of draws: scores, codes of independent heads, blocks, and the end of a step.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "cuda/launch.h"
#include "cuda/lowering.h"
#include "ops/uses.h"

namespace ttsrt::cuda {

template <typename Args>
Args Lowering::draw_args() const {
  Args args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  if constexpr (requires { args.faults; }) args.faults = faults();
  return args;
}

// The places of outcome and scratch memory are known once all Programs are lowered.
template <typename Args>
void Lowering::add_draws(std::string label, Args args, void (*launch)(const Args&, cudaStream_t)) {
  add(std::move(label), [args, launch, scratch = site_.scratch, outcome = site_.slots.outcome()](
                            const Bounds& bounds, cudaStream_t stream) mutable {
    if constexpr (requires { args.outcome; }) args.outcome = *outcome;
    if constexpr (requires { args.scratch; }) args.scratch = *scratch;
    args.max_draws = bounds.draws;
    launch(args, stream);
  });
}

void Lowering::need_draw_scratch(std::int32_t places, std::int32_t vocab) {
  need_scratch(draw_scratch_bytes(std::int64_t{std::max(limits_.max_draws, 1)} * places, vocab));
}

bool Lowering::is_first_use(ops::BufferId id) const {
  const auto begin = program_.ops.begin();
  return std::none_of(begin, begin + static_cast<std::ptrdiff_t>(op_), [id](const ops::Op& op) {
    const ops::Uses uses = ops::uses_of(op);
    return std::any_of(uses.begin(), uses.end(), [id](const ops::Use& use) {
      return use.part == ops::Part::buffer && use.index == id;
    });
  });
}

// Scores that nothing has used before are cleared with everything else as a launch begins, which a
// launch does only where it starts with the first part.
void Lowering::lower(const ops::ClearScores& op) {
  float* scores = buffer(op.scores);
  const bool is_in_first_part = lowered_.part_steps.size() == 1;
  if (lowered_.cleared_scores == nullptr && is_in_first_part && is_first_use(op.scores)) {
    lowered_.cleared_scores = scores;
    return;
  }
  const RowsView rows = site_.rows;
  const std::int32_t width = site_.slots.spec().max_text_len;
  add("clear scores", [rows, scores, width](const Bounds& bounds, cudaStream_t stream) {
    clear_scores(rows, scores, width, bounds.draws, stream);
  });
}

void Lowering::lower(const ops::UpdatePrior& op) {
  auto args = draw_args<UpdatePriorArgs>();
  args.scores = buffer(op.scores);
  add_draws("update prior", args, update_prior);
}

void Lowering::lower(const ops::SampleCodes& op) {
  check_vocab(program_, op.vocab);
  auto args = draw_args<SampleArgs>();
  args.logits = buffer(op.logits);
  args.guided = buffer(op.guided);
  args.vocab = op.vocab;
  need_draw_scratch(op.codebooks, op.vocab);
  add_draws("sample codes", args, sample_codes);
}

void Lowering::lower(const ops::FinishStep&) {
  add_draws("finish step", draw_args<FinishStepArgs>(), finish_step);
}

void Lowering::lower(const ops::ShiftBlock& op) {
  auto args = draw_args<ShiftBlockArgs>();
  args.width = width_of(op.x);
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.places = site_.slots.spec().codebooks;
  add_draws("shift block", args, shift_block);
}

void Lowering::lower(const ops::GuessBlock& op) {
  check_vocab(program_, op.vocab);
  auto args = draw_args<GuessBlockArgs>();
  args.logits = buffer(op.logits);
  args.scores = buffer(op.scores);
  args.prior = site_.weights.vector(op.prior);
  args.places = op.places;
  args.vocab = op.vocab;
  need_draw_scratch(op.places, op.vocab);
  add_draws("guess block", args, guess_block);
}

void Lowering::lower(const ops::FinishBlock& op) {
  auto args = draw_args<FinishBlockArgs>();
  args.scores = buffer(op.scores);
  args.places = op.places;
  add_draws("finish block", args, finish_block);
}

}  // namespace ttsrt::cuda
