// Ends a step of each draw (ops::FinishStep): whether speech ended in the stack, the last codes,
// the seen sets, the drawn ids and the number of steps. A block per draw; one thread applies the
// rules of the end. The block of a draw that verifies no draft also ends those behind it that do.
#include "cuda/check.h"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/launch.h"
#include "rules/ahead.h"
#include "rules/seen.h"
#include "rules/stop.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 128;

// --- kernels ------------------------------------------------------------------------------------

// Codes in shared memory: [codebooks] each.
struct StackCodes {
  const std::int32_t* sampled;
  const std::int32_t* likeliest;
  const std::int32_t* last;
};

__device__ StackCodes copy_codes(std::byte* dynamic, const std::int32_t* sampled,
                                 const std::int32_t* likeliest, const std::int32_t* last,
                                 std::int32_t codebooks) {
  const std::int32_t bytes = codebooks * static_cast<std::int32_t>(sizeof(std::int32_t));
  copy_words(dynamic, sampled, bytes);
  copy_words(dynamic + bytes, likeliest, bytes);
  copy_words(dynamic + 2 * bytes, last, bytes);
  __syncthreads();
  const auto* codes = reinterpret_cast<const std::int32_t*>(dynamic);
  return {codes, codes + codebooks, codes + 2 * codebooks};
}

// Applies rules::add_seen to the set of every place; each warp takes some of the places.
__device__ void add_seen(const SlotsView& slots, const DrawSlot& slot, std::int32_t index,
                         const std::int32_t* sampled) {
  const rules::SamplerRules& sampler = slot.rules.sampler;
  if (!rules::counts_seen(sampler)) return;
  const std::int32_t words = rules::seen_words(slots.seen_vocab);
  const auto lane = static_cast<std::int32_t>(threadIdx.x) % 32;
  for (std::int32_t place = static_cast<std::int32_t>(threadIdx.x) / 32; place < slots.codebooks;
       place += kThreads / 32) {
    std::uint32_t* set = slots.seen + (std::int64_t{index} * slots.codebooks + place) * words;
    const bool forgets = slot.state.step == slot.rules.first_step && sampler.forgets_first;
    for (std::int32_t w = lane; forgets && w < words; w += 32) set[w] = 0;
    __syncwarp();
    if (lane == 0 && sampled[place] >= 0) rules::mark_seen(set, sampled[place]);
  }
}

// Ends a step of the slot: its codes are `sampled`, behind `last`. One thread does it.
__device__ DrawResult end_step(const FinishStepArgs& args, std::int32_t d, std::int32_t index,
                               const rules::SlotRules& rules, const StackCodes& codes,
                               rules::SlotState& state) {
  rules::count_equal(rules, state, codes.last, codes.sampled, args.slots.codebooks);
  DrawResult result;
  result.slot = index;
  if (args.rows.draw_forced[d] < 0)
    result.end_frame = rules::end_frame(rules, state, codes.sampled, codes.likeliest);
  result.focus = rules.prior.mode == rules::PriorMode::off ? -1 : state.focus;
  const TokensView& tokens = args.slots.tokens;
  if (tokens.drawn != nullptr && state.step < tokens.max_drawn)
    tokens.drawn[std::int64_t{index} * tokens.max_drawn + state.step] = codes.sampled[0];
  ++state.step;
  args.outcome.results[d] = result;
  return result;
}

// Ends the draws that verify drafts behind draw `d`, which gave `result`. They have one code each,
// which becomes the slot's last one. One thread does it.
__device__ void end_drafts(const FinishStepArgs& args, std::int32_t d, DrawResult result,
                           const rules::SlotRules& rules, rules::SlotState& state) {
  const RowsView& rows = args.rows;
  const std::int32_t draws = count_of(rows, Count::draws);
  const std::int32_t* sampled = args.outcome.sampled;
  for (std::int32_t next = d + 1; next < draws; ++next) {
    const std::int32_t ahead = ahead_of(rows, next);
    if (ahead == 0 || is_guess(rows, next)) return;
    const std::int32_t draft = rows.ids[rows.draw_drafts[next] + ahead - 1];
    if (rules::goes_on(result.has_codes != 0, result.end_frame, sampled[next - 1], draft)) {
      const StackCodes codes{sampled + next, args.outcome.likeliest + next, sampled + next - 1};
      result = end_step(args, next, result.slot, rules, codes, state);
      args.slots.last_codes[result.slot] = sampled[next];
      continue;
    }
    result = {result.slot};
    result.has_codes = 0;
    args.outcome.results[next] = result;
  }
}

__global__ void finish_step_kernel(const __grid_constant__ FinishStepArgs args) {
  __shared__ DrawShared shared;
  extern __shared__ __align__(16) std::byte dynamic[];
  const auto d = static_cast<std::int32_t>(blockIdx.x);
  const bool is_draw = d < count_of(args.rows, Count::draws);
  const SlotsView& slots = args.slots;
  const std::int32_t index = is_draw ? args.rows.draw_slot[d] : 0;
  const DrawSlot slot(shared);
  DrawSlot::copy_rules(shared, slots, index);
  wait_for_previous_kernel();
  if (!is_draw) return;
  if (is_guess(args.rows, d)) {
    if (threadIdx.x == 0) args.outcome.results[d] = {index};
    return;
  }
  if (ahead_of(args.rows, d) > 0) return;
  DrawSlot::copy_state(shared, slots, index, 0);
  const std::int64_t at = std::int64_t{d} * slots.codebooks;
  std::int32_t* last = slots.last_codes + std::int64_t{index} * slots.codebooks;
  const StackCodes codes = copy_codes(dynamic, args.outcome.sampled + at,
                                      args.outcome.likeliest + at, last, slots.codebooks);
  add_seen(slots, slot, index, codes.sampled);
  for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < slots.codebooks; i += kThreads)
    last[i] = codes.sampled[i];
  if (threadIdx.x != 0) return;
  rules::SlotState state = slot.state;
  const DrawResult result = end_step(args, d, index, slot.rules, codes, state);
  if (slots.codebooks == 1) end_drafts(args, d, result, slot.rules, state);
  slots.states[index] = state;
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void finish_step(const FinishStepArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const std::size_t bytes = 3U * sizeof(std::int32_t) * static_cast<unsigned>(args.slots.codebooks);
  launch_early(finish_step_kernel, static_cast<unsigned>(args.max_draws), kThreads, bytes, stream,
               args);
  check_launch("finish_step_kernel");
}

}  // namespace ttsrt::cuda
