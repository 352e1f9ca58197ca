// SelfAttention of the Program inside PickCodes.
//
// Decided: autoregressive places run one after the other and keep their keys and values in float32;
// a warp takes one head of one group. The places of a MaskGit pass are a span of rows.
#include "cuda/kernels/attend_block.cuh"
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

// The kept places of one head of a group.
struct KeptSource {
  float* head = nullptr;      // the key of place 0
  std::int64_t kv_width = 0;  // from a key to its value; twice that to the next key

  __device__ std::int32_t id(int block) const { return block; }
  __device__ Part part(std::int32_t id) const {
    const float* keys = head + std::int64_t{id} * kCacheBlock * 2 * kv_width;
    return {reinterpret_cast<const std::byte*>(keys),
            reinterpret_cast<const std::byte*>(keys + kv_width),
            2 * kv_width * std::int64_t{sizeof(float)}};
  }
};

template <typename S>
struct LocalShared {
  alignas(16) float query[S::kDims];
  alignas(16) float own[2][S::kDims];  // key and value
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
  Sweep<S, KeptSource, 1, true> sweep;
  sweep.source = {kept, kept_width};
  sweep.seen = args.place + 1;
  sweep.head_dim = args.head_dim;
  sweep.start(0);
  const Angles angles = Angles::of(args.rope, args.rope_width, args.place);
  float* to = kept + args.place * 2 * kept_width;
  for (int d = static_cast<int>(threadIdx.x % 32); d < S::kDims; d += 32) {
    const bool is_there = d < args.head_dim;
    shared.query[d] = is_there ? turned(query, d, angles) : 0.0F;
    shared.own[0][d] = is_there ? turned(key, d, angles) : 0.0F;
    shared.own[1][d] = is_there ? key[kv_width + d] : 0.0F;
    if (!is_there || head % sharing != 0) continue;
    to[d] = shared.own[0][d];
    to[kept_width + d] = shared.own[1][d];
  }
  __syncwarp();
  float floats[S::kFloats];
  read_query<S>(shared.query, floats);
  const OwnVectors own = {{reinterpret_cast<const std::byte*>(shared.own[0]),
                           reinterpret_cast<const std::byte*>(shared.own[1])},
                          {}};
  Softmax<S> softmax;
  for (; sweep.is_active(); sweep.next())
    sweep.add(floats, args.scale, own, PlainScores{}, softmax);
  softmax.merge_groups();
  float* out = args.out + group * width + head * args.head_dim;
  if (S::group() != 0) return;
#pragma unroll
  for (int c = 0; c < S::kChunks; ++c) {
#pragma unroll
    for (int i = 0; i < S::kVec; ++i) {
      if (S::first(c) + i < args.head_dim)
        out[S::first(c) + i] = softmax.mixed[c * S::kVec + i] / softmax.sum;
    }
  }
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
  spans.heads = args.heads;
  spans.kv_heads = args.kv_heads;
  spans.head_dim = args.head_dim;
  spans.scale = args.scale;
  spans.is_causal = args.is_causal;
  spans.rope = args.rope;
  spans.rope_width = args.rope_width;
  attend_spans(spans, args.max_groups * args.places, stream);
}

}  // namespace ttsrt::cuda
