// Attention of rows on the rows of their own span: a segment that is not cached, or the places of a
// group.
//
// Decided: a warp takes one query, and the warps of a block share tiles of 32 keys and values in
// shared memory. Tiles are counted from the begin of the span, so that the sums of a row do not
// depend on its neighbours in the block. Keys and values are float32 and turned as they are loaded.
#pragma once

#include <algorithm>

#include "cuda/check.h"
#include "cuda/kernels/attend.cuh"

namespace ttsrt::cuda {

constexpr int kTileQueries = 8;  // warps of a block
constexpr int kTileRows = 32;    // a lane each
constexpr int kKeyPadding = 4;   // keeps lanes that read a float4 of their keys in different banks

struct Span {
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

// The rows of the row's segment.
struct SegmentSpans {
  RowsView rows;

  __device__ std::int32_t num_rows() const { return count_of(rows, Count::rows); }
  __device__ Span of(std::int32_t row) const {
    return {rows.segment_begin[row], rows.segment_end[row]};
  }
  __device__ std::int32_t position(std::int32_t row) const { return rows.position[row]; }
};

// `Spans` has num_rows(), of(row) and position(row).
template <typename Spans>
struct SpanArgs {
  Spans spans;
  const float* qkv = nullptr;
  float* out = nullptr;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0.0F;
  bool is_causal = true;
  const float* rope = nullptr;
  std::int32_t rope_width = 0;

  // Takes the heads of a launcher's arguments.
  template <typename Args>
  void set_heads(const Args& args) {
    heads = args.heads;
    kv_heads = args.kv_heads;
    head_dim = args.head_dim;
    scale = args.scale;
    is_causal = args.is_causal;
  }
};

// --- helpers ------------------------------------------------------------------------------------

struct TileMemory {
  float* keys;     // [kTileRows, key_stride(head_dim)]
  float* values;   // [kTileRows, padded_dims(head_dim)]
  float* queries;  // [kTileQueries, padded_dims(head_dim)]

  __host__ __device__ static int key_stride(int head_dim) {
    return padded_dims(head_dim) + kKeyPadding;
  }
  static std::size_t bytes(std::int32_t head_dim) {
    const int dims = padded_dims(head_dim);
    const int floats = kTileRows * (key_stride(head_dim) + dims) + kTileQueries * dims;
    return static_cast<std::size_t>(floats) * sizeof(float);
  }
  __device__ static TileMemory at(float4* memory, int head_dim) {
    auto* floats = reinterpret_cast<float*>(memory);
    const int keys = kTileRows * key_stride(head_dim);
    return {floats, floats + keys, floats + keys + kTileRows * padded_dims(head_dim)};
  }
};

// Loads `count` keys and values from row `first` on with all warps of the block.
template <typename Spans>
__device__ void load_tile(const SpanArgs<Spans>& args, int kv_head, std::int32_t first, int count,
                          const TileMemory& tile) {
  const std::int64_t kv_width = std::int64_t{args.kv_heads} * args.head_dim;
  const std::int64_t width = std::int64_t{args.heads} * args.head_dim;
  for (int j = static_cast<int>(threadIdx.x / 32); j < count; j += kTileQueries) {
    const std::int64_t row = first + j;
    const float* key =
        args.qkv + row * (width + 2 * kv_width) + width + std::int64_t{kv_head} * args.head_dim;
    const Angles angles = Angles::of(args.rope, args.rope_width, args.spans.position(first + j));
    const int dims = padded_dims(args.head_dim);
    for (int d = static_cast<int>(threadIdx.x % 32); d < dims; d += 32) {
      const bool is_there = d < args.head_dim;
      tile.keys[j * TileMemory::key_stride(args.head_dim) + d] =
          is_there ? turned(key, d, angles) : 0.0F;
      tile.values[j * dims + d] = is_there ? key[kv_width + d] : 0.0F;
    }
  }
}

// The running softmax of a warp's query; lane l has dimensions l, l + 32, ...
template <int kDims>
struct QuerySoftmax {
  float largest = -INFINITY;
  float sum = 0.0F;
  float mixed[kDims] = {};

  // Adds the first `count` positions of a tile, at least one.
  __device__ void add(const TileMemory& tile, const float* query, int head_dim, float scale,
                      int count) {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const float* key = tile.keys + lane * TileMemory::key_stride(head_dim);
    const float product = lane < count ? product_of(query, key, head_dim) : 0.0F;
    add_scored(tile.values, head_dim, __fmul_rn(product, scale), count);
  }

  // The same of positions whose scores the lanes have; those behind `count` are not read.
  __device__ void add_scored(const float* values, int head_dim, float found, int count) {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const bool is_seen = lane < count;
    const float score = !is_seen ? -INFINITY : isfinite(found) ? found : NAN;
    const float top = fmaxf(largest, max_of_lanes(score));
    const float weight = is_seen ? expf(score - top) : 0.0F;
    const float share = share_of(largest, top);
    float total = weight;
    for (int offset = 16; offset > 0; offset /= 2)
      total += __shfl_xor_sync(kAllLanes, total, offset);
    largest = top;
    sum = __fmaf_rn(sum, share, total);
#pragma unroll
    for (int i = 0; i < kDims; ++i) mixed[i] = __fmul_rn(mixed[i], share);
    const int most = count < kTileRows ? count : kTileRows;
    for (int j = 0; j < most; ++j) {
      const float at = __shfl_sync(kAllLanes, weight, j);
#pragma unroll
      for (int i = 0; i < kDims; ++i) {
        const int d = lane + 32 * i;
        if (d < head_dim) mixed[i] = fmaf(at, values[j * padded_dims(head_dim) + d], mixed[i]);
      }
    }
  }

