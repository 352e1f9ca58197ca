// Samples from independent heads (ops::SampleCodes): a block per draw and codebook mixes and masks
// its logits, takes the likeliest code, and draws one where no local transformer does.
#include "cuda/check.h"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {
namespace {

// --- kernels ------------------------------------------------------------------------------------

// Grid: (codebooks, draws).
template <bool kInShared>
__global__ void __launch_bounds__(kMostDrawThreads)
    sample_codes_kernel(const __grid_constant__ SampleArgs args) {
  __shared__ DrawShared shared;
  extern __shared__ __align__(16) std::byte dynamic[];
  wait_for_previous_kernel();
  const auto d = static_cast<std::int32_t>(blockIdx.y);
  const auto place = static_cast<std::int32_t>(blockIdx.x);
  const RowsView& rows = args.rows;
  if (d >= count_of(rows, Count::draws)) return;
  const std::int32_t index = rows.draw_slot[d];
  const std::int32_t codebooks = args.slots.codebooks;
  const std::int64_t at = std::int64_t{d} * codebooks + place;
  const std::int64_t width = std::int64_t{codebooks} * args.vocab;
  const std::int32_t conditional = rows.draw_conditional[d];
  const std::int32_t unconditional = rows.draw_unconditional[d];
  const DrawSlot slot(shared, args.slots, index);
  slot.write_number(shared, place, 0);
  ThreadBlock block(shared.room);
  BlockRow row = draw_row<kInShared>(dynamic, args.scratch, at, args.vocab);
  row.seen =
      copy_seen<kInShared>(dynamic, args.slots, slot.rules.sampler, index, place, args.vocab);
  const float* logits = args.logits + std::int64_t{place} * args.vocab;
  const RawLogits raw{logits + conditional * width,
                      unconditional < 0 ? nullptr : logits + unconditional * width,
                      slot.rules.cfg_scale};
  float* guided = args.guided == nullptr ? nullptr : args.guided + at * args.vocab;
  if (!mask_row(block, slot.rules, slot.state, raw, true, guided, row.logits, args.vocab))
    add_fault(args.faults, conditional, args.faults.not_finite);
  const std::uint64_t best = largest_of(block, row.logits, args.vocab);
  if (block.rank() == 0) args.outcome.likeliest[at] = best_index(best);
  if (slot.rules.use_local_transformer) return;
  const rules::DrawOutcome drawn = draw_code(block, slot.rules.sampler, row, shared.number, best);
  if (block.rank() != 0) return;
  add_fault_of(args.faults, conditional, drawn.fault);
  args.outcome.sampled[at] = code_of(rows, d, place, drawn.code);
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void sample_codes(const SampleArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const dim3 grid(static_cast<unsigned>(args.slots.codebooks),
                  static_cast<unsigned>(args.max_draws));
  launch_draws(sample_codes_kernel<true>, sample_codes_kernel<false>, grid, args.vocab, args,
               "sample_codes_kernel", stream);
}

std::size_t draw_scratch_bytes(std::int64_t num_draws, std::int32_t vocab) {
  return draws_in_shared(vocab) ? 0 : static_cast<std::size_t>(num_draws) * draw_row_bytes(vocab);
}

}  // namespace ttsrt::cuda
