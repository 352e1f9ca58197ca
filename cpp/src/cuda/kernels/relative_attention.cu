// RelativeAttention in float32, and the rounding of operands for the kernel that uses tensor cores
// (relative_attention_mma.cu).
//
// In float32, a block has eight queries of a segment, one for each warp, and tiles of 32 keys,
// which are counted from the begin of the segment. With a tile it reads the distances between these
// queries and keys, which are 39 consecutive rows (relative_window.cuh), so nothing is shifted.
#include "cuda/check.h"
#include "cuda/kernels/item_attention.cuh"
#include "cuda/kernels/relative_attention.cuh"
#include "cuda/kernels/relative_window.cuh"
#include "cuda/kernels/segment_attention.cuh"

namespace ttsrt::cuda {
namespace {

constexpr int kThreads = 256;
using Window = DistanceSpan;
static_assert(Window::kQueries == kTileQueries && Window::kKeys == kTileRows);

// --- helpers ------------------------------------------------------------------------------------

// Two neighbours of a row, which become NaN where they are not finite in the element.
__device__ std::uint32_t narrowed_or_nan(Element element, float low, float high) {
  return narrowed(element, finite_or_nan(element, low), finite_or_nan(element, high));
}

// Rows of shared memory: `stride` floats from key to key and from distance to distance.
struct SpanMemory {
  float* keys;       // [kKeys, stride]
  float* distances;  // [kRows, stride]
  float* values;     // [kKeys, dims]
  float* contents;   // [kQueries, dims] queries with the offset of contents
  float* places;     // [kQueries, dims] those with that of distances

  __host__ __device__ static int floats(int head_dim) {
    const int dims = padded_dims(head_dim);
    const int stride = TileMemory::key_stride(head_dim);
    return (Window::kKeys + Window::kRows) * stride + (Window::kKeys + 2 * Window::kQueries) * dims;
  }
  __device__ SpanMemory(float4* memory, int head_dim) {
    const int dims = padded_dims(head_dim);
    const int stride = TileMemory::key_stride(head_dim);
    keys = reinterpret_cast<float*>(memory);
    distances = keys + Window::kKeys * stride;
    values = distances + Window::kRows * stride;
    contents = values + Window::kKeys * dims;
    places = contents + Window::kQueries * dims;
  }
};

// What a block multiplies: queries of one head and segment.
struct Site {
  const RelativeArgs& args;
  QueryTile tile;
  std::int64_t inner, column;  // of a row, and where the head begins in it

  __device__ Site(const RelativeArgs& a, const QueryTile& t)
      : args(a),
        tile(t),
        inner(std::int64_t{a.heads} * a.head_dim),
        column(std::int64_t{blockIdx.y} * a.head_dim) {}

  __device__ void load_queries(const SpanMemory& memory) const {
    const int dims = padded_dims(args.head_dim);
    const auto warp = static_cast<int>(threadIdx.x) / kWarp;
    if (warp >= tile.rows) return;
    const float* query = args.qkv + std::int64_t{tile.first + warp} * 3 * inner + column;
    for (int d = static_cast<int>(threadIdx.x) % kWarp; d < dims; d += kWarp) {
      const bool is_there = d < args.head_dim;
      memory.contents[warp * dims + d] =
          is_there ? __fadd_rn(query[d], args.content_offset[column + d]) : 0.0F;
      memory.places[warp * dims + d] =
          is_there ? __fadd_rn(query[d], args.distance_offset[column + d]) : 0.0F;
    }
  }