  // The sum of products of two vectors, whose padding is zeros.
  __device__ static float product_of(const float* query, const float* key, int head_dim) {
    float sums[4] = {};
    for (int d = 0; d < head_dim; d += 4) {
      const float4 q = *reinterpret_cast<const float4*>(query + d);
      const float4 k = *reinterpret_cast<const float4*>(key + d);
      sums[0] = fmaf(q.x, k.x, sums[0]);
      sums[1] = fmaf(q.y, k.y, sums[1]);
      sums[2] = fmaf(q.z, k.z, sums[2]);
      sums[3] = fmaf(q.w, k.w, sums[3]);
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
};

// --- kernels ------------------------------------------------------------------------------------

// Grid: tiles of queries, query heads. Queries of a block may be of several spans, which it handles
// one after the other.
template <int kDims, typename Spans>
__global__ void __launch_bounds__(kTileQueries * 32)
    attend_spans_kernel(const __grid_constant__ SpanArgs<Spans> args) {
  extern __shared__ float4 tile_memory[];
  wait_for_previous_kernel();
  const int head_dim = args.head_dim;
  const TileMemory tile = TileMemory::at(tile_memory, head_dim);
  const auto first = static_cast<std::int32_t>(blockIdx.x) * kTileQueries;
  const std::int32_t rows = args.spans.num_rows();
  if (first >= rows) return;
  const auto head = static_cast<int>(blockIdx.y);
  const int kv_head = head / (args.heads / args.kv_heads);
  const std::int32_t last = first + kTileQueries < rows ? first + kTileQueries : rows;
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const std::int32_t row = first + warp;
  float* query = tile.queries + warp * padded_dims(head_dim);
  const std::int64_t width = (std::int64_t{args.heads} + 2 * args.kv_heads) * head_dim;
  if (row < last) {
    const float* x = args.qkv + row * width + std::int64_t{head} * head_dim;
    const Angles angles = Angles::of(args.rope, args.rope_width, args.spans.position(row));
    for (int d = static_cast<int>(threadIdx.x % 32); d < padded_dims(head_dim); d += 32)
      query[d] = d < head_dim ? turned(x, d, angles) : 0.0F;
  }
  QuerySoftmax<kDims> softmax;
  for (std::int32_t at = first; at < last;) {
    const Span span = args.spans.of(at);
    const std::int32_t end = span.end < last ? span.end : last;
    const int length = (args.is_causal ? end : span.end) - span.begin;
    const bool is_mine = row >= at && row < end;
    const int seen = !is_mine ? 0 : args.is_causal ? row - span.begin + 1 : length;
    for (int begin = 0; begin < length; begin += kTileRows) {
      const int count = length - begin < kTileRows ? length - begin : kTileRows;
      __syncthreads();
      load_tile(args, kv_head, span.begin + begin, count, tile);
      __syncthreads();
      if (begin < seen) softmax.add(tile, query, head_dim, args.scale, seen - begin);
    }
    at = end;
  }
  if (row >= last) return;
  float* out = args.out + (std::int64_t{row} * args.heads + head) * head_dim;
#pragma unroll
  for (int i = 0; i < kDims; ++i) {
    const int d = static_cast<int>(threadIdx.x % 32) + 32 * i;
    if (d < head_dim) out[d] = softmax.mixed[i] / softmax.sum;
  }
}

// --- launchers ----------------------------------------------------------------------------------

template <int kDims, typename Spans>
void attend_spans_as(const SpanArgs<Spans>& args, std::int32_t max_rows, cudaStream_t stream) {
  const std::size_t bytes = TileMemory::bytes(args.head_dim);
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(&attend_spans_kernel<kDims, Spans>),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(TileMemory::bytes(32 * kDims))),
        "shared memory of attention");
  const dim3 grid(static_cast<unsigned>((max_rows + kTileQueries - 1) / kTileQueries),
                  static_cast<unsigned>(args.heads));
  launch_early(attend_spans_kernel<kDims, Spans>, grid, kTileQueries * 32, bytes, stream, args);
  check_launch("attention over rows");
}

template <typename Spans>
void attend_spans(const SpanArgs<Spans>& args, std::int32_t max_rows, cudaStream_t stream) {
  if (max_rows <= 0) return;
  if (args.head_dim > kMaxHeadDim) {
    throw DeviceError("cuda: attention: expected a head_dim of at most 256, got " +
                      std::to_string(args.head_dim));
  }
  if (args.head_dim <= 64) return attend_spans_as<2>(args, max_rows, stream);
  if (args.head_dim <= 128) return attend_spans_as<4>(args, max_rows, stream);
  attend_spans_as<8>(args, max_rows, stream);
}

}  // namespace ttsrt::cuda
