// The rows that the taps of a tile of output rows read, in shared memory: for each chain of
// segments in the tile, the rows before it and its own, so that a tap is a shift.
//
// Output row m of the tile is row m + before * (chains of the tile before its own) of the window as
// its first tap sees it. A chunk of columns of all these rows is in shared memory at once; while it
// is multiplied, the next one is copied.
#pragma once

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/past.cuh"

namespace ttsrt::cuda {

// A chain of segments in a tile.
struct TileChain {
  std::int64_t first_row = 0;  // of the buffer, that is in the tile
  Chain chain;
  std::int32_t window = 0;  // row of the window that the first tap of first_row reads
  std::int32_t last = -1;   // the same of the chain's last row, or -1: it is not in the tile
};

constexpr int kPieceBytes = 16;
constexpr int kWindowPad = 16;  // bytes, so that neighbouring rows are in different banks

struct ConvWindow {
  const std::byte** sources;  // [window rows], null: zeros
  TileChain* chains;
  std::int32_t* first_tap;  // [tile rows] the row of the window
  std::int32_t* warp_sums;  // [warps]
  std::byte* data;          // [2 buffers][window_bytes], of [window rows][row_bytes]
  std::int32_t window_bytes;
  std::int32_t row_bytes;
  std::int32_t before;
  std::int32_t num_chains;  // of this tile
  std::int32_t num_rows;    // of the window
  // Where all rows of the tile are of one row of the launch, there is one chain, and no tables.
  bool is_single;
  TileChain single;

  __device__ std::byte* at(std::int32_t buffer) const { return data + buffer * window_bytes; }
};

// Most chains that a tile of `rows` rows can have: they begin at multiples of the rate, as tiles
// begin at multiples of their rows.
inline std::int32_t most_chains(std::int32_t rows, std::int32_t rate) {
  if (rows % rate == 0) return rows / rate;
  return rate % rows == 0 ? 1 : rows / rate + 2;
}

// Finds the chains of the tile and what their rows are copied from. All of kThreads threads of a
// named barrier call it. Nothing that it reads is written by earlier kernels of the launch.
template <int kRows, int kThreads>
__device__ __forceinline__ void find_rows(const NarrowConvArgs& args, std::int32_t first_row,
                                          std::int32_t end_row, ConvWindow& window) {
  static_assert(kRows <= kThreads);
  const auto thread = static_cast<int>(threadIdx.x);
  const std::int32_t row = first_row + thread;
  const bool is_there = thread < kRows && row < end_row;
  Chain chain;
  if (is_there) chain = Chain::of(args.rows, args.past, row / args.rate, args.rate);
  const bool begins = is_there && (thread == 0 || row == chain.begin);
  const unsigned ballot = __ballot_sync(kAllLanes, begins);
  if (thread % kWarp == 0) window.warp_sums[thread / kWarp] = __popc(ballot);
  sync_threads<1, kThreads>();
  const unsigned up_to = kAllLanes >> (kWarp - 1 - thread % kWarp);
  std::int32_t index = __popc(ballot & up_to) - 1;
  std::int32_t count = 0;
#pragma unroll
  for (int warp = 0; warp < kThreads / kWarp; ++warp) {
    const std::int32_t sum = window.warp_sums[warp];
    if (warp < thread / kWarp) index += sum;
    count += sum;
  }
  window.num_chains = count;
  window.num_rows = kRows + count * window.before;
  if (thread < kRows) {
    const std::int32_t at = thread + index * window.before;
    const auto* x = static_cast<const std::byte*>(args.x.data);
    window.first_tap[thread] = at;
    window.sources[at + window.before] = is_there ? x + row * args.x.stride * 2 : nullptr;
    if (begins) {
      TileChain& of = window.chains[index];
      of.first_row = row;
      of.chain = chain;
      of.window = at;
      of.last = -1;
    }
  }
  sync_threads<1, kThreads>();
  if (is_there && row + 1 == chain.end) window.chains[index].last = thread + index * window.before;
  for (std::int32_t i = thread; i < count * window.before; i += kThreads) {
    const TileChain& of = window.chains[i / window.before];
    const std::int32_t j = i % window.before;
    const std::int64_t from = of.first_row - window.before + j;
    const std::byte* source = nullptr;
    if (from >= of.chain.begin) {
      source = static_cast<const std::byte*>(args.x.data) + from * args.x.stride * 2;
    } else if (const std::byte* kept = of.chain.kept(args.past); kept != nullptr) {
      source = kept + (window.before + from - of.chain.begin) * args.x.stride * 2;
    }
    window.sources[of.window + j] = source;
  }
  sync_threads<1, kThreads>();
}

// Finds the chain of a tile whose rows are of one row of the launch. Most tiles see nothing but
// rows of their own chain, without an end, and then look nothing up.
template <int kRows>
__device__ __forceinline__ void find_single(const NarrowConvArgs& args, std::int32_t first_row,
                                            ConvWindow& window) {
  const std::int32_t of = first_row / args.rate;
  const std::int32_t local = first_row - of * args.rate;
  TileChain& single = window.single;
  single = {};
  single.first_row = first_row;
  if (local < window.before || local + kRows == args.rate) {
    single.chain = Chain::of(args.rows, args.past, of, args.rate);
    if (single.chain.end == first_row + kRows) single.last = kRows - 1;
  } else {
    single.chain.begin = first_row - window.before;
  }
  window.is_single = true;
  window.num_chains = 1;
  window.num_rows = kRows + window.before;
}

// What a row of the window is copied from; null: zeros.
__device__ __forceinline__ const std::byte* source_of(const NarrowConvArgs& args,
                                                      const ConvWindow& window, std::int32_t row) {
  if (!window.is_single) return window.sources[row];
  const TileChain& single = window.single;
  const std::int64_t from = single.first_row - window.before + row;
  if (from >= single.chain.begin)
    return static_cast<const std::byte*>(args.x.data) + from * args.x.stride * 2;
  const std::byte* kept = single.chain.kept(args.past);
  if (kept == nullptr) return nullptr;
  return kept + (window.before + from - single.chain.begin) * args.x.stride * 2;
}

// Asks for the columns of a chunk, of all rows of the window, in one of two buffers.
template <int kThreads>
__device__ __forceinline__ void load_window(const NarrowConvArgs& args, const ConvWindow& window,
                                            std::int32_t chunk, std::int32_t steps,
                                            std::int32_t buffer) {
  const std::int32_t pieces = steps * kConvColumns * 2 / kPieceBytes;
  const std::int32_t offset = chunk * kConvChunkSteps * kConvColumns * 2;
  const std::uint32_t to = shared_address(window.at(buffer));
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < window.num_rows * pieces;
       i += kThreads) {
    const std::int32_t row = i / pieces;
    const std::int32_t at = i % pieces * kPieceBytes;
    const std::byte* source = source_of(args, window, row);
    const int bytes = source == nullptr ? 0 : kPieceBytes;  // the others become zeros
    const std::byte* from =
        source == nullptr ? static_cast<const std::byte*>(args.x.data) : source + offset + at;
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + row * window.row_bytes + at),
        "l"(from), "r"(bytes)
        : "memory");
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits for the chunk that was asked for last, of all threads.
template <int kThreads>
__device__ __forceinline__ void await_window() {
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  sync_threads<1, kThreads>();
}

