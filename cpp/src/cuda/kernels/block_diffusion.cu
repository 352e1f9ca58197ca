// Steps that decide the codes of a block together (ops::ShiftBlock, GuessBlock and FinishBlock).
#include "cuda/check.h"
#include "cuda/kernels/block_decide.cuh"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/launch.h"
#include "rules/block_diffusion.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 256;
constexpr std::int32_t kFinishThreads = 64;

// --- kernels ------------------------------------------------------------------------------------

// Grid: (places, branches, draws). The block of place 0 also takes the row to keep for the next
// block; each thread reads the kept values that it replaces.
__global__ void shift_block_kernel(const __grid_constant__ ShiftBlockArgs args) {
  wait_for_previous_kernel();
  const RowsView& rows = args.rows;
  const auto place = static_cast<std::int32_t>(blockIdx.x);
  const auto branch = static_cast<std::int32_t>(blockIdx.y);
  const auto d = static_cast<std::int32_t>(blockIdx.z);
  if (d >= count_of(rows, Count::draws) || place >= rows.draw_rows[d]) return;
  const std::int32_t first = branch == 0 ? rows.draw_conditional[d] : rows.draw_unconditional[d];
  if (first < 0) return;
  const std::int64_t dim = args.width;
  const std::int32_t index = rows.draw_slot[d];
  const std::int32_t last = first + rows.draw_rows[d] - 1;
  const std::int64_t kept_row = std::int64_t{index} * args.slots.max_context_rows + branch;
  float* kept = args.slots.context_rows + kept_row * args.slots.dim;
  const float* from = place == 0 ? kept : args.x + (std::int64_t{first} + place - 1) * dim;
  float* out = args.out + (std::int64_t{first} + place) * dim;
  const bool keeps = place == 0 && args.slots.states[index].is_decided;
  for (std::int64_t i = threadIdx.x; i < dim; i += kThreads) {
    out[i] = from[i];
    if (!keeps) continue;
    const float value = args.x[last * dim + i];
    kept[i] = value;
    if (!isfinite(value)) add_fault(args.faults, last, args.faults.not_finite);
  }
}

// Returns the score of a code that was drawn for a place, and adds a fault where logits of either
// branch are not finite.
__device__ float score_of(ThreadBlock& block, const GuessBlockArgs& args, const DrawSlot& slot,
                          const RawLogits& raw, std::int32_t code, std::int32_t fault_row) {
  bool is_finite = true;
  const float c = log_probability(block, raw.conditional, args.vocab, code, is_finite);
  const float u = raw.unconditional == nullptr
                      ? c
                      : log_probability(block, raw.unconditional, args.vocab, code, is_finite);
  if (!is_finite) add_fault(args.faults, fault_row, args.faults.not_finite);
  return rules::block_score(slot.rules, c, u, logf(args.prior[code]));
}

// Grid: (places, draws).
template <bool kInShared>
__global__ void __launch_bounds__(kMostDrawThreads)
    guess_block_kernel(const __grid_constant__ GuessBlockArgs args) {
  __shared__ DrawShared shared;
  extern __shared__ __align__(16) std::byte dynamic[];
  wait_for_previous_kernel();
  const RowsView& rows = args.rows;
  const auto place = static_cast<std::int32_t>(blockIdx.x);
  const auto d = static_cast<std::int32_t>(blockIdx.y);
  if (d >= count_of(rows, Count::draws) || place >= rows.draw_rows[d]) return;
  const std::int32_t index = rows.draw_slot[d];
  const std::int64_t at = std::int64_t{d} * args.places + place;
  const std::int32_t known = args.slots.last_codes[std::int64_t{index} * args.places + place];
  const DrawSlot slot(shared, args.slots, index);
  if (known != slot.rules.block.mask_id) {
    if (threadIdx.x != 0) return;
    args.outcome.sampled[at] = known;
    args.scores[at] = 0.0F;
    return;
  }
  slot.write_number(shared, place, slot.state.pass);
  ThreadBlock block(shared.room);
  const BlockRow row = draw_row<kInShared>(dynamic, args.scratch, at, args.vocab);
  const std::int32_t conditional = rows.draw_conditional[d] + place;
  const std::int32_t unconditional = rows.draw_unconditional[d];
  const float* other = args.logits + (std::int64_t{unconditional} + place) * args.vocab;
  const RawLogits raw{args.logits + std::int64_t{conditional} * args.vocab,
                      unconditional < 0 ? nullptr : other, slot.rules.cfg_scale};
  if (!mask_row(block, slot.rules, slot.state, raw, false, nullptr, row.logits, args.vocab))
    add_fault(args.faults, conditional, args.faults.not_finite);
  const rules::DrawOutcome drawn = draw_code(block, slot.rules.sampler, row, shared.number, 0);
  const float score = score_of(block, args, slot, raw, drawn.code, conditional);
  if (block.rank() != 0) return;
  add_fault_of(args.faults, conditional, drawn.fault);
  args.outcome.sampled[at] = drawn.code;
  args.scores[at] = score;
}

