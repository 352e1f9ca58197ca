// What picks of codes do around the local transformer's Program (ops::PickCodes): the inputs of its
// places, the draws of autoregressive picks, and the raw logits that traces keep. maskgit.cu has
// the passes of MaskGit.
#include "cuda/check.h"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/kernels/pick_block.cuh"
#include "cuda/kernels/top_k_draw.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 256;

// --- kernels ------------------------------------------------------------------------------------

// The code that feeds place `place` > 0 of pick `p`.
__device__ std::int32_t code_before(const PickInputArgs& args, std::int32_t p, std::int32_t place) {
  if (args.place < 0) return args.fed[std::int64_t{p} * args.codebooks + place - 1];
  const std::int32_t d = args.rows.pick_draw[p];
  return args.outcome.sampled[std::int64_t{d} * args.codebooks + place - 1];
}

// Grid: (bound on the picks, places of a group that are filled now). The branches of a pick get the
// same codes.
__global__ void pick_inputs_kernel(const __grid_constant__ PickInputArgs args) {
  wait_for_previous_kernel();
  const RowsView& rows = args.rows;
  const auto p = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(rows, Count::picks)) return;
  const bool has_all_places = args.place < 0;
  const std::int32_t place = has_all_places ? static_cast<std::int32_t>(blockIdx.y) : args.place;
  const std::int64_t places = has_all_places ? args.codebooks + 1 : 1;
  const std::int32_t code = place > 0 ? code_before(args, p, place) : 0;
  const std::int64_t code_row = row_of_code(place - 1, args.vocab, code);
  const std::int32_t first = rows.pick_first[p];
  for (std::int32_t b = 0; b < num_branches(rows, p); ++b) {
    const std::int64_t row = first + b;
    float* out = args.out + (row * places + (has_all_places ? place : 0)) * args.dim;
    const float* hidden = args.hidden + rows.pick_source[row] * args.dim;
    for (std::int64_t i = threadIdx.x; i < args.dim; i += kThreads)
      out[i] = place > 0 ? code_value_at(args.code_tables, code_row, i) : hidden[i];
  }
}

__global__ void add_positions_kernel(const __grid_constant__ AddPositionsArgs args) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= *args.num_rows) return;
  const std::int64_t place = args.place < 0 ? row % args.places : args.place;
  float* x = args.x + row * args.width;
  const float* position = args.positions + place * args.width;
  for (std::int64_t i = threadIdx.x; i < args.width; i += kThreads) x[i] += position[i];
}

// Draws as pick_code_kernel where top_k_draw.cuh can; returns whether it did.
__device__ bool draw_top_k(const PickDrawArgs& args, DrawShared& shared, TopKShared& top_k,
                           const DrawSlot& slot, std::int32_t p) {
  if (blockDim.x != kTopKThreads || !draws_top_k(slot.rules.sampler, args.vocab)) return false;
  const TopKDraw draw{top_k, slot, args.vocab, shared.number};
  draw.prepare();
  const RawLogits raw = raw_of_pick(args, p, args.place, slot.rules.cfg_scale);
  float mixed[kTopKValues] = {};
#pragma unroll
  for (int i = 0; i < kTopKValues; ++i) {
    const int id = TopKDraw::first_id() + i;
    if (id >= args.vocab) continue;
    mixed[i] = raw.conditional[id];
    if (raw.unconditional != nullptr)
      mixed[i] = guided_logit(slot.rules.guidance, mixed[i], raw.unconditional[id], raw.scale);
  }
  std::int32_t code = -1;
  const bool is_drawn = draw.draw(mixed, code);
  const std::int32_t d = args.rows.pick_draw[p];
  if (is_drawn && code >= 0) {
    args.outcome.sampled[std::int64_t{d} * args.slots.codebooks + args.place] =
        code_of(args.rows, d, args.place, code);
  }
  __syncthreads();
  return is_drawn;
}

// A block per pick draws the code of args.place.
template <bool kInShared>
__global__ void __launch_bounds__(kMostDrawThreads)
    pick_code_kernel(const __grid_constant__ PickDrawArgs args) {
  __shared__ DrawShared shared;
  __shared__ TopKShared top_k;
  extern __shared__ __align__(16) std::byte dynamic[];
  wait_for_previous_kernel();
  const auto p = static_cast<std::int32_t>(blockIdx.x);
  if (p >= count_of(args.rows, Count::picks)) return;
  const std::int32_t d = args.rows.pick_draw[p];
  const std::int32_t index = args.rows.draw_slot[d];
  const DrawSlot slot(shared, args.slots, index);
  slot.write_number(shared, args.place, 0);
  if (draw_top_k(args, shared, top_k, slot, p)) return;
  ThreadBlock block(shared.room);
  BlockRow row = draw_row<kInShared>(dynamic, args.scratch, p, args.vocab);
  row.seen =
      copy_seen<kInShared>(dynamic, args.slots, slot.rules.sampler, index, args.place, args.vocab);
  mask_pick(block, args, slot, p, raw_of_pick(args, p, args.place, slot.rules.cfg_scale), row);
  const rules::DrawOutcome drawn = draw_code(block, slot.rules.sampler, row, shared.number, 0);
  if (block.rank() != 0) return;
  add_fault_of(args.faults, args.rows.draw_conditional[d], drawn.fault);
  args.outcome.sampled[std::int64_t{d} * args.slots.codebooks + args.place] =
      code_of(args.rows, d, args.place, drawn.code);
}

__global__ void clear_rows_kernel(const std::int32_t* num_rows, float* rows, std::int64_t width) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= *num_rows) return;
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) rows[row * width + i] = 0.0F;
}

__global__ void keep_pick_logits_kernel(const __grid_constant__ RowsView rows, const float* logits,
                                        float* kept, std::int64_t width) {
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(rows, Count::pick_rows)) return;
  float* to = kept + rows.pick_source[row] * width;
  const float* from = logits + row * width;
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) to[i] = from[i];
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void pick_inputs(const PickInputArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  const std::int32_t places = args.place < 0 ? args.codebooks + 1 : 1;
  const dim3 grid(static_cast<unsigned>(args.max_picks), static_cast<unsigned>(places));
  launch_early(pick_inputs_kernel, grid, kThreads, 0, stream, args);
  check_launch("pick_inputs_kernel");
}

void add_positions(const AddPositionsArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(add_positions_kernel, static_cast<unsigned>(args.max_rows), kThreads, 0, stream,
               args);
  check_launch("add_positions_kernel");
}

void pick_code(const PickDrawArgs& args, cudaStream_t stream) {
  if (args.max_picks <= 0) return;
  launch_draws(pick_code_kernel<true>, pick_code_kernel<false>,
               dim3(static_cast<unsigned>(args.max_picks)), args.vocab, args, "pick_code_kernel",
               stream, kTopKThreads);
}

void keep_pick_logits(const RowsView& rows, const float* logits, float* kept, std::int64_t width,
                      std::int32_t max_rows, std::int32_t max_pick_rows, cudaStream_t stream) {
  if (max_rows > 0) {
    const std::int32_t* num_rows = rows.counts + static_cast<std::int32_t>(Count::rows);
    launch_early(clear_rows_kernel, static_cast<unsigned>(max_rows), kThreads, 0, stream, num_rows,
                 kept, width);
    check_launch("clear_rows_kernel");
  }
  if (max_pick_rows > 0) {
    launch_early(keep_pick_logits_kernel, static_cast<unsigned>(max_pick_rows), kThreads, 0, stream,
                 rows, logits, kept, width);
    check_launch("keep_pick_logits_kernel");
  }
}

}  // namespace ttsrt::cuda
