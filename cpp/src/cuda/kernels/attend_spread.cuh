// How the slices of one sequence are spread over the thread blocks of a cluster, for launches whose
// rows and heads alone would leave most multiprocessors idle.
//
// Decided: a warp has one slice, and all slices leave their sums in the shared memory of the
// cluster's first block, which merges them as a block alone does. So a cluster changes no bit. A
// warp holds the keys and values of two blocks of 16 positions, and those are loaded before the
// query is there; it loads the block behind them as soon as it is done with the first.
#pragma once

#include "cuda/kernels/attend_mma_block.cuh"

namespace ttsrt::cuda {

// --- clusters -----------------------------------------------------------------------------------

// The two halves of a barrier over all threads of the cluster. The first barrier of a kernel makes
// sure that all blocks have begun, because none may write to the shared memory of another before.
__device__ inline void arrive_at_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ inline void wait_for_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Returns what is at the same place in the shared memory of a block of the cluster.
template <typename T>
__device__ T& shared_of_block(T& mine, std::uint32_t rank) {
  std::uint64_t at = reinterpret_cast<std::uint64_t>(&mine);
#if __CUDA_ARCH__ >= 900
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(at) : "l"(at), "r"(rank));
#endif
  return *reinterpret_cast<T*>(at);
}

// --- the way of a warp --------------------------------------------------------------------------

// The way over the blocks of one slice, as MmaSweep. The cluster's blocks are consecutive in x.
template <typename M, bool kHasOwn, int kCluster>
struct SpreadSweep {
  // With heads of 64, so few registers that beside a block there is room for one of 16 warps of the
  // product behind, which loads its weights meanwhile.
  static constexpr int kResidentWarps = M::kDims == 64 ? 16 : 4;
  BlockSource source;
  int seen = 0;
  int blocks = 0;
  int block = 0;
  std::int32_t next_id = 0;  // of the second block behind
  BlockVectors<M> at_hand;
  BlockVectors<M> behind;

  __device__ static int rank() { return static_cast<int>(blockIdx.x) % kCluster; }
  // Whether a warp of this thread block has the block of a position.
  __device__ static bool has(int position) {
    return position / kCacheBlock % kSlices % kCluster == rank();
  }

  __device__ void start(int warp) {
    blocks = (seen + kCacheBlock - 1) / kCacheBlock;
    block = warp * kCluster + rank();
    if (!is_active()) return;
    const std::int32_t first_id = source.id(block);
    const std::int32_t second_id = source.id(min(block + kSlices, blocks - 1));
    next_id = source.id(min(block + 2 * kSlices, blocks - 1));
    load(at_hand, first_id, block);
    if (!ends_slice()) load(behind, second_id, block + kSlices);
  }

  __device__ bool is_active() const { return block < blocks; }
  __device__ bool ends_slice() const { return block + kSlices >= blocks; }
  __device__ bool is_last() const { return block == blocks - 1; }

  __device__ void ask_keys() const {}
  __device__ void ask_values() const {}
  __device__ void step() {
    block += kSlices;
    if (!is_active()) return;
    at_hand = behind;
    if (ends_slice()) return;
    load(behind, next_id, block + kSlices);
    next_id = source.id(min(block + 2 * kSlices, blocks - 1));
  }

 private:
  __device__ void load(BlockVectors<M>& to, std::int32_t id, int which) const {
    const Part part = source.part(id);
    const int readable = seen - (kHasOwn ? 1 : 0) - which * kCacheBlock;
    to.load_keys(part.keys, readable);
    to.load_values(part.values, readable);
  }
};

// Attends as AttendMma, with a slice for each warp of the cluster.
template <typename M, int kCluster>
using AttendSpread = AttendMma<M, kSlices / kCluster, true, false, SpreadSweep<M, true, kCluster>>;

}  // namespace ttsrt::cuda
