// Lowering of the ops of draws: scores, codes of independent heads, blocks, and the end of a step.
#include <algorithm>

#include "cuda/launch.h"
#include "cuda/lowering.h"

namespace ttsrt::cuda {

void Lowering::lower(const ops::ClearScores& op) {
  float* scores = buffer(op.scores);
  const RowsView rows = site_.rows;
  const std::int32_t width = site_.slots.spec().max_text_len;
  add("clear scores", [rows, scores, width](const Bounds& bounds, cudaStream_t stream) {
    clear_scores(rows, scores, width, bounds.draws, stream);
  });
}

void Lowering::lower(const ops::UpdatePrior& op) {
  UpdatePriorArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.scores = buffer(op.scores);
  add("update prior",
      [args, outcome = site_.slots.outcome()](const Bounds& bounds, cudaStream_t stream) mutable {
        args.outcome = *outcome;
        args.max_draws = bounds.draws;
        update_prior(args, stream);
      });
}

void Lowering::lower(const ops::SampleCodes& op) {
  check_vocab(program_, op.vocab);
  SampleArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.logits = buffer(op.logits);
  args.guided = buffer(op.guided);
  args.vocab = op.vocab;
  need_scratch(
      draw_scratch_bytes(std::int64_t{std::max(limits_.max_draws, 1)} * op.codebooks, op.vocab));
  add("sample codes", [args, scratch = site_.scratch, outcome = site_.slots.outcome()](
                          const Bounds& bounds, cudaStream_t stream) mutable {
    args.outcome = *outcome;
    args.scratch = *scratch;
    args.max_draws = bounds.draws;
    sample_codes(args, stream);
  });
}

void Lowering::lower(const ops::FinishStep&) {
  FinishStepArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  add("finish step",
      [args, outcome = site_.slots.outcome()](const Bounds& bounds, cudaStream_t stream) mutable {
        args.outcome = *outcome;
        args.max_draws = bounds.draws;
        finish_step(args, stream);
      });
}

void Lowering::lower(const ops::ShiftBlock& op) {
  ShiftBlockArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.places = site_.slots.spec().codebooks;
  add("shift block", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_draws = bounds.draws;
    shift_block(args, stream);
  });
}

void Lowering::lower(const ops::GuessBlock& op) {
  check_vocab(program_, op.vocab);
  GuessBlockArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.logits = buffer(op.logits);
  args.scores = buffer(op.scores);
  args.prior = site_.weights.vector(op.prior);
  args.places = op.places;
  args.vocab = op.vocab;
  need_scratch(
      draw_scratch_bytes(std::int64_t{std::max(limits_.max_draws, 1)} * op.places, op.vocab));
  add("guess block", [args, scratch = site_.scratch, outcome = site_.slots.outcome()](
                         const Bounds& bounds, cudaStream_t stream) mutable {
    args.outcome = *outcome;
    args.scratch = *scratch;
    args.max_draws = bounds.draws;
    guess_block(args, stream);
  });
}

void Lowering::lower(const ops::FinishBlock& op) {
  FinishBlockArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.scores = buffer(op.scores);
  args.places = op.places;
  add("finish block",
      [args, outcome = site_.slots.outcome()](const Bounds& bounds, cudaStream_t stream) mutable {
        args.outcome = *outcome;
        args.max_draws = bounds.draws;
        finish_block(args, stream);
      });
}

}  // namespace ttsrt::cuda
