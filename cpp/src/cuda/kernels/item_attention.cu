// SelfAttention of whole items: queries, keys and values as they stand at their positions are
// written once, and then multiplied: on tensor cores where they are narrow (item_attention_mma.cu),
// or as segments are that cache nothing.
#include <cmath>

#include "cuda/kernels/item_attention.cuh"
#include "cuda/kernels/segment_attention.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kWarps = 8;

// --- helpers ------------------------------------------------------------------------------------

// A head of a row: queries, then keys, then values.
struct HeadOf {
  int index;    // of the row
  int in_kind;  // of queries, of keys or of values
  bool is_query;
  bool is_value;

  __device__ HeadOf(const ItemAttentionArgs& args, int head)
      : index(head),
        in_kind(head < args.heads ? head : (head - args.heads) % args.kv_heads),
        is_query(head < args.heads),
        is_value(head >= args.heads + args.kv_heads) {}

  __device__ const float* norm(const ItemAttentionArgs& args) const {
    const float* weight = is_query ? args.q_norm : is_value ? nullptr : args.k_norm;
    return weight == nullptr ? nullptr : weight + in_kind * args.head_dim;
  }
  __device__ bool is_turned(const ItemAttentionArgs& args) const {
    return args.rope != nullptr && !is_value && (args.rope_heads == 0 || in_kind < args.rope_heads);
  }
};

// Divides a head by the root of its mean square; the statistics are NaN beyond float32.
__device__ void norm_head(const float* weight, float epsilon, int head_dim, float* x) {
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  float squares = 0.0F;
  for (int d = lane; d < head_dim; d += kWarp) squares = __fmaf_rn(x[d], x[d], squares);
  const float mean = warp_sum(squares) / static_cast<float>(head_dim);
  const float inverse = isfinite(mean) ? 1.0F / sqrtf(__fadd_rn(mean, epsilon)) : NAN;
  for (int d = lane; d < head_dim; d += kWarp)
    x[d] = __fmul_rn(__fmul_rn(x[d], inverse), weight[d]);
}

__device__ float rounded_to(Element element, float x) {
  if (element == Element::bfloat16) return __bfloat162float(__float2bfloat16_rn(x));
  if (element == Element::float16) return __half2float(__float2half_rn(x));
  return x;
}

// Element d of a head x [head_dim] as it stands at its position.
__device__ float turned_at(const float* x, int d, const Angles& angles) {
  if (d >= angles.width) return x[d];
  const int pairs = angles.width / 2;
  const int j = d % pairs;
  const bool is_low = d < pairs;
  return turned_pair(x[d], x[is_low ? d + pairs : j], angles.values[j], angles.values[pairs + j],
                     is_low);
}

__device__ void store(const ItemAttentionArgs& args, const HeadOf& head, std::int64_t at, float x) {
  if (args.element == Element::float32) {
    static_cast<float*>(args.prepared)[at] = head.is_query ? x : rounded_to(args.rounded, x);
    return;
  }
  const float kept = head.is_value ? x : finite_or_nan(args.element, x);
  static_cast<std::uint16_t*>(args.prepared)[at] =
      static_cast<std::uint16_t>(narrowed(args.element, kept, 0.0F));
}

// --- kernels ------------------------------------------------------------------------------------

// One block per row; a warp has one head after the other.
__global__ void __launch_bounds__(kWarps* kWarp)
    prepare_heads_kernel(const __grid_constant__ ItemAttentionArgs args) {
  __shared__ float heads[kWarps][kMaxHeadDim];
  wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= count_of(args.rows, Count::rows)) return;
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  float* x = heads[threadIdx.x / kWarp];
  const int num_heads = args.heads + 2 * args.kv_heads;
  const std::int64_t first = std::int64_t{row} * num_heads * args.head_dim;
  const Angles angles = Angles::of(args.rope, args.rope_width, args.rows.position[row]);
  for (int h = static_cast<int>(threadIdx.x) / kWarp; h < num_heads; h += kWarps) {
    const HeadOf head(args, h);
    const std::int64_t at = first + std::int64_t{h} * args.head_dim;
    for (int d = lane; d < args.head_dim; d += kWarp) x[d] = args.qkv[at + d];
    const float* weight = head.norm(args);
    if (weight != nullptr) norm_head(weight, args.head_norm_epsilon, args.head_dim, x);
    __syncwarp();
    for (int d = lane; d < args.head_dim; d += kWarp)
      store(args, head, at + d, head.is_turned(args) ? turned_at(x, d, angles) : x[d]);
    __syncwarp();
  }
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

bool has_narrow_heads(std::int32_t head_dim, bool is_causal) {
  return !is_causal && (head_dim == 32 || head_dim == 64 || head_dim == 128);
}

void prepare_heads(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(prepare_heads_kernel, static_cast<unsigned>(args.max_rows), kWarps * kWarp, 0,
               stream, args);
  check_launch("prepare_heads");
}

void item_attention(const ItemAttentionArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.has_boxes) return item_attention_of_boxes(args, stream);
  if (args.element != Element::float32) return narrow_item_attention(args, stream);
  SpanArgs<SegmentSpans> spans;
  spans.spans.rows = args.rows;
  spans.qkv = static_cast<const float*>(args.prepared);
  spans.out = args.out;
  spans.set_heads(args);
  attend_spans(spans, args.max_rows, stream);
}

}  // namespace ttsrt::cuda
