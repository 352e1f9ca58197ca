// Clears the scores of a launch's draws, and moves prior and analyzer on by them (ops::ClearScores,
// ops::UpdatePrior): a block per draw.
//
// The threads of a block look at all scores together; one thread then applies the rules, which
// only read a few of them.
#include "cuda/check.h"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/launch.h"
#include "rules/analyzer.h"
#include "rules/prior.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kThreads = 256;

// --- kernels ------------------------------------------------------------------------------------

__global__ void clear_scores_kernel(const __grid_constant__ RowsView rows, float* scores,
                                    std::int32_t max_text_len) {
  wait_for_previous_kernel();
  const auto d = static_cast<std::int32_t>(blockIdx.x);
  if (d >= count_of(rows, Count::draws)) return;
  float* row = scores + std::int64_t{d} * max_text_len;
  for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < max_text_len; i += kThreads)
    row[i] = 0.0F;
}

// Applies rules::update_analyzer; `state` is shared, and only thread 0 changes it.
__device__ void update_analyzer(ThreadBlock& block, const rules::SlotRules& rules,
                                rules::SlotState& state, const float* scores) {
  if (!rules.analyzer.acts) return;
  const std::uint64_t best = largest_of(block, scores, rules::visible_scores(rules, state));
  const std::int32_t earlier = rules::earlier_scores(rules, state);
  std::uint64_t own_largest = 0;
  for (std::int32_t i = block.rank(); i < earlier; i += block.size()) {
    const std::uint64_t bits = scores[i] > 0.0F ? bits_of(scores[i]) : 0;
    own_largest = bits > own_largest ? bits : own_largest;
  }
  const float repeated = from_bits(static_cast<std::uint32_t>(block.max(own_largest)));
  if (block.rank() == 0) rules::follow_scores(rules, state, scores, best_index(best), repeated);
}

// The row of scores is copied to dynamic shared memory where `copies` says that there is any.
__global__ void update_prior_kernel(const __grid_constant__ UpdatePriorArgs args, bool copies) {
  __shared__ DrawShared shared;
  extern __shared__ __align__(16) std::byte dynamic[];
  const auto d = static_cast<std::int32_t>(blockIdx.x);
  const bool is_draw = d < count_of(args.rows, Count::draws);
  const std::int32_t index = is_draw ? args.rows.draw_slot[d] : 0;
  const DrawSlot slot(shared);
  DrawSlot::copy_rules(shared, args.slots, index);
  __syncthreads();
  wait_for_previous_kernel();
  if (!is_draw) return;
  ThreadBlock block(shared.room);
  const rules::SlotRules& rules = slot.rules;
  auto& state = *reinterpret_cast<rules::SlotState*>(shared.state);
  const std::int64_t width = args.slots.max_text_len;
  const float* scores = args.scores + d * width;
  if (!rules::reads_scores(rules)) return;
  copy_words(shared.state, args.slots.states + index, sizeof(rules::SlotState));
  bool is_finite = true;
  for (std::int32_t i = block.rank(); i < rules.text_len; i += kThreads) {
    is_finite = is_finite && scores[i] - scores[i] == 0.0F;
    if (copies) reinterpret_cast<float*>(dynamic)[i] = scores[i];
  }
  if (!is_finite) add_fault(args.faults, args.rows.draw_conditional[d], args.faults.not_finite);
  for (std::int32_t i = block.rank(); rules.keep_scores && i < width; i += kThreads)
    args.outcome.scores[d * width + i] = scores[i];
  if (copies) scores = reinterpret_cast<const float*>(dynamic);
  __syncthreads();
  if (block.rank() == 0)
    rules::update_prior(rules, state, args.slots.counts + index * width, scores);
  update_analyzer(block, rules, state, scores);
  __syncthreads();
  copy_words(reinterpret_cast<std::byte*>(args.slots.states + index), shared.state,
             sizeof(rules::SlotState));
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void clear_scores(const RowsView& rows, float* scores, std::int32_t max_text_len,
                  std::int32_t max_draws, cudaStream_t stream) {
  if (max_draws <= 0) return;
  launch_early(clear_scores_kernel, static_cast<unsigned>(max_draws), kThreads, 0, stream, rows,
               scores, max_text_len);
  check_launch("clear_scores_kernel");
}

void update_prior(const UpdatePriorArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const std::size_t bytes = static_cast<std::size_t>(args.slots.max_text_len) * sizeof(float);
  const bool copies = bytes <= kMostDynamicShared;
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(update_prior_kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kMostDynamicShared)),
        "update_prior_kernel");
  launch_early(update_prior_kernel, static_cast<unsigned>(args.max_draws), kThreads,
               copies ? bytes : 0, stream, args, copies);
  check_launch("update_prior_kernel");
}

}  // namespace ttsrt::cuda
