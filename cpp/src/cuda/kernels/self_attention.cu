// SelfAttention over the paged cache: kernels that attend (store_rows.cu has the one that stores
// keys and values beforehand).
//
// Decided: bfloat16 keys of 64 or 128 dimensions are attended to on tensor cores, where query heads
// that share keys, and rows of a prefill, share a thread block; others on the plain units, each
// query head alone. In a launch of single rows (SelfAttentionArgs::has_single_rows) no row needs a
// key that another row stores, so one kernel does both, and a row takes its own key and value from
// shared memory, rounded as they are stored. Both ways give the same bits. What such a row reads
// from the cache was stored by earlier launches, so it is loaded before the kernel before has
// finished.
#include <type_traits>

#include "cuda/kernels/attend_mma_block.cuh"
#include "cuda/kernels/attend_spread.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kSpreadBlocks = 4;           // thread blocks of a cluster
constexpr int kDeclaredBytes = 48 * 1024;  // of shared memory, without an attribute

// --- helpers ------------------------------------------------------------------------------------

// How many positions a row sees: those up to itself or, if not causal, up to its segment's last.
__device__ int seen_by(const SelfAttentionArgs& args, std::int32_t row) {
  const std::int32_t last = args.is_causal ? row : args.rows.segment_end[row] - 1;
  return args.rows.position[last] + 1;
}

// The query heads of a thread block, which share a key. The heads of a key may take several blocks.
struct HeadSpan {
  int group;  // query heads of a key
  int most;   // heads of a block
  int parts;  // blocks of a key
  int at;     // of all spans

  __host__ __device__ static HeadSpan of(const SelfAttentionArgs& args, int queries,
                                         unsigned at = 0) {
    const int group = args.heads / args.kv_heads;
    const int most = group < queries ? group : queries;
    return {group, most, ceil_div(group, most), static_cast<int>(at)};
  }
  __device__ int kv_head() const { return at / parts; }
  __device__ int part() const { return at % parts; }
  __device__ int first() const { return kv_head() * group + part() * most; }
  __device__ int heads() const {
    const int left = group - part() * most;
    return left < most ? left : most;
  }
};

// The shared memory of a thread block, which may be more than can be declared.
template <typename A>
__device__ typename A::Shared& shared_of() {
  extern __shared__ float4 attend_memory[];
  return *reinterpret_cast<typename A::Shared*>(attend_memory);
}

// Keeps a row's own key and value of a head in shared memory and, if `stores`, in the cache. Called
// by all threads; the last two warps, which have the fewest blocks, do it.
template <Element kElement, int kBytes>
__device__ void keep_own(const SelfAttentionArgs& args, std::int32_t row, int head, bool stores,
                         OwnShared<kBytes>& own) {
  const int part = static_cast<int>(threadIdx.x / 32) - static_cast<int>(blockDim.x / 32) + 2;
  if (part < 0) return;
  const int position = args.rows.position[row];
  const QkvRow qkv = QkvRow::of(args, row);
  const float* x = (part == 0 ? qkv.keys : qkv.values) + std::int64_t{head} * args.head_dim;
  const Angles angles = part == 0 ? Angles::of(args.rope, args.rope_width, position) : Angles{};
  own.clear_behind(part, args.head_dim * static_cast<int>(sizeof(typename Stored<kElement>::Type)));
  const bool is_finite =
      keep_vector<kElement>(x, angles, args.head_dim, {own.elements[part], &own.scales[part]});
  if (!stores) return;
  const int place = position % kCacheBlock;
  keep_vector<kElement>(
      x, angles, args.head_dim,
      kept_at<kElement>(args.cache, block_of(args, row, position), head, part, place));
  if (!is_finite && threadIdx.x % 32 == 0) add_fault(args.faults, row, args.faults.not_finite);
}

// What a block of several rows knows of them: lane r has row `first` + r. All lanes take part.
struct TileRows {
  std::int32_t slot = -1;
  std::int32_t table_at = -1;
  int seen = 0;

  __device__ TileRows(const SelfAttentionArgs& args, std::int32_t first, int rows) {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    if (lane >= rows) return;
    slot = load_now(args.rows.slot + first + lane);
    table_at = load_now(args.rows.table_at + first + lane);
    seen = seen_by(args, first + lane);
  }