// Leaves the columns of a chunk of the last rows of a chain, if it ends in this tile.
template <int kThreads>
__device__ __forceinline__ void keep_chain(const NarrowConvArgs& args, const ConvWindow& window,
                                           const TileChain& of, std::int32_t chunk,
                                           std::int32_t steps, std::int32_t buffer) {
  std::byte* next = of.chain.next(args.past);
  if (of.last < 0 || next == nullptr) return;
  const std::int32_t pieces = steps * kConvColumns * 2 / kPieceBytes;
  const std::int32_t offset = chunk * kConvChunkSteps * kConvColumns * 2;
  const std::byte* from = window.at(buffer) + (of.last + 1) * window.row_bytes;
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < window.before * pieces; i += kThreads) {
    const std::int32_t row = i / pieces;
    const std::int32_t at = i % pieces * kPieceBytes;
    *reinterpret_cast<uint4*>(next + row * args.x.stride * 2 + offset + at) =
        *reinterpret_cast<const uint4*>(from + row * window.row_bytes + at);
  }
  if (chunk == 0 && threadIdx.x == 0) of.chain.tag(args.past);
}

template <int kThreads>
__device__ __forceinline__ void keep_window(const NarrowConvArgs& args, const ConvWindow& window,
                                            std::int32_t chunk, std::int32_t steps,
                                            std::int32_t buffer) {
  if (args.past.data == nullptr) return;
  if (window.is_single)
    return keep_chain<kThreads>(args, window, window.single, chunk, steps, buffer);
  for (std::int32_t c = 0; c < window.num_chains; ++c)
    keep_chain<kThreads>(args, window, window.chains[c], chunk, steps, buffer);
}

}  // namespace ttsrt::cuda
