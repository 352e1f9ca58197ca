// Asynchronous copies to shared memory of which each lane reads only what it copied itself, so that
// it waits for no other thread.
#pragma once

#include <cstdint>

namespace ttsrt::cuda {

// Starts a copy of 16 bytes, which bypasses the L1 cache.
__device__ inline void copy_ahead(uint4* to, const void* from) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from) : "memory");
}
// Makes a group of the copies that this thread started since the last group.
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the newest kOpen groups of this thread are incomplete.
template <int kOpen>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

}  // namespace ttsrt::cuda
