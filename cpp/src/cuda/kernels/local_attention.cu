// SelfAttention of the Program inside PickCodes.
//
// Decided: autoregressive places run one after the other and keep their keys and values in float32;
// a warp takes one head of one group. The places of a MaskGit pass are a span of rows.
#include "cuda/kernels/attend_block.cuh"
#include "cuda/kernels/place_attention.cuh"
#include "cuda/kernels/segment_attention.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kLocalWarps = 4;

// --- helpers ------------------------------------------------------------------------------------

// The rows of MaskGit's groups.
struct GroupSpans {
  const std::int32_t* num_groups = nullptr;
  std::int32_t places = 1;

  __device__ std::int32_t num_rows() const { return *num_groups * places; }
  __device__ Span of(std::int32_t row) const {
    const std::int32_t begin = row - row % places;
    return {begin, begin + places};
  }
  __device__ std::int32_t position(std::int32_t row) const { return row % places; }
};

// --- kernels ------------------------------------------------------------------------------------

// A warp takes a query head of a group. Query heads that share a key each turn it, and the first of
// them keeps it.
template <typename S>
__global__ void __launch_bounds__(kLocalWarps * 32)
    attend_places_kernel(const __grid_constant__ LocalAttentionArgs args) {
  __shared__ LocalShared<S> warps[kLocalWarps];
  wait_for_previous_kernel();
  LocalShared<S>& shared = warps[threadIdx.x / 32];
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kLocalWarps + threadIdx.x / 32);
  const std::int32_t group = unit / args.heads;
  if (group >= *args.num_groups) return;
  const int head = unit % args.heads;
  const int sharing = args.heads / args.kv_heads;
  const std::int64_t kv_width = std::int64_t{args.kv_heads} * args.head_dim;
  const std::int64_t width = std::int64_t{args.heads} * args.head_dim;
  const float* query = args.qkv + group * (width + 2 * kv_width) + head * args.head_dim;
  const float* key =
      args.qkv + group * (width + 2 * kv_width) + width + head / sharing * args.head_dim;
  const std::int64_t kept_width = std::int64_t{args.kv_heads} * padded_dims(args.head_dim);
  float* kept = args.kept + std::int64_t{group} * args.places * 2 * kept_width +
                head / sharing * padded_dims(args.head_dim);
  PlaceAttention<S> attention;
  attention.start({kept, kept_width}, args.place, args.head_dim);
  const Angles angles = Angles::of(args.rope, args.rope_width, args.place);
  attention.turn(query, key, key + kv_width, angles, shared, head % sharing == 0);
  float* out = args.out + group * width + head * args.head_dim;
  attention.mix(shared, args.scale, [&](int first, const float (&values)[S::kVec]) {
#pragma unroll
    for (int i = 0; i < S::kVec; ++i) {
      if (first + i < args.head_dim) out[first + i] = values[i];
    }
  });
}

struct AttendPlaces {
  const LocalAttentionArgs& args;
  cudaStream_t stream;

  template <typename S>
  void operator()() const {
    const std::int64_t units = std::int64_t{args.max_groups} * args.heads;
    const auto grid = static_cast<unsigned>((units + kLocalWarps - 1) / kLocalWarps);
    launch_early(attend_places_kernel<S>, grid, kLocalWarps * 32, 0, stream, args);
    check_launch("local_attention");
  }
};

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void local_attention(const LocalAttentionArgs& args, cudaStream_t stream) {
  if (args.max_groups <= 0) return;
  if (args.place >= 0) {
    with_dims<Element::float32>(args.head_dim, AttendPlaces{args, stream});
    return;
  }
  SpanArgs<GroupSpans> spans;
  spans.spans = {args.num_groups, args.places};
  spans.qkv = args.qkv;
  spans.out = args.out;
  spans.set_heads(args);
  spans.rope = args.rope;
  spans.rope_width = args.rope_width;
  attend_spans(spans, args.max_groups * args.places, stream);
}

}  // namespace ttsrt::cuda
