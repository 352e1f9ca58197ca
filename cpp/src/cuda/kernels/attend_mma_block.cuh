// One thread block attends with several query heads on tensor cores: its shared memory and its way
// over the positions.
//
// Decided: a warp asks for the next keys as soon as it has the scores of a block, and for the next
// values as soon as it has used those of the block, so that loads are always under way.
#pragma once

#include "cuda/kernels/attend_block.cuh"
#include "cuda/kernels/attend_mma.cuh"

namespace ttsrt::cuda {

// True of a shape for which there is MmaShape; it decides which arithmetic a head has.
template <typename S>
constexpr bool kHasMma =
    S::kElement == Element::bfloat16 && S::kExact && (S::kDims == 64 || S::kDims == 128);

template <typename M>
struct MmaShared {
  QueryFragments<M> queries;
  SliceSums<M::kQueries, M::kDims> sums;
  OwnShared<M::kRowBytes> own;
  int seen[M::kQueries];  // written by kernels whose queries see different numbers of positions

  // Writes `queries` query heads: head_of(query) returns the head, angles_of(query) its angles.
  template <typename HeadOf, typename AnglesOf>
  __device__ void set(int count, const HeadOf& head_of, const AnglesOf& angles_of) {
    for (int unit = static_cast<int>(threadIdx.x); unit < QueryFragments<M>::kUnits;
         unit += static_cast<int>(blockDim.x)) {
      const int query = QueryFragments<M>::query_of(unit);
      const int d = QueryFragments<M>::first_dim(unit);
      float x[4] = {};
      if (query < count) {
        const float* head = head_of(query);
        const Angles angles = angles_of(query);
#pragma unroll
        for (int i = 0; i < 4; ++i) x[i] = turned(head, d + i, angles);
      }
      queries.set(unit, x);
    }
  }

  // Writes query heads of one row, one behind the other in x, as they stand at their position.
  __device__ void set_queries(const float* x, int count, int /*head_dim*/, const Angles& angles) {
    set(count, [x](int query) { return x + query * M::kDims; }, [&angles](int) { return angles; });
  }
};

// The way of a warp over the blocks of its slices, with the keys and values of one block at hand.
// If kHasOwn, the last position is not read from the source.
template <typename M, int kWarps, bool kHasOwn>
struct MmaSweep {
  static constexpr int kResidentWarps = M::kResidentWarps;
  BlockSource source;
  int seen = 0;
  int blocks = 0;
  int block = 0;
  int next = 0;
  std::int32_t next_id = 0;
  BlockVectors<M> at_hand;

  __device__ void start(int warp) {
    blocks = (seen + kCacheBlock - 1) / kCacheBlock;
    block = next = warp;
    if (!is_active()) return;
    next_id = source.id(next);
    ask_keys();
    ask_values();
    plan();
  }

  __device__ bool is_active() const { return block < blocks; }
  __device__ bool ends_slice() const { return block + kSlices >= blocks; }
  __device__ bool is_last() const { return block == blocks - 1; }

  // Asks for the keys, and then for the values, of the block behind.
  __device__ void ask_keys() {
    if (next < blocks) at_hand.load_keys(source.part(next_id).keys, readable());
  }
  __device__ void ask_values() {
    if (next < blocks) at_hand.load_values(source.part(next_id).values, readable());
  }
  __device__ void step() {
    block = next;
    plan();
  }

 private:
  __device__ void plan() {
    if (is_active()) next = block_after<kWarps>(block, blocks);
    if (next < blocks) next_id = source.id(next);
  }
  __device__ int readable() const { return seen - (kHasOwn ? 1 : 0) - next * kCacheBlock; }
};

// Attends with the queries in shared memory, which are of one row. If kIsTile, they see different
// numbers of positions, which are in shared memory, too. AttendHead has the same functions for one
// query head.
template <typename M, int kWarpCount, bool kHasOwn, bool kIsTile = false,
          typename Sweep = MmaSweep<M, kWarpCount, kHasOwn>>
struct AttendMma {
  using Shape = M;
  using Shared = MmaShared<M>;
  static constexpr int kWarps = kWarpCount;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kQueries = M::kQueries;
  // Thread blocks per multiprocessor.
  static constexpr int kResident =
      Sweep::kResidentWarps < kWarps ? 1 : Sweep::kResidentWarps / kWarps;