// The codes of the slot are in dynamic shared memory, [places].
__global__ void finish_block_kernel(const __grid_constant__ FinishBlockArgs args) {
  __shared__ DrawShared shared;
  __shared__ DecideRoom room;
  extern __shared__ __align__(16) std::byte dynamic[];
  wait_for_previous_kernel();
  const auto d = static_cast<std::int32_t>(blockIdx.x);
  if (d >= count_of(args.rows, Count::draws)) return;
  const std::int32_t index = args.rows.draw_slot[d];
  const std::int32_t rows = args.rows.draw_rows[d];
  const std::int64_t first = std::int64_t{d} * args.places;
  std::int32_t* last = args.slots.last_codes + std::int64_t{index} * args.places;
  std::int32_t* sampled = args.outcome.sampled + first;
  auto* codes = reinterpret_cast<std::int32_t*>(dynamic);
  copy_words(dynamic, last, args.places * static_cast<std::int32_t>(sizeof(std::int32_t)));
  const DrawSlot slot(shared, args.slots, index);
  ThreadBlock block(shared.room);
  const bool was_decided = slot.state.is_decided;
  if (!was_decided) {
    decide_block(block, room, slot.rules, slot.state, rows, sampled, args.scores + first, codes);
    __syncthreads();
  }
  if (block.rank() == 0) {
    rules::SlotState state = slot.state;
    DrawResult result;
    result.slot = index;
    result.final_rows = was_decided ? rows : 0;
    if (was_decided) {
      rules::begin_block(slot.rules, state, args.places, codes);
    } else {
      result.end_frame = rules::end_pass(slot.rules, state, rows, codes);
    }
    result.has_codes = state.is_decided ? 1 : 0;
    args.outcome.results[d] = result;
    args.slots.states[index] = state;
  }
  __syncthreads();
  for (std::int32_t i = block.rank(); i < args.places; i += block.size()) {
    last[i] = codes[i];
    sampled[i] = codes[i];
  }
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void shift_block(const ShiftBlockArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const dim3 grid(static_cast<unsigned>(args.places), 2U, static_cast<unsigned>(args.max_draws));
  launch_early(shift_block_kernel, grid, kThreads, 0, stream, args);
  check_launch("shift_block_kernel");
}

void guess_block(const GuessBlockArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const dim3 grid(static_cast<unsigned>(args.places), static_cast<unsigned>(args.max_draws));
  launch_draws(guess_block_kernel<true>, guess_block_kernel<false>, grid, args.vocab, args,
               "guess_block_kernel", stream);
}

void finish_block(const FinishBlockArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const std::size_t bytes = sizeof(std::int32_t) * static_cast<unsigned>(args.places);
  launch_early(finish_block_kernel, static_cast<unsigned>(args.max_draws), kFinishThreads, bytes,
               stream, args);
  check_launch("finish_block_kernel");
}

}  // namespace ttsrt::cuda
