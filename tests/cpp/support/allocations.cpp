#include "support/allocations.h"

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

namespace ttsrt::test {
std::uint64_t num_allocations() { return 0; }
bool counts_allocations() { return false; }
}  // namespace ttsrt::test

#else

namespace {
thread_local std::uint64_t count = 0;
}  // namespace

namespace ttsrt::test {
std::uint64_t num_allocations() { return count; }
bool counts_allocations() { return true; }
}  // namespace ttsrt::test

void* operator new(std::size_t size) {
  ++count;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

#endif
