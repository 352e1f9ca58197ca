// How often this thread has asked for memory: what may not allocate is measured by it.
#pragma once

#include <cstdint>

namespace ttsrt::test {

// Calls of operator new on the calling thread since it started. 0 for ever under a sanitizer, which
// brings its own: see counts_allocations().
std::uint64_t num_allocations();
bool counts_allocations();

}  // namespace ttsrt::test
