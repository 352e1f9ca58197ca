// StoreMemory and CrossAttention, with the prior and the alignment scores.
//
// Decided: logarithms of the prior are added to the scores, which multiplies the probabilities; so
// no sum of probabilities can become zero. A block takes one head of one row. Where a row adds to
// the scores of its draw, each block leaves its probabilities in `head_scores`, and the block that
// comes last adds them up in the order of heads, so that the order of blocks does not matter. A
// head that is alone adds its probabilities itself.
#include "cuda/kernels/attend_mma_block.cuh"
#include "rules/prior.h"

namespace ttsrt::cuda {
namespace {

constexpr int kStoreWarps = 4;

// --- helpers ------------------------------------------------------------------------------------

__device__ bool names_layer(std::uint64_t layers, std::int32_t layer) {
  return layer < 64 && ((layers >> layer) & 1U) != 0;
}

// The prior of a row; it does nothing where it does not act. Rules and state are those of before
// the launch.
struct Prior {
  bool acts = false;
  rules::PriorRules rules;
  rules::SlotState state;
  std::int32_t text_len = 0;
  const std::int32_t* counts = nullptr;

  __device__ static Prior of(const CrossAttentionArgs& args, std::int32_t row, std::int32_t slot) {
    const rules::SlotRules& rules = args.slots.rules[slot];
    Prior prior;
    prior.rules = rules.prior;
    prior.state.has_prior = args.slots.states[slot].has_prior;
    prior.state.focus = args.slots.states[slot].focus;
    prior.state.suppressed_upto = args.slots.states[slot].suppressed_upto;
    prior.state.opens_round = args.slots.states[slot].opens_round;
    prior.text_len = rules.text_len;
    prior.counts = args.slots.counts + std::int64_t{slot} * args.slots.max_text_len;
    prior.acts = !args.memory.is_context && args.rows.applies_prior[row] != 0 &&
                 prior.rules.mode != rules::PriorMode::off && prior.state.has_prior &&
                 names_layer(prior.rules.apply_layers, args.layer);
    return prior;
  }

  __device__ float weighed(int position, float score) const {
    if (!acts) return score;
    const float weight = rules::prior_weight(rules, state, counts, text_len, position);
    return __fadd_rn(score, logf(weight + rules::kTinyWeight));
  }
};

// Weighs scores by the prior, and keeps them where `kept` [length] is there.
struct WeighedScores {
  Prior prior;
  float* kept = nullptr;
  bool keeps = false;  // of one lane of a group