  // The keys and values [first, first + count) of the segment, and the distances to them.
  __device__ void load_keys(const SpanMemory& memory, int first, int count) const {
    const int dims = padded_dims(args.head_dim);
    const int stride = TileMemory::key_stride(args.head_dim);
    const auto warp = static_cast<int>(threadIdx.x) / kWarp;
    const auto lane = static_cast<int>(threadIdx.x) % kWarp;
    for (int j = warp; j < count; j += kTileQueries) {
      const float* key =
          args.qkv + std::int64_t{tile.begin + first + j} * 3 * inner + inner + column;
      for (int d = lane; d < dims; d += kWarp) {
        const bool is_there = d < args.head_dim;
        memory.keys[j * stride + d] = is_there ? key[d] : 0.0F;
        memory.values[j * dims + d] = is_there ? key[inner + d] : 0.0F;
      }
    }
    const int row = Window::first_row(tile.length, tile.first - tile.begin, first);
    for (int j = warp; j < Window::kRows; j += kTileQueries) {
      const bool is_row = row + j >= 0 && row + j < 2 * tile.length;
      const std::int64_t from = std::int64_t{2} * tile.begin + (is_row ? row + j : 0);
      for (int d = lane; d < dims; d += kWarp) {
        memory.distances[j * stride + d] =
            is_row && d < args.head_dim ? args.distances[from * inner + column + d] : 0.0F;
      }
    }
  }
};

// --- kernels ------------------------------------------------------------------------------------

// A block has a row of the launch, and the two rows of distances that stand beside it.
__global__ void __launch_bounds__(kThreads)
    prepare_relative_kernel(const __grid_constant__ RelativeArgs args) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  if (row >= count_of(args.rows, Count::rows)) return;
  const std::int64_t inner = std::int64_t{args.heads} * args.head_dim;
  const float* qkv = args.qkv + row * 3 * inner;
  auto* prepared = static_cast<std::uint16_t*>(args.prepared) + row * 4 * inner;
  auto* distances = static_cast<std::uint16_t*>(args.prepared_distances);
  const auto put = [](std::uint16_t* to, std::uint32_t pair) {
    *reinterpret_cast<std::uint32_t*>(to) = pair;
  };
  for (std::int64_t d = 2 * threadIdx.x; d < inner; d += 2 * kThreads) {
    const float2 query = *reinterpret_cast<const float2*>(qkv + d);
    const float2 key = *reinterpret_cast<const float2*>(qkv + inner + d);
    const float2 value = *reinterpret_cast<const float2*>(qkv + 2 * inner + d);
    const float* content = args.content_offset + d;
    const float* distance = args.distance_offset + d;
    put(prepared + d, narrowed_or_nan(args.element, __fadd_rn(query.x, content[0]),
                                      __fadd_rn(query.y, content[1])));
    put(prepared + inner + d, narrowed_or_nan(args.element, __fadd_rn(query.x, distance[0]),
                                              __fadd_rn(query.y, distance[1])));
    put(prepared + 2 * inner + d, narrowed_or_nan(args.element, key.x, key.y));
    put(prepared + 3 * inner + d, narrowed(args.element, value.x, value.y));
    for (std::int64_t of = 2 * row; of < 2 * row + 2; ++of) {
      const float2 pair = *reinterpret_cast<const float2*>(args.distances + of * inner + d);
      put(distances + of * inner + d, narrowed_or_nan(args.element, pair.x, pair.y));
    }
  }
}

// Grid: pieces of segments, heads, parts of a piece. Lane l of a warp has dimensions l, l + 32, ...
// of what it mixes.
template <int kDims>
__global__ void __launch_bounds__(kThreads)
    relative_attention_kernel(const __grid_constant__ RelativeArgs args) {
  extern __shared__ float4 span_memory[];
  wait_for_previous_kernel();
  if (static_cast<std::int32_t>(blockIdx.x) >= count_of(args.rows, Count::tiles)) return;
  const QueryTile tile = QueryTile::of(args.rows, static_cast<std::int32_t>(blockIdx.x))
                             .part(static_cast<std::int32_t>(blockIdx.z), Window::kQueries);
  if (tile.rows <= 0) return;
  const int head_dim = args.head_dim;
  const int dims = padded_dims(head_dim);
  const int stride = TileMemory::key_stride(head_dim);
  const SpanMemory memory(span_memory, head_dim);
  const Site site(args, tile);
  const auto warp = static_cast<int>(threadIdx.x) / kWarp;
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  site.load_queries(memory);
  QuerySoftmax<kDims> softmax;
  for (int first = 0; first < tile.length; first += Window::kKeys) {
    const int count = min(tile.length - first, Window::kKeys);
    __syncthreads();
    site.load_keys(memory, first, count);
    __syncthreads();
    if (warp >= tile.rows) continue;
    float score = 0.0F;
    if (lane < count) {
      using Softmax = QuerySoftmax<kDims>;
      const float content =
          Softmax::product_of(memory.contents + warp * dims, memory.keys + lane * stride, head_dim);
      const float distance =
          Softmax::product_of(memory.places + warp * dims,
                              memory.distances + Window::place_of(warp, lane) * stride, head_dim);
      score = __fmul_rn(__fadd_rn(content, distance), args.scale);
    }
    softmax.add_scored(memory.values, head_dim, score, count);
  }
  if (warp >= tile.rows) return;
  const std::int64_t row = tile.first + warp;
#pragma unroll
  for (int i = 0; i < kDims; ++i) {
    const int d = lane + kWarp * i;
    if (d >= head_dim) continue;
    const float value = softmax.mixed[i] / softmax.sum;
    if (args.out != nullptr) args.out[row * site.inner + site.column + d] = value;
    if (args.narrow.data != nullptr) store_narrow(args.narrow, row, site.column + d, value);
  }
}

// --- launchers ----------------------------------------------------------------------------------

template <int kDims>
void launch(const RelativeArgs& args, cudaStream_t stream) {
  const auto bytes_of = [](int head_dim) {
    return SpanMemory::floats(head_dim) * static_cast<int>(sizeof(float));
  };
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(&relative_attention_kernel<kDims>),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, bytes_of(kWarp * kDims)),
        "shared memory of attention");
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.heads),
                  static_cast<unsigned>(ceil_div(kItemTile, Window::kQueries)));
  launch_early(relative_attention_kernel<kDims>, grid, kThreads,
               static_cast<std::size_t>(bytes_of(args.head_dim)), stream, args);
  check_launch("relative_attention");
}

}  // namespace

bool has_narrow_distances(std::int32_t head_dim) { return head_dim == 32 || head_dim == 64; }

void prepare_relative(const RelativeArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  launch_early(prepare_relative_kernel, static_cast<unsigned>(args.max_rows), kThreads, 0, stream,
               args);
  check_launch("prepare_relative");
}

void relative_attention(const RelativeArgs& args, cudaStream_t stream) {
  if (args.max_rows <= 0) return;
  if (args.element != Element::float32) return narrow_relative_attention(args, stream);
  if (args.head_dim <= 64) return launch<2>(args, stream);
  if (args.head_dim <= 128) return launch<4>(args, stream);
  launch<8>(args, stream);
}

}  // namespace ttsrt::cuda