  // Returns the end of the rows from `row` on, before `end`, that see the same sequence.
  __device__ int run_end(int row, int end) const {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const std::int32_t table = __shfl_sync(kAllLanes, table_at, row);
    const bool is_other = lane > row && (slot < 0 || table_at != table || lane >= end);
    const bool is_gone = __shfl_sync(kAllLanes, slot, row) < 0;
    return is_gone ? row + 1 : __ffs(static_cast<int>(__ballot_sync(kAllLanes, is_other))) - 1;
  }

  __device__ int most_seen(int row, int end) const {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    return __reduce_max_sync(kAllLanes, lane >= row && lane < end ? seen : 0);
  }
};

// Attends with the rows [begin, end) of a tile, all of one sequence. The queries of a row are
// consecutive.
template <typename A>
__device__ void attend_run(const SelfAttentionArgs& args, const HeadSpan& span, std::int32_t first,
                           const TileRows& rows, int begin, int end, typename A::Shared& shared) {
  constexpr int kDims = A::Shape::kDims;
  const auto thread = static_cast<int>(threadIdx.x);
  const int heads = span.heads();
  const int queries = (end - begin) * heads;
  const std::int32_t table_at = __shfl_sync(kAllLanes, rows.table_at, begin);
  A attend;
  attend.start(BlockSource::of<typename A::Shape>(args.cache, args.cache.data, span.kv_head(),
                                                  args.rows.blocks + table_at),
               rows.most_seen(begin, end), kDims);
  __syncthreads();  // the run before has read what is in shared memory
  const auto row_of = [=](int query) { return std::int64_t{first} + begin + query / heads; };
  shared.set(
      queries,
      [&](int query) {
        return QkvRow::of(args, row_of(query)).queries + (span.first() + query % heads) * kDims;
      },
      [&](int query) {
        return Angles::of(args.rope, args.rope_width, args.rows.position[row_of(query)]);
      });
  for (int query = 0; query < A::kQueries; ++query) {
    const int seen = __shfl_sync(kAllLanes, rows.seen, begin + query / heads);
    if (thread == 0) shared.seen[query] = query < queries ? seen : attend.sweep.seen;
  }
  __syncthreads();
  attend.run(shared, args.scale, PlainScores{});
  __syncthreads();
  for (int at = thread / 32 * 32; at < queries * kDims; at += A::kThreads) {
    const int query = at / kDims;
    float* out = args.out + (row_of(query) * args.heads + span.first() + query % heads) * kDims;
    shared.sums.write(query, shared.seen[query], at % kDims, kDims, out);
  }
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: spans of query heads, rows: the keys of a row's heads are neighbours in memory. A row whose
// request is gone has no block table; it gets zeros.
template <typename A, bool kStores>
__global__ void __launch_bounds__(A::kThreads, A::kResident)
    attend_row_kernel(const __grid_constant__ SelfAttentionArgs args) {
  auto& shared = shared_of<A>();
  if constexpr (!kStores) wait_for_previous_kernel();
  const auto row = static_cast<std::int32_t>(blockIdx.y);
  const std::int32_t slot = load_now(args.rows.slot + row);
  const std::int32_t table_at = load_now(args.rows.table_at + row);
  const std::int32_t position = load_now(args.rows.position + row);
  if (row >= count_of(args.rows, Count::rows)) return;
  const HeadSpan span = HeadSpan::of(args, A::kQueries, blockIdx.x);
  const int heads = span.heads();
  const std::int64_t first = std::int64_t{span.first()} * args.head_dim;
  float* out = args.out + std::int64_t{row} * args.heads * args.head_dim + first;
  if (slot < 0) {
    if constexpr (kStores) wait_for_previous_kernel();
    for (int i = static_cast<int>(threadIdx.x); i < heads * args.head_dim; i += A::kThreads)
      out[i] = 0.0F;
    return;
  }
  A attend;
  attend.start(BlockSource::of<typename A::Shape>(args.cache, args.cache.data, span.kv_head(),
                                                  args.rows.blocks + table_at),
               kStores ? position + 1 : seen_by(args, row), args.head_dim);
  if constexpr (kStores) wait_for_previous_kernel();
  shared.set_queries(QkvRow::of(args, row).queries + first, heads, args.head_dim,
                     Angles::of(args.rope, args.rope_width, position));
  if constexpr (kStores)
    keep_own<A::Shape::kElement>(args, row, span.kv_head(), span.part() == 0, shared.own);
  __syncthreads();
  attend.run(shared, args.scale, PlainScores{});
  __syncthreads();
  attend.write(shared, heads, out);
}

// As attend_row_kernel for single rows, with a cluster for each row and span. Grid: blocks of the
// clusters of all rows, spans of query heads.
template <typename A, int kCluster>
__global__ void __launch_bounds__(A::kThreads, A::kResident)
    attend_spread_kernel(const __grid_constant__ SelfAttentionArgs args) {
  auto& shared = shared_of<A>();
  const auto row = static_cast<std::int32_t>(blockIdx.x) / kCluster;
  const bool is_first = blockIdx.x % kCluster == 0;
  const std::int32_t slot = load_now(args.rows.slot + row);
  const std::int32_t table_at = load_now(args.rows.table_at + row);
  const std::int32_t position = load_now(args.rows.position + row);
  if (row >= count_of(args.rows, Count::rows)) return;
  const HeadSpan span = HeadSpan::of(args, A::kQueries, blockIdx.y);
  const int heads = span.heads();
  const std::int64_t first = std::int64_t{span.first()} * args.head_dim;
  float* out = args.out + std::int64_t{row} * args.heads * args.head_dim + first;
  if (slot < 0) {
    wait_for_previous_kernel();
    for (int i = static_cast<int>(threadIdx.x); is_first && i < heads * args.head_dim;
         i += A::kThreads)
      out[i] = 0.0F;
    return;
  }
  arrive_at_cluster();
  A attend;
  attend.start(BlockSource::of<typename A::Shape>(args.cache, args.cache.data, span.kv_head(),
                                                  args.rows.blocks + table_at),
               position + 1, args.head_dim);
  wait_for_previous_kernel();
  shared.set_queries(QkvRow::of(args, row).queries + first, heads, args.head_dim,
                     Angles::of(args.rope, args.rope_width, position));
  if (attend.sweep.has(position))
    keep_own<A::Shape::kElement>(args, row, span.kv_head(), span.part() == 0, shared.own);
  __syncthreads();
  wait_for_cluster();
  attend.run_into(shared_of_block(shared.sums, 0), shared, args.scale, PlainScores{});
  arrive_at_cluster();
  wait_for_cluster();
  if (is_first) attend.write(shared, heads, out);
}

// Grid: tiles of consecutive rows, spans of query heads. Rows of a tile may be of several
// sequences, which it handles one after the other.
template <typename A>
__global__ void __launch_bounds__(A::kThreads, A::kResident)
    attend_rows_kernel(const __grid_constant__ SelfAttentionArgs args) {
  auto& shared = shared_of<A>();
  wait_for_previous_kernel();
  const HeadSpan span = HeadSpan::of(args, A::kQueries, blockIdx.y);
  const int most = A::kQueries / span.most;
  const auto first = static_cast<std::int32_t>(gridDim.x - 1 - blockIdx.x) * most;  // longest first
  const int count = min(most, count_of(args.rows, Count::rows) - first);
  const TileRows rows(args, first, count);
  for (int row = 0; row < count;) {
    const int end = rows.run_end(row, count);
    if (__shfl_sync(kAllLanes, rows.slot, row) >= 0) {
      attend_run<A>(args, span, first, rows, row, end, shared);
    } else {
      const std::int64_t at = std::int64_t{first + row} * args.heads + span.first();
      for (int i = static_cast<int>(threadIdx.x); i < span.heads() * args.head_dim;
           i += A::kThreads)
        args.out[at * args.head_dim + i] = 0.0F;
    }
    row = end;
  }
}

// --- launchers ----------------------------------------------------------------------------------

dim3 grid_of(int x, int y) { return {static_cast<unsigned>(x), static_cast<unsigned>(y)}; }

int spans_of(const SelfAttentionArgs& args, int queries) {
  return args.kv_heads * HeadSpan::of(args, queries).parts;
}

template <typename A>
void launch_attend(void (*kernel)(SelfAttentionArgs), const SelfAttentionArgs& args, dim3 grid,
                   cudaStream_t stream, int cluster = 1) {
  constexpr auto kBytes = static_cast<int>(sizeof(typename A::Shared));
  if (kBytes > kDeclaredBytes) {
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
          "shared memory of attention");
  }
  launch_early_clusters(cluster, kernel, grid, A::kThreads, kBytes, stream, args);
  check_launch("self_attention");
}