  __device__ float operator()(int position, float score) const {
    const float weighed = prior.weighed(position, score);
    if (keeps) kept[position] = weighed;
    return weighed;
  }
};

// Returns the draw to whose scores a row adds, or -1.
__device__ std::int32_t scored_draw(const CrossAttentionArgs& args, std::int32_t row,
                                    const rules::PriorRules& rules) {
  if (args.scores == nullptr || args.memory.is_context) return -1;
  return names_layer(rules.estimate_layers, args.layer) ? args.rows.draw[row] : -1;
}

__device__ float probability(float score, const Merged& merged) {
  return expf(score - merged.largest) / merged.sum;
}
__device__ float shares_of(const CrossAttentionArgs& args, const rules::PriorRules& rules) {
  return static_cast<float>(args.heads * __popcll(rules.estimate_layers));
}

// Turns the kept scores of this head into probabilities; the last head of the draw adds them all.
__device__ void add_scores(const CrossAttentionArgs& args, std::int32_t draw, int length,
                           const rules::PriorRules& rules, float* kept, const Merged& merged) {
  __shared__ bool is_last;
  const auto thread = static_cast<int>(threadIdx.x);
  for (int j = thread; j < length; j += static_cast<int>(blockDim.x))
    kept[j] = probability(kept[j], merged);
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    const auto last = static_cast<unsigned>(args.heads) - 1U;
    is_last = atomicInc(&args.heads_done[draw], last) == last;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  const std::int64_t width = args.slots.max_text_len;
  const float* heads = args.head_scores + draw * args.heads * width;
  const float shares = shares_of(args, rules);
  for (int j = thread; j < length; j += static_cast<int>(blockDim.x)) {
    float sum = 0.0F;
    for (int head = 0; head < args.heads; ++head) sum += __ldcg(heads + head * width + j);
    args.scores[draw * width + j] += sum / shares;
  }
}

// --- kernels ------------------------------------------------------------------------------------

// A warp stores one head's key or value of one row.
template <Element kElement>
__global__ void __launch_bounds__(kStoreWarps * 32)
    store_memory_kernel(const __grid_constant__ StoreMemoryArgs args) {
  wait_for_previous_kernel();
  const CacheView& blocks = args.memory.blocks;
  const int parts = 2 * blocks.heads;
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kStoreWarps + threadIdx.x / 32);
  const std::int32_t row = unit / parts;
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int32_t slot = args.rows.slot[row];
  if (slot < 0) return;
  const int part = unit % 2;
  const int head = unit % parts / 2;
  const int position = args.rows.position[row];
  const std::int64_t width = std::int64_t{blocks.heads} * blocks.head_dim;
  const float* x =
      args.kv + (std::int64_t{row} * 2 + part) * width + std::int64_t{head} * blocks.head_dim;
  std::byte* block =
      blocks.data + slot * args.memory.slot_bytes + position / kCacheBlock * blocks.block_bytes;
  const bool is_finite =
      keep_vector<kElement>(x, Angles{}, blocks.head_dim,
                            kept_at<kElement>(blocks, block, head, part, position % kCacheBlock));
  if (!is_finite && threadIdx.x % 32 == 0) add_fault(args.faults, row, args.faults.not_finite);
}

// Grid: rows, heads. Rows of an unconditional branch, an empty memory and rows whose request is
// gone give zeros.
template <typename A>
__global__ void __launch_bounds__(A::kThreads, A::kResident)
    cross_attention_kernel(const __grid_constant__ CrossAttentionArgs args) {
  __shared__ typename A::Shared shared;
  __shared__ float own_scores[A::kThreads];
  if (!args.has_kept_memory) wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(args.rows, Count::rows)) return;
  const auto head = static_cast<int>(blockIdx.y);
  const std::int64_t at = (std::int64_t{row} * args.heads + head) * args.head_dim;
  const auto thread = static_cast<int>(threadIdx.x);
  const std::int32_t slot = args.rows.slot[row];
  int length = 0;
  if (slot >= 0 && args.rows.branch[row] == 0) {
    const rules::SlotRules& rules = args.slots.rules[slot];
    length = args.memory.is_context ? rules.context_len : rules.text_len;
  }
  if (length <= 0) {
    if (args.has_kept_memory) wait_for_previous_kernel();
    for (int d = thread; d < args.head_dim; d += A::kThreads) args.out[at + d] = 0.0F;
    return;
  }
  const CacheView& blocks = args.memory.blocks;
  A attend;
  attend.start(BlockSource::of<typename A::Shape>(
                   blocks, blocks.data + slot * args.memory.slot_bytes, head, nullptr),
               length, args.head_dim);
  WeighedScores weighed{Prior::of(args, row, slot)};
  const std::int32_t draw = scored_draw(args, row, weighed.prior.rules);
  const bool adds_alone = draw >= 0 && args.heads == 1 && length <= A::kThreads;
  if (draw >= 0) {
    weighed.kept = adds_alone ? own_scores
                              : args.head_scores + (std::int64_t{draw} * args.heads + head) *
                                                       args.slots.max_text_len;
    weighed.keeps = A::speaks();
  }
  if (args.has_kept_memory) wait_for_previous_kernel();
  float* own = args.scores + std::int64_t{draw} * args.slots.max_text_len + thread;
  const float before = adds_alone && thread < length ? *own : 0.0F;
  shared.set_queries(args.q + at, 1, args.head_dim, Angles{});
  __syncthreads();
  attend.run(shared, 1.0F / sqrtf(static_cast<float>(args.head_dim)), weighed);
  const Merged merged = attend.finish(shared, 1, args.out + at);
  if (!adds_alone) {
    if (draw >= 0) add_scores(args, draw, length, weighed.prior.rules, weighed.kept, merged);
  } else if (thread < length) {
    *own = before + probability(own_scores[thread], merged) / shares_of(args, weighed.prior.rules);
  }
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement>
void store_memory_as(const StoreMemoryArgs& args, cudaStream_t stream) {
  const std::int64_t units = std::int64_t{args.max_rows} * args.memory.blocks.heads * 2;
  const auto grid = static_cast<unsigned>((units + kStoreWarps - 1) / kStoreWarps);
  launch_early(store_memory_kernel<kElement>, grid, kStoreWarps * 32, 0, stream, args);
  check_launch("store_memory");
}

struct AttendMemory {
  const CrossAttentionArgs& args;
  cudaStream_t stream;

  template <typename A>
  void launch() const {
    const dim3 grid(static_cast<unsigned>(args.max_rows), static_cast<unsigned>(args.heads));
    launch_early(cross_attention_kernel<A>, grid, A::kThreads, 0, stream, args);
    check_launch("cross_attention");
  }

  // Plain arithmetic.
  template <typename S>
  void operator()() const {
    if constexpr (!kHasMma<S>) {
      with_warps<kMostWarps>(args.max_rows * args.heads,
                             [this]<int kWarps>() { launch<AttendHead<S, kWarps, false>>(); });
    }
  }

  // Tensor cores.
  template <typename M>
  void with_mma() const {
    with_warps<M::kBlockWarps>(args.max_rows * args.heads,
                               [this]<int kWarps>() { launch<AttendMma<M, kWarps, false>>(); });
  }
};

}  // namespace

void store_memory(const StoreMemoryArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const Element element = args.memory.blocks.element;
  if (element == Element::float32) store_memory_as<Element::float32>(args, stream);
  if (element == Element::bfloat16) store_memory_as<Element::bfloat16>(args, stream);
  if (element == Element::float16) store_memory_as<Element::float16>(args, stream);
  if (element == Element::int8) store_memory_as<Element::int8>(args, stream);
}

void cross_attention(const CrossAttentionArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  const AttendMemory attend{args, stream};
  const bool has_mma = args.memory.blocks.element == Element::bfloat16;
  if (has_mma && args.head_dim == 64) return attend.with_mma<MmaShape<64, 2>>();
  if (has_mma && args.head_dim == 128) return attend.with_mma<MmaShape<128, 2>>();
  with_shape(args.memory.blocks, attend);
}

}  // namespace ttsrt::cuda
