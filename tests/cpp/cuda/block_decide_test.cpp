// A block of threads decides and scores the codes of a block as rules/block_diffusion.h does.
#include "cuda/kernels/block_decide.cuh"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "host_block.h"
#include "support/draws.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

rules::SlotRules some_rules(std::uint64_t seed) {
  rules::SlotRules rules;
  rules.sampler.seed = seed;
  rules.block.steps = 1 + static_cast<std::int32_t>(seed % 9);
  rules.block.early = seed % 2 == 0 ? 0.0F : 0.6F;
  rules.block.shift = seed % 5 < 3 ? 1.0F : 0.4F;
  rules.block.noise = seed % 3 == 0 ? 0.0F : 0.5F;
  rules.block.mask_id = 100;
  return rules;
}

TEST(CudaBlockDecide, DecidesThePlacesOfTheRules) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const rules::SlotRules rules = some_rules(seed);
    const auto count = static_cast<std::int32_t>(1 + seed * 7 % rules::kMaxBlockRows);
    std::vector<std::int32_t> expected(static_cast<std::size_t>(count), rules.block.mask_id);
    std::vector<std::int32_t> got = expected;
    rules::SlotState state;
    for (; state.pass < rules.block.steps; ++state.pass) {
      auto scores = test::random_vector(expected.size(), seed * 10 + state.pass, 4.0F);
      if (seed % 4 == 0) {  // some are equal
        for (float& score : scores) score = std::round(score);
      }
      std::vector<std::int32_t> guesses;
      for (std::int32_t i = 0; i < count; ++i) guesses.push_back(i);
      rules::decide_block(rules, state, count, guesses.data(), scores.data(), expected.data());
      cuda::DecideRoom room;
      test::run_block(seed % 8 == 0 ? 3 : 1, [&](test::HostBlock& block) {
        cuda::decide_block(block, room, rules, state, count, guesses.data(), scores.data(),
                           got.data());
        return 0;
      });
      EXPECT_EQ(got, expected) << seed << " " << state.pass;
    }
    EXPECT_EQ(got, [&] {
      std::vector<std::int32_t> all;
      for (std::int32_t i = 0; i < count; ++i) all.push_back(i);
      return all;
    }());
  }
}

TEST(CudaBlockDecide, LogProbability) {
  test::Draws row(test::random_vector(300, 8, 6.0F));
  for (const std::int32_t threads : {1, 4}) {
    for (const std::int32_t code : {0, 17, 299}) {
      const auto got = test::run_block(threads, [&](test::HostBlock& block) {
        bool is_finite = true;
        const float found = cuda::log_probability(block, row.logits.data(), 300, code, is_finite);
        EXPECT_TRUE(is_finite);
        return found;
      });
      const float expected =
          rules::log_probability(rules::PlainPrimitives{}, row.logits.data(), code, row.row());
      EXPECT_EQ(got, std::vector<float>(got.size(), got[0]));
      EXPECT_NEAR(got[0], expected, 1e-5F);
    }
  }
  row.logits[200] = -INFINITY;
  const auto sound = test::run_block(3, [&](test::HostBlock& block) {
    bool is_finite = true;
    cuda::log_probability(block, row.logits.data(), 300, 5, is_finite);
    return static_cast<int>(is_finite);
  });
  EXPECT_NE(sound, (std::vector<int>{1, 1, 1}));
}

}  // namespace
}  // namespace ttsrt
