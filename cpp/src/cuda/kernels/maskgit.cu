// The passes of MaskGit picks (rules/maskgit.h): they fix the most confident codes, and guess the
// others anew. Requests may have different numbers of passes; a launch runs the largest number, and
// leaves a pick alone once its own passes are done.
#include "cuda/check.h"
#include "cuda/kernels/pick_block.cuh"
#include "cuda/launch.h"
#include "rules/maskgit.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 128;

// --- kernels ------------------------------------------------------------------------------------

__global__ void start_guesses_kernel(const __grid_constant__ PickDrawArgs args) {
  wait_for_previous_kernel();
  const auto p = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(args.rows, Count::picks)) return;
  const std::int32_t codebooks = args.slots.codebooks;
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < codebooks; i += kThreads) {
    const std::int64_t at = std::int64_t{p} * codebooks + i;
    args.guesses.fed[at] = args.mask_id;
    args.guesses.guessed[at] = args.mask_id;
    args.guesses.confidences[at] = 0.0F;
    args.guesses.is_fixed[at] = 0;
  }
}

// The confidences of the pick are in dynamic shared memory, [codebooks].
__global__ void fix_confident_kernel(const __grid_constant__ PickDrawArgs args) {
  extern __shared__ float confidences[];
  wait_for_previous_kernel();
  const auto p = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(args.rows, Count::picks)) return;
  const std::int32_t codebooks = args.slots.codebooks;
  const rules::SlotRules& rules = args.slots.rules[args.rows.draw_slot[args.rows.pick_draw[p]]];
  if (args.pass >= rules.maskgit.steps) return;
  const std::int64_t first = std::int64_t{p} * codebooks;
  const std::int32_t eligible = rules::maskgit_eligible(rules, args.pass);
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < codebooks; i += kThreads)
    confidences[i] =
        i < eligible ? args.guesses.confidences[first + i] : rules::kIneligibleConfidence;
  __syncthreads();
  const std::int32_t num_fixed = rules.maskgit.num_unmasked[args.pass];
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < codebooks; i += kThreads) {
    const bool is_fixed = rules::is_among_largest(confidences, codebooks, num_fixed, i);
    args.guesses.is_fixed[first + i] = is_fixed ? 1 : 0;
    if (is_fixed) args.guesses.fed[first + i] = args.guesses.guessed[first + i];
  }
}

// Grid: (codebooks, picks).
template <bool kInShared>
__global__ void __launch_bounds__(kMostDrawThreads)
    guess_codes_kernel(const __grid_constant__ PickDrawArgs args) {
  __shared__ DrawShared shared;
  extern __shared__ __align__(16) std::byte dynamic[];
  wait_for_previous_kernel();
  const auto p = static_cast<std::int32_t>(blockIdx.y);
  const auto place = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(args.rows, Count::picks)) return;
  const std::int32_t d = args.rows.pick_draw[p];
  const std::int64_t at = std::int64_t{p} * args.slots.codebooks + place;
  const DrawSlot slot(shared, args.slots, args.rows.draw_slot[d]);
  if (args.pass >= slot.rules.maskgit.steps) return;
  if (args.guesses.is_fixed[at] != 0) {
    if (threadIdx.x == 0) args.guesses.confidences[at] = rules::kFixedConfidence;
    return;
  }
  slot.write_number(shared, place, args.pass);
  ThreadBlock block(shared.room);
  const BlockRow row = draw_row<kInShared>(dynamic, args.scratch, at, args.vocab);
  const float scale = rules::maskgit_scale(slot.rules, args.pass);
  mask_pick(block, args, slot, p, raw_of_pick(args, p, place, scale), row);
  const rules::DrawOutcome drawn = draw_guess(block, slot.rules.sampler, row, shared.number, 0);
  if (block.rank() != 0) return;
  add_fault_of(args.faults, args.rows.draw_conditional[d], drawn.fault);
  args.guesses.guessed[at] = code_of(args.rows, d, place, drawn.code);
  args.guesses.confidences[at] =
      rules::maskgit_confidence(slot.rules, slot.state, args.pass, place, drawn);
}

__global__ void finish_guesses_kernel(const __grid_constant__ PickDrawArgs args) {
  wait_for_previous_kernel();
  const auto p = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(args.rows, Count::picks)) return;
  const std::int32_t codebooks = args.slots.codebooks;
  const std::int64_t from = std::int64_t{p} * codebooks;
  const std::int64_t to = std::int64_t{args.rows.pick_draw[p]} * codebooks;
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < codebooks; i += kThreads)
    args.outcome.sampled[to + i] = args.guesses.guessed[from + i];
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void start_guesses(const PickDrawArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  launch_early(start_guesses_kernel, static_cast<unsigned>(args.max_picks), kThreads, 0, stream,
               args);
  check_launch("start_guesses_kernel");
}

void fix_confident(const PickDrawArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  const std::size_t bytes = sizeof(float) * static_cast<unsigned>(args.slots.codebooks);
  launch_early(fix_confident_kernel, static_cast<unsigned>(args.max_picks), kThreads, bytes, stream,
               args);
  check_launch("fix_confident_kernel");
}

void guess_codes(const PickDrawArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  const dim3 grid(static_cast<unsigned>(args.slots.codebooks),
                  static_cast<unsigned>(args.max_picks));
  launch_draws(guess_codes_kernel<true>, guess_codes_kernel<false>, grid, args.vocab, args,
               "guess_codes_kernel", stream);
}

void finish_guesses(const PickDrawArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  launch_early(finish_guesses_kernel, static_cast<unsigned>(args.max_picks), kThreads, 0, stream,
               args);
  check_launch("finish_guesses_kernel");
}

}  // namespace ttsrt::cuda
