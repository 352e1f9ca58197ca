// Counts the allocations of the calling thread, for tests of code that may not allocate, and makes
// one of them fail.
#pragma once

#include <cstdint>

namespace ttsrt::test {

// Calls of operator new on the calling thread since it started. 0 for ever under a sanitizer, which
// brings its own: see counts_allocations().
std::uint64_t num_allocations();
bool counts_allocations();

enum class Threads : std::uint8_t { this_one, all };

// While it exists, allocation `number` from now on (0: the next) throws std::bad_alloc.
class FailingAllocation {
 public:
  FailingAllocation(std::uint64_t number, Threads threads);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  // Whether so many allocations were asked for.
  bool has_failed() const;
};

}  // namespace ttsrt::test