// Attends on the plain units.
struct AttendHeads {
  const SelfAttentionArgs& args;
  cudaStream_t stream;

  template <typename S>
  void operator()() const {
    if constexpr (!kHasMma<S>) {
      if (args.has_single_rows) return launch<S, true>();
      launch<S, false>();
    }
  }

  template <typename S, bool kStores>
  void launch() const {
    with_warps<kMostWarps>(args.max_rows * args.heads, [this]<int kWarps>() {
      using A = AttendHead<S, kWarps, kStores>;
      const dim3 grid = grid_of(spans_of(args, A::kQueries), args.max_rows);
      launch_attend<A>(&attend_row_kernel<A, kStores>, args, grid, stream);
    });
  }
};

// Attends on tensor cores. How many queries share a thread block changes no bit.
template <int kDims>
struct AttendQueries {
  using Two = MmaShape<kDims, 2>;
  using Eight = MmaShape<kDims, 8>;
  const SelfAttentionArgs& args;
  cudaStream_t stream;

  // Clusters are for launches of which they fill half of a large device at most: 5 rows of 12 heads
  // of 64, or 1 row of 8 groups of 4 heads of 128. With more rows, a block each is as fast.
  template <int kCluster>
  bool spread_rows() const {
    using A = AttendSpread<Two, kCluster>;
    const auto kernel = &attend_spread_kernel<A, kCluster>;
    constexpr int kMostBlocks = kMultiprocessors * A::kResident / 2;
    const int blocks = args.max_rows * spans_of(args, A::kQueries) * kCluster;
    if (blocks > kMostBlocks || !has_clusters(reinterpret_cast<const void*>(kernel))) return false;
    const dim3 grid = grid_of(args.max_rows * kCluster, spans_of(args, A::kQueries));
    launch_attend<A>(kernel, args, grid, stream, kCluster);
    return true;
  }

