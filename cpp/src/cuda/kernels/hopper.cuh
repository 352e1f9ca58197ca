// What kernels for Hopper alone share: barriers that count bytes, copies of boxes of a tensor map,
// and the descriptors of operands of a warpgroup's product.
//
// Decided: every operand lies in shared memory as the copy engine writes boxes of 64 columns with
// the swizzle of 128 bytes: row r is 128 bytes, and its piece i of 16 bytes is at piece i ^ (r %
// 8). A box begins at a multiple of 1024 bytes.
#pragma once

#include <cstdint>

#include "cuda/check.h"
#include "cuda/launch_whole.h"

namespace ttsrt::cuda {

constexpr int kBoxColumns = 64;
constexpr int kBoxRowBytes = 128;
constexpr int kSwizzleBytes = 1024;  // eight rows
constexpr int kGroupThreads = 128;   // of a warpgroup

// Of the current device.
inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

// Lets a kernel have `bytes` of shared memory, and a multiprocessor as much as there is.
inline void take_shared_memory(const void* kernel, int bytes, const char* what) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), what);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared),
        what);
}

__device__ __forceinline__ std::uint32_t shared_address(const void* at) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(at));
}

// The first address from `memory` on, which has kSwizzleBytes to spare, where a box may begin.
__device__ __forceinline__ std::byte* first_box(std::byte* memory) {
  const std::uint32_t offset = shared_address(memory) % kSwizzleBytes;
  return memory + (offset == 0 ? 0 : kSwizzleBytes - offset);
}

// Lets the kernel behind start once all blocks have come here; it then waits for this one.
__device__ __forceinline__ void let_next_kernel_start() {
  asm volatile("griddepcontrol.launch_dependents;");
}

// --- barriers -----------------------------------------------------------------------------------

// A phase is over once `count` threads have arrived and all bytes that were announced have come.
using Barrier = std::uint64_t;

__device__ __forceinline__ void init_barrier(Barrier& barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(count)
               : "memory");
}
// By the thread that has initialised barriers, before the block's own barrier.
__device__ __forceinline__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(Barrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier))
               : "memory");
}
__device__ __forceinline__ void arrive_and_expect(Barrier& barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
      "r"(bytes)
      : "memory");
}
// Waits for the end of the phase of this parity: 0 for the first one. A barrier that has just been
// initialised counts as behind a phase of parity 1.
__device__ __forceinline__ void await(Barrier& barrier, int parity) {
  const std::uint32_t at = shared_address(&barrier);
  std::uint32_t is_over = 0;
  while (is_over == 0) {
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;"
        " selp.u32 %0, 1, 0, p; }"
        : "=r"(is_over)
        : "r"(at), "r"(parity)
        : "memory");
  }
}

// Stages of a ring: number n of a sequence is in stage n % kStages, for the (n / kStages)th time.
template <int kStages>
struct Ring {
  int stage = 0;
  int parity = 0;

  __device__ __forceinline__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// --- copies -------------------------------------------------------------------------------------

// Copies a box whose first element is (row, column) and tells the barrier of its bytes. What is
// outside the tensor becomes zeros, which count as bytes, too.
__device__ __forceinline__ void load_box(const void* to, const TensorMap& map, int column, int row,
                                         Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
      "l"(&map), "r"(column), "r"(row), "r"(shared_address(&barrier))
      : "memory");
}

// Orders a thread's stores to shared memory before what copies and products do there later.
__device__ __forceinline__ void fence_for_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// --- products of a warpgroup --------------------------------------------------------------------

// An operand of 64-column boxes. Its inputs may be side by side (columns of the box are inputs: add
// 2 for the next 16 inputs) or below each other (rows of the box are inputs: add 128 for 16).
__device__ __forceinline__ std::uint64_t operand_at(std::uint32_t address) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
  constexpr std::uint64_t kStride = std::uint64_t{kSwizzleBytes / 16} << 32;
  constexpr std::uint64_t kLeading = std::uint64_t{1} << 16;  // not used by these layouts
  return kSwizzle128 | kStride | kLeading | ((address & 0x3FFFFU) >> 4);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Registers of each thread of a warpgroup, from here on: more or fewer than at the launch.
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Before a product reads registers or shared memory that ordinary instructions have written.
__device__ __forceinline__ void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Waits until at most so many groups are still running.
template <int kGroups>
__device__ __forceinline__ void await_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroups) : "memory");
}
#endif

// A barrier of `kThreads` threads of the block, by number.
template <int kNumber, int kThreads>
__device__ __forceinline__ void sync_threads() {
  asm volatile("bar.sync %0, %1;" ::"n"(kNumber), "n"(kThreads) : "memory");
}

// A barrier of the threads of a warpgroup, which is one of the first two of the block.
__device__ __forceinline__ void sync_group_of_two() {
  if (threadIdx.x < kGroupThreads) {
    sync_threads<1, kGroupThreads>();
  } else {
    sync_threads<2, kGroupThreads>();
  }
}

}  // namespace ttsrt::cuda
