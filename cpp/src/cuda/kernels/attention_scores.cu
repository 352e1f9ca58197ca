// What the heads of self-attention say about the text: SelfAttention's `scores`.
//
// Decided: the heads that add to the scores of a draw are attended once more, so that neither the
// row's output nor other rows depend on whether a draw reads its scores. One block takes a draw
// and adds its heads in order. It goes over the keys twice: for the softmax over all positions,
// and for the positions of the text.
#include "cuda/kernels/attend_block.cuh"
#include "rules/analyzer.h"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = kMostWarps * 32;

// --- helpers ------------------------------------------------------------------------------------

// Merges what the lanes found, in a fixed order. Called by all threads; each gets the result.
template <typename S>
__device__ Merged merge_lanes(Merged mine, AttendShared<S>& shared) {
#pragma unroll
  for (int offset = S::kLanes; offset < 32; offset *= 2) {
    const float other = __shfl_xor_sync(kAllLanes, mine.largest, offset);
    const float top = fmaxf(mine.largest, other);
    mine.sum = merged(mine.sum, share_of(mine.largest, top),
                      __shfl_xor_sync(kAllLanes, mine.sum, offset), share_of(other, top));
    mine.largest = top;
  }
  if (threadIdx.x % 32 == 0) {
    shared.sums.largest[threadIdx.x / 32][0] = mine.largest;
    shared.sums.sum[threadIdx.x / 32][0] = mine.sum;
  }
  __syncthreads();
  Merged all;
  for (int w = 0; w < kMostWarps; ++w) all.largest = fmaxf(all.largest, shared.sums.largest[w][0]);
  for (int w = 0; w < kMostWarps; ++w)
    all.sum =
        __fmaf_rn(shared.sums.sum[w][0], share_of(shared.sums.largest[w][0], all.largest), all.sum);
  return all;
}

// Calls `use(position, score)` for the positions of a head in blocks [begin, end), below `seen`.
template <typename S, typename Use>
__device__ void for_scores(const BlockSource& source, const float (&query)[S::kFloats],
                           const SelfAttentionArgs& args, int seen, int begin, int end,
                           const Use& use) {
  for (int block = begin + static_cast<int>(threadIdx.x / 32); block < end; block += kMostWarps) {
    const Part part = source.part(source.id(block));
    for (int index = 0; index < S::kWindows; ++index) {
      Window<S> window;
      window.load_keys(part, index, seen - block * kCacheBlock, args.head_dim);
#pragma unroll
      for (int u = 0; u < S::kUnroll; ++u) {
        const float score = window.score(u, query, args.scale);
        const int position = block * kCacheBlock + Window<S>::place_of(index, u);
        if (position < seen) use(position, score);
        __syncwarp();
      }
    }
  }
}

// Adds the share of one head, whose query is in shared memory, to scores [text_len].
template <typename S>
__device__ void add_head(const SelfAttentionArgs& args, const BlockSource& source, int seen,
                         const rules::SlotRules& rules, AttendShared<S>& shared, float* scores) {
  float query[S::kFloats];
  read_query<S>(shared.query[0], query);
  Merged mine;
  const int blocks = (seen + kCacheBlock - 1) / kCacheBlock;
  for_scores<S>(source, query, args, seen, 0, blocks, [&mine](int /*position*/, float score) {
    const float top = fmaxf(mine.largest, score);
    mine.sum = __fmaf_rn(mine.sum, share_of(mine.largest, top), expf(score - top));
    mine.largest = top;
  });
  const Merged all = merge_lanes<S>(mine, shared);
  const int begin = rules.analyzer.text_begin;
  const int end = begin + rules.text_len < seen ? begin + rules.text_len : seen;
  const float share = args.score_share;
  for_scores<S>(source, query, args, seen, begin / kCacheBlock,
                (end + kCacheBlock - 1) / kCacheBlock, [&](int position, float score) {
                  if (position < begin || position >= end || S::place() != 0) return;
                  const float probability = expf(score - all.largest) / all.sum;
                  scores[position - begin] =
                      __fmaf_rn(probability, share, scores[position - begin]);
                });
}

// --- kernels ------------------------------------------------------------------------------------

// One block per draw. Positions of the text that the row does not see become NaN.
template <typename S>
__global__ void __launch_bounds__(kThreads, 1)
    score_text_kernel(const __grid_constant__ SelfAttentionArgs args) {
  __shared__ AttendShared<S> shared;
  wait_for_previous_kernel();
  const auto draw = static_cast<std::int32_t>(blockIdx.x);
  if (draw >= count_of(args.rows, Count::draws)) return;
  const std::int32_t slot = args.rows.draw_slot[draw];
  const std::int32_t row = args.rows.draw_conditional[draw];
  if (slot < 0 || args.rows.slot[row] < 0) return;
  const rules::SlotRules& rules = args.slots.rules[slot];
  if (!rules::reads_scores(rules)) return;
  const int seen = args.rows.position[row] + 1;
  const Angles angles = Angles::of(args.rope, args.rope_width, args.rows.position[row]);
  float* scores = args.scores + std::int64_t{draw} * args.slots.max_text_len;
  for (std::int32_t head = 0; head < args.heads; ++head) {
    if (head >= 64 || ((args.score_heads >> head) & 1U) == 0) continue;
    const int kv_head = head / (args.heads / args.kv_heads);
    const auto source = BlockSource::of<S>(args.cache, args.cache.data, kv_head,
                                           args.rows.blocks + args.rows.table_at[row]);
    __syncthreads();
    shared.set_queries(QkvRow::of(args, row).queries + std::int64_t{head} * args.head_dim, 1,
                       args.head_dim, angles);
    __syncthreads();
    add_head<S>(args, source, seen, rules, shared, scores);
  }
  const int unseen = seen > rules.analyzer.text_begin ? seen - rules.analyzer.text_begin : 0;
  for (int i = unseen + static_cast<int>(threadIdx.x); i < rules.text_len; i += kThreads)
    scores[i] = NAN;
}

struct ScoreText {
  const SelfAttentionArgs& args;
  cudaStream_t stream;

  template <typename S>
  void operator()() const {
    launch_early(score_text_kernel<S>, static_cast<unsigned>(args.max_draws), kThreads, 0, stream,
                 args);
    check_launch("self_attention: scores");
  }
};

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void add_text_scores(const SelfAttentionArgs& args, cudaStream_t stream) {
  with_shape(args.cache, ScoreText{args, stream});
}

}  // namespace ttsrt::cuda
