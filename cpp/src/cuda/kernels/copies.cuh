// Asynchronous copies to shared memory of which each lane reads only what it copied itself, so that
// it waits for no other thread.
#pragma once

#include <cstdint>

namespace ttsrt::cuda {

// Copies 16 bytes, past the L1 cache; at most kOpen groups of copies may be open behind the wait.
__device__ inline void copy_ahead(uint4* to, const void* from) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from) : "memory");
}
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kOpen>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

}  // namespace ttsrt::cuda