  Sweep sweep;

  __device__ static bool speaks() { return fragment_pair() == 0; }

  // Starts to load. The rows see the positions below `seen` at most.
  __device__ void start(const BlockSource& source, int seen, int /*head_dim*/) {
    sweep.source = source;
    sweep.seen = seen;
    sweep.start(static_cast<int>(threadIdx.x / 32));
  }

  template <typename Change>
  __device__ void run(Shared& shared, float scale, const Change& change) {
    run_into(shared.sums, shared, scale, change);
  }

  // Leaves what the slices found in `sums`.
  template <typename Change>
  __device__ void run_into(SliceSums<M::kQueries, M::kDims>& sums, const Shared& shared,
                           float scale, const Change& change) {
    int least = sweep.seen;
    if constexpr (kIsTile) {
      for (int q = 0; q < M::kQueries; ++q) least = min(least, shared.seen[q]);
    }
    MmaSoftmax<M> softmax;
    for (; sweep.is_active(); sweep.step()) {
      if (kHasOwn && sweep.is_last())
        sweep.at_hand.take_own(shared.own.vectors(), (sweep.seen - 1) % kCacheBlock);
      __syncwarp();
      const int begin = sweep.block * kCacheBlock;
      uint2 weights[M::kOperands];
      weigh(shared, scale, change, softmax, weights);
      if (kIsTile && least < sweep.seen && begin + kCacheBlock > least) {
#pragma unroll 1
        for (int q = 0; q < M::kQueries; ++q)
          softmax.mix_masked(sweep.at_hand, q, shared.seen[q] - begin, weights);
      } else {
        softmax.mix(sweep.at_hand, weights);
      }
      sweep.ask_values();
      if (sweep.ends_slice()) softmax.leave(sums, sweep.block % kSlices);
    }
  }

  // Merges the slices and writes out [queries, dims]. Every thread gets what query 0 found, if
  // there is one query.
  __device__ Merged finish(const Shared& shared, int queries, float* out) const {
    __syncthreads();
    write(shared, queries, out);
    float share = 0.0F;
    return shared.sums.weigh(0, sweep.seen, share);
  }

  // Merges the slices, which all threads see, and writes out [queries, dims].
  __device__ void write(const Shared& shared, int queries, float* out) const {
    const int warp = static_cast<int>(threadIdx.x / 32);
    for (int at = warp * 32; at < queries * M::kDims; at += kThreads) {
      const int query = at / M::kDims;
      shared.sums.write(query, sweep.seen, at % M::kDims, M::kDims, out + query * M::kDims);
    }
  }

 private:
  template <typename Change>
  __device__ void weigh(const Shared& shared, float scale, const Change& change,
                        MmaSoftmax<M>& softmax, uint2 (&weights)[M::kOperands]) {
    float sums[M::kOperands][4] = {};
#pragma unroll
    for (int step = 0; step < M::kSteps; ++step) {
      std::uint32_t a[4];
      sweep.at_hand.keys_of(step, a);
#pragma unroll
      for (int o = 0; o < M::kOperands; ++o)
        multiply(sums[o], a, shared.queries.words[step][o][threadIdx.x % 32]);
    }
    sweep.ask_keys();
    float scores[M::kMine][2];
    MmaSoftmax<M>::finish_scores(sums, scale, scores);
    const int begin = sweep.block * kCacheBlock;
    int counts[M::kMine];
#pragma unroll
    for (int k = 0; k < M::kMine; ++k) {
      counts[k] = (kIsTile ? shared.seen[MmaSoftmax<M>::query_of(k)] : sweep.seen) - begin;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int place = fragment_row() + 8 * i;
        if (place < counts[k]) scores[k][i] = change(begin + place, scores[k][i]);
      }
    }
    softmax.weigh(scores, counts, weights);
  }
};

}  // namespace ttsrt::cuda