  template <typename M, int kWarps>
  void launch_rows() const {
    using A = AttendMma<M, kWarps, true>;
    const dim3 grid = grid_of(spans_of(args, A::kQueries), args.max_rows);
    launch_attend<A>(&attend_row_kernel<A, true>, args, grid, stream);
  }

  template <typename M>
  void single_rows() const {
    if (spread_rows<kSpreadBlocks>()) return;
    const int blocks = args.max_rows * spans_of(args, M::kQueries);
    if constexpr (std::is_same_v<M, Two> && kDims == 64) {
      // Many small blocks leave a device less idle when the last of them end.
      constexpr int kManyBlocks = 4 * kMultiprocessors;
      constexpr int kAtOnce = M::kResidentWarps / 2 * kMultiprocessors;
      if (blocks > kAtOnce) return launch_rows<DenseMmaShape<kDims, 2>, 2>();
      if (blocks > kManyBlocks) return launch_rows<M, 2>();
    }
    with_warps<M::kBlockWarps>(blocks, [this]<int kWarps>() { launch_rows<M, kWarps>(); });
  }

  void tiles() const {
    const int tiles = ceil_div(args.max_rows, Eight::kQueries / HeadSpan::of(args, 8).most);
    with_warps<Eight::kBlockWarps>(tiles * spans_of(args, 8), [this, tiles]<int kWarps>() {
      using A = AttendMma<Eight, kWarps, false, true>;
      launch_attend<A>(&attend_rows_kernel<A>, args, grid_of(tiles, spans_of(args, 8)), stream);
    });
  }

  void run() const {
    if (!args.has_single_rows) return tiles();
    const bool has_groups = args.heads > 2 * args.kv_heads;
    // Groups are spread over more thread blocks where these find a multiprocessor each.
    if (has_groups && args.max_rows * spans_of(args, Two::kQueries) > kMultiprocessors)
      return single_rows<Eight>();
    single_rows<Two>();
  }
};

void attend(const SelfAttentionArgs& args, cudaStream_t stream) {
  const bool has_mma = args.cache.element == Element::bfloat16;
  if (has_mma && args.head_dim == 64) return AttendQueries<64>{args, stream}.run();
  if (has_mma && args.head_dim == 128) return AttendQueries<128>{args, stream}.run();
  with_shape(args.cache, AttendHeads{args, stream});
}

}  // namespace

void self_attention(const SelfAttentionArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.cache.data == nullptr) return segment_attention(args, stream);
  if (!args.has_single_rows) store_rows(args, stream);
  attend(args, stream);
  if (args.scores != nullptr && args.max_draws > 0) add_text_scores(args, stream);
}

}  // namespace ttsrt::cuda
