#include "cuda/check.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::cuda {
namespace {

using test::throws_naming;

TEST(CudaCheck, TellsTheCallAndWhatTheRuntimeSays) {
  check(cudaSuccess, "cudaMalloc");
  EXPECT_TRUE(throws_naming<DeviceError>("cuda: a launch: ",
                                         [] { check(cudaErrorInvalidValue, "a launch"); }));
}

// A device without memory can be used on, so that a launch without it costs no replica.
TEST(CudaCheck, ALackOfMemoryIsACapacityError) {
  for (const char* part :
       {"cuda: cudaGraphInstantiate needs more memory, but only", "MiB are free",
        "lower max_batch_size", "max_num_tokens", "kv_cache_free_gpu_mem_fraction"}) {
    EXPECT_TRUE(throws_naming<CapacityError>(
        part, [] { check(cudaErrorMemoryAllocation, "cudaGraphInstantiate"); }));
  }
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

}  // namespace
}  // namespace ttsrt::cuda
