// SelfAttention over the paged cache: a kernel that stores keys and values, and one that attends.
//
// Decided: in a launch of single rows (SelfAttentionArgs::has_single_rows) no row needs a key that
// another row stores, so one kernel does both, and a row takes its own key and value from shared
// memory, rounded as they are stored. Both ways give the same bits. What such a row reads from the
// cache was stored by earlier launches, so it is loaded before the kernel before has finished.
#include "cuda/kernels/attend_block.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kStoreWarps = 4;
// The last two warps, which have the fewest blocks, keep the own key and the own value of a row.
constexpr int kKeyWarp = kAttendWarps - 2;

// --- helpers ------------------------------------------------------------------------------------

__device__ std::byte* block_of(const SelfAttentionArgs& args, std::int32_t row, int position) {
  const std::int32_t* table = args.rows.blocks + args.rows.table_at[row];
  return args.cache.data + table[position / kCacheBlock] * args.cache.block_bytes;
}

// How many positions a row sees: those up to itself or, if not causal, up to its segment's last.
__device__ int seen_by(const SelfAttentionArgs& args, std::int32_t row) {
  const std::int32_t last = args.is_causal ? row : args.rows.segment_end[row] - 1;
  return args.rows.position[last] + 1;
}

// Keeps a row's own key and value of a head in shared memory and, if `stores`, in the cache.
template <typename S>
__device__ void keep_own(const SelfAttentionArgs& args, std::int32_t row, int head, bool stores,
                         AttendShared<S>& shared) {
  const int part = static_cast<int>(threadIdx.x / 32) - kKeyWarp;
  if (part < 0) return;
  const int position = args.rows.position[row];
  const QkvRow qkv = QkvRow::of(args, row);
  const float* x = (part == 0 ? qkv.keys : qkv.values) + std::int64_t{head} * args.head_dim;
  const Angles angles = part == 0 ? Angles::of(args.rope, args.rope_width, position) : Angles{};
  constexpr Element kElement = S::kElement;
  shared.clear_behind(part, args.head_dim);
  const bool is_finite =
      keep_vector<kElement>(x, angles, args.head_dim, {shared.own[part], &shared.own_scales[part]});
  if (!stores) return;
  const int place = position % kCacheBlock;
  keep_vector<kElement>(
      x, angles, args.head_dim,
      kept_at<kElement>(args.cache, block_of(args, row, position), head, part, place));
  if (!is_finite && threadIdx.x % 32 == 0) add_fault(args.faults, row);
}

// --- kernels ------------------------------------------------------------------------------------

// A warp stores one head's key or value of one row.
template <Element kElement>
__global__ void __launch_bounds__(kStoreWarps * 32)
    store_rows_kernel(const __grid_constant__ SelfAttentionArgs args) {
  wait_for_previous_kernel();
  const int parts = 2 * args.kv_heads;
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kStoreWarps + threadIdx.x / 32);
  const std::int32_t row = unit / parts;
  if (row >= num_rows(args.rows) || args.rows.slot[row] < 0) return;
  const int part = unit % 2;
  const int head = unit % parts / 2;
  const int position = args.rows.position[row];
  const QkvRow qkv = QkvRow::of(args, row);
  const float* x = (part == 0 ? qkv.keys : qkv.values) + std::int64_t{head} * args.head_dim;
  const Angles angles = part == 0 ? Angles::of(args.rope, args.rope_width, position) : Angles{};
  const KeptVector to = kept_at<kElement>(args.cache, block_of(args, row, position), head, part,
                                          position % kCacheBlock);
  const bool is_finite = keep_vector<kElement>(x, angles, args.head_dim, to);
  if (!is_finite && threadIdx.x % 32 == 0) add_fault(args.faults, row);
}

// Grid: rows, query heads. A row whose request is gone has no block table; it gets zeros.
template <typename S, bool kStores>
__global__ void __launch_bounds__(kAttendThreads)
    attend_cache_kernel(const __grid_constant__ SelfAttentionArgs args) {
  __shared__ AttendShared<S> shared;
  if constexpr (!kStores) wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.x);
  if (row >= num_rows(args.rows)) return;
  const auto head = static_cast<int>(blockIdx.y);
  float* out = args.out + (std::int64_t{row} * args.heads + head) * args.head_dim;
  const auto d = static_cast<int>(threadIdx.x);
  if (args.rows.slot[row] < 0) {
    if constexpr (kStores) wait_for_previous_kernel();
    if (d < args.head_dim) out[d] = 0.0F;
    return;
  }
  const int group = args.heads / args.kv_heads;
  const int kv_head = head / group;
  Sweep<S, BlockSource, kAttendWarps, kStores> sweep;
  sweep.source = BlockSource::of<S>(args.cache, args.cache.data, kv_head,
                                    args.rows.blocks + args.rows.table_at[row]);
  sweep.seen = seen_by(args, row);
  sweep.head_dim = args.head_dim;
  sweep.start(d / 32);
  if constexpr (kStores) wait_for_previous_kernel();
  const float* query = QkvRow::of(args, row).queries + std::int64_t{head} * args.head_dim;
  shared.set_query(query, args.head_dim,
                   Angles::of(args.rope, args.rope_width, args.rows.position[row]));
  if constexpr (kStores) keep_own(args, row, kv_head, head % group == 0, shared);
  __syncthreads();
  float floats[S::kFloats];
  read_query<S>(shared.query, floats);
  Softmax<S> softmax;
  for (; sweep.is_active(); sweep.next())
    sweep.add(floats, args.scale, shared.own_vectors(), PlainScores{}, softmax);
  merge_warps<S>(softmax, sweep.seen, args.head_dim, shared, out);
}

// --- launchers ----------------------------------------------------------------------------------

template <Element kElement>
void store_rows(const SelfAttentionArgs& args, cudaStream_t stream) {
  const std::int64_t units = std::int64_t{args.max_rows} * args.kv_heads * 2;
  const auto grid = static_cast<unsigned>((units + kStoreWarps - 1) / kStoreWarps);
  launch_early(store_rows_kernel<kElement>, grid, kStoreWarps * 32, 0, stream, args);
  check_launch("self_attention: store");
}

void store_rows_as(const SelfAttentionArgs& args, cudaStream_t stream) {
  if (args.cache.element == Element::float32) store_rows<Element::float32>(args, stream);
  if (args.cache.element == Element::bfloat16) store_rows<Element::bfloat16>(args, stream);
  if (args.cache.element == Element::float16) store_rows<Element::float16>(args, stream);
  if (args.cache.element == Element::int8) store_rows<Element::int8>(args, stream);
}

struct AttendCache {
  const SelfAttentionArgs& args;
  cudaStream_t stream;

  template <typename S>
  void operator()() const {
    const dim3 grid(static_cast<unsigned>(args.max_rows), static_cast<unsigned>(args.heads));
    if (args.has_single_rows) {
      launch_early(attend_cache_kernel<S, true>, grid, kAttendThreads, 0, stream, args);
    } else {
      launch_early(attend_cache_kernel<S, false>, grid, kAttendThreads, 0, stream, args);
    }
    check_launch("self_attention");
  }
};

}  // namespace

void self_attention(const SelfAttentionArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.cache.data == nullptr) return segment_attention(args, stream);
  if (!args.has_single_rows) store_rows_as(args, stream);
  with_shape(args.cache, AttendCache{args, stream});
  if (args.scores != nullptr && args.max_draws > 0) add_text_scores(args, stream);
}

}  // namespace ttsrt::cuda
