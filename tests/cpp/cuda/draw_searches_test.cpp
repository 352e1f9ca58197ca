// The searches of a block of threads find what those of rules/sampling.h find.
#include "cuda/kernels/draw_searches.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "host_block.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

// Runs search(block, values, count) over shares of the values.
template <typename Search>
float search_by_block(std::int32_t threads, const std::vector<float>& values,
                      const Search& search) {
  const auto count = static_cast<std::int32_t>(values.size());
  const auto found = test::run_block(threads, [&](test::HostBlock& block) {
    const cuda::IdRange own = cuda::own_ids(block, count);
    return search(block, values.data() + own.begin, own.end - own.begin);
  });
  EXPECT_EQ(found, std::vector<float>(found.size(), found[0]));
  return found[0];
}

TEST(CudaDrawSearches, SharesCoverTheIdsInOrder) {
  for (const std::int32_t count : {1, 6, 37, 200}) {
    for (const std::int32_t threads : {1, 4, 9}) {
      const auto shares = test::run_block(threads, [&](test::HostBlock& block) {
        const cuda::IdRange own = cuda::own_ids(block, count);
        return std::vector<std::int32_t>{own.begin, own.end};
      });
      std::int32_t next = 0;
      for (const auto& share : shares) {
        EXPECT_EQ(share[0], next);
        next = share[1];
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(CudaDrawSearches, KthLargest) {
  std::vector<float> values = test::random_vector(200, 5, 3.0F);
  values[3] = 0.0F;
  values[4] = -0.0F;
  values[5] = -INFINITY;
  for (std::size_t i = 20; i < 40; ++i) values[i] = 0.5F;
  for (const std::int32_t threads : {1, 3, 8}) {
    for (const std::uint32_t k : {1U, 2U, 70U, 85U, 100U, 199U, 200U}) {
      const float found =
          search_by_block(threads, values, [&](auto& block, const float* own, std::int32_t count) {
            return cuda::kth_largest(block, own, count, k);
          });
      EXPECT_EQ(found, rules::kth_largest(values.data(), 200, static_cast<std::int32_t>(k)));
    }
  }
}

TEST(CudaDrawSearches, NucleusThreshold) {
  std::vector<float> weights;
  for (const float value : test::random_vector(150, 6, 1.0F)) weights.push_back(value * value);
  weights[7] = 1.0F;
  weights[8] = 0.0F;
  for (std::size_t i = 30; i < 60; ++i) weights[i] = 0.25F;
  float sum = 0.0F;
  for (const float weight : weights) sum += weight;
  for (const std::int32_t threads : {1, 5}) {
    for (const float share : {0.01F, 0.2F, 0.5F, 0.77F, 0.9F, 0.999F}) {
      const float found =
          search_by_block(threads, weights, [&](auto& block, const float* own, std::int32_t count) {
            return cuda::nucleus_threshold(block, own, count, share * sum);
          });
      EXPECT_EQ(found, rules::nucleus_threshold(weights.data(), 150, share * sum)) << share;
    }
  }
}

TEST(CudaDrawSearches, EqualWeightsOfANucleus) {
  const std::uint64_t quarter = cuda::to_fixed(0.25F);
  EXPECT_EQ(cuda::equals_of_nucleus(0, quarter, 0.75F, 10), 3U);
  EXPECT_EQ(cuda::equals_of_nucleus(quarter, quarter, 0.75F, 10), 2U);
  EXPECT_EQ(cuda::equals_of_nucleus(0, quarter, 0.1F, 10), 1U);
  EXPECT_EQ(cuda::equals_of_nucleus(0, quarter, 2.5F, 10), 10U);
  EXPECT_EQ(cuda::equals_of_nucleus(0, 0, 1.0F, 0), 1U);
}

}  // namespace
}  // namespace ttsrt
