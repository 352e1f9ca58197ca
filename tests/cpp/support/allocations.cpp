#include "support/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

namespace ttsrt::test {
std::uint64_t num_allocations() { return 0; }
bool counts_allocations() { return false; }
FailingAllocation::FailingAllocation(std::uint64_t /*number*/, Threads /*threads*/) {}
FailingAllocation::~FailingAllocation() = default;
bool FailingAllocation::has_failed() const { return false; }
}  // namespace ttsrt::test

#else

namespace {

constexpr std::int64_t kNever = -1;

thread_local std::uint64_t count = 0;
thread_local std::int64_t left_here = kNever;  // allocations of this thread until one fails
std::atomic<std::int64_t> left{kNever};        // of all threads
std::atomic<bool> failed{false};

void fail_if_it_is_time() {
  if (left_here == 0) {
    left_here = kNever;
    failed = true;
    throw std::bad_alloc();
  }
  if (left_here != kNever) --left_here;
  if (left.load(std::memory_order_relaxed) != kNever && left.fetch_sub(1) == 0) {
    left = kNever;
    failed = true;
    throw std::bad_alloc();
  }
}

}  // namespace

namespace ttsrt::test {
std::uint64_t num_allocations() { return count; }
bool counts_allocations() { return true; }

FailingAllocation::FailingAllocation(std::uint64_t number, Threads threads) {
  failed = false;
  if (threads == Threads::this_one) left_here = static_cast<std::int64_t>(number);
  if (threads == Threads::all) left = static_cast<std::int64_t>(number);
}
FailingAllocation::~FailingAllocation() {
  left_here = kNever;
  left = kNever;
}
bool FailingAllocation::has_failed() const { return failed; }
}  // namespace ttsrt::test

void* operator new(std::size_t size) {
  ++count;
  fail_if_it_is_time();
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
