// The chain of a block of threads draws what rules/filter_chain.h draws, and the same with any
// number of threads.
#include "cuda/kernels/draw.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

#include "host_block.h"
#include "support/draws.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

using rules::DrawFault;
using rules::DrawOutcome;
using rules::SamplerRules;

// A row with its own memory, which `threads` threads of a block draw from.
struct BlockDraws {
  test::Draws row;
  std::vector<std::uint16_t> offsets;

  explicit BlockDraws(const test::Draws& of_row) : row(of_row), offsets(of_row.logits.size()) {}

  cuda::BlockRow view() {
    return {row.logits.data(), row.weights.data(), offsets.data(), row.vocab(),
            row.seen.empty() ? nullptr : row.seen.data()};
  }
};

enum class How { draw, guess };

DrawOutcome draw_by_block(How how, std::int32_t threads, const SamplerRules& sampler,
                          const test::Draws& row, float number) {
  BlockDraws draws(row);
  const auto outcomes = test::run_block(threads, [&](test::HostBlock& block) {
    if (how == How::guess) return cuda::draw_guess(block, sampler, draws.view(), number, 0);
    const std::uint64_t best = cuda::largest_of(block, draws.row.logits.data(), draws.row.vocab());
    return cuda::draw_code(block, sampler, draws.view(), number, best);
  });
  for (const DrawOutcome& other : outcomes) {
    EXPECT_EQ(other.code, outcomes[0].code);
    EXPECT_EQ(other.fault, outcomes[0].fault);
    EXPECT_EQ(other.probability, outcomes[0].probability);
  }
  return outcomes[0];
}

DrawOutcome draw_plainly(How how, const SamplerRules& sampler, test::Draws row, float number) {
  const rules::PlainPrimitives plain;
  return how == How::draw ? rules::draw_code(plain, sampler, row.row(), number)
                          : rules::draw_guess(plain, sampler, row.row(), number);
}

// Numbers and rows that depend only on a seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  // Returns a number in [0, 1).
  float number() { return test::random_value(seed_, at_++) * 0.5F + 0.5F; }
  std::int32_t below(std::int32_t count) {
    return static_cast<std::int32_t>(number() * static_cast<float>(count));
  }
  bool flip() { return below(2) == 0; }

 private:
  std::uint64_t seed_;
  std::uint64_t at_ = 0;
};

SamplerRules random_sampler(Dice& dice, std::int32_t vocab) {
  SamplerRules sampler;
  std::sort(std::begin(sampler.order), std::end(sampler.order));
  for (std::int32_t i = dice.below(720); i > 0; --i)
    std::next_permutation(std::begin(sampler.order), std::end(sampler.order));
  sampler.temperature = dice.below(6) == 0 ? 0.0F : 0.3F + dice.number();
  sampler.top_k = dice.flip() ? 0 : 1 + dice.below(vocab + 5);
  sampler.top_p = dice.flip() ? 1.0F : 0.05F + 0.94F * dice.number();
  sampler.min_p = dice.flip() ? 0.0F : 0.2F * dice.number();
  sampler.repetition_penalty = dice.flip() ? 1.0F : 0.7F + dice.number();
  sampler.confidence_temperature = 0.5F + dice.number();
  sampler.ranks_apart = dice.flip();
  return sampler;
}

// A row of which some logits are equal, zeros of both signs, or forbidden.
test::Draws random_row(Dice& dice, std::int32_t vocab) {
  std::vector<float> logits(static_cast<std::size_t>(vocab));
  const bool is_coarse = dice.below(3) == 0;
  const float scale = 1.0F + 6.0F * dice.number();
  for (float& logit : logits) {
    logit = scale * (2.0F * dice.number() - 1.0F);
    if (is_coarse) logit = std::round(logit);
    if (dice.below(12) == 0) logit = dice.flip() ? rules::kNever : dice.flip() ? 0.0F : -0.0F;
  }
  logits[static_cast<std::size_t>(dice.below(vocab))] = 1.0F;
  test::Draws row(std::move(logits));
  if (dice.flip()) {
    row.see({});
    for (std::int32_t i = dice.below(vocab); i > 0; --i)
      rules::mark_seen(row.seen.data(), dice.below(vocab));
  }
  return row;
}

void expect_equal(const DrawOutcome& got, const DrawOutcome& expected) {
  EXPECT_EQ(got.code, expected.code);
  EXPECT_EQ(got.fault, expected.fault);
  EXPECT_NEAR(got.probability, expected.probability, 1e-5F);
  EXPECT_NEAR(got.max_probability, expected.max_probability, 1e-5F);
}

TEST(CudaDraw, OneThreadDrawsWhatTheRulesDraw) {
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    Dice dice(seed);
    const std::int32_t vocab = 1 + dice.below(seed % 20 == 0 ? 1500 : 90);
    const SamplerRules sampler = random_sampler(dice, vocab);
    const test::Draws row = random_row(dice, vocab);
    const How how = dice.below(3) == 0 ? How::guess : How::draw;
    const float number = dice.number();
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", vocab " << vocab);
    expect_equal(draw_by_block(how, 1, sampler, row, number),
                 draw_plainly(how, sampler, row, number));
    if (testing::Test::HasFailure()) break;
  }
}

TEST(CudaDraw, TheNumberOfThreadsChangesNoBit) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Dice dice(1000000 + seed);
    const std::int32_t vocab = 1 + dice.below(300);
    const SamplerRules sampler = random_sampler(dice, vocab);
    const test::Draws row = random_row(dice, vocab);
    const How how = dice.below(3) == 0 ? How::guess : How::draw;
    const float number = dice.number();
    const DrawOutcome alone = draw_by_block(how, 1, sampler, row, number);
    for (const std::int32_t threads : {2, 7}) {
      const DrawOutcome together = draw_by_block(how, threads, sampler, row, number);
      EXPECT_EQ(together.code, alone.code) << seed;
      EXPECT_EQ(together.fault, alone.fault) << seed;
      EXPECT_EQ(together.probability, alone.probability) << seed;
      EXPECT_EQ(together.max_probability, alone.max_probability) << seed;
    }
  }
}

TEST(CudaDraw, LargeVocabularies) {
  for (const std::int32_t vocab : {8194, 65536}) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      SamplerRules sampler;
      sampler.temperature = 0.8F;
      sampler.top_k = seed % 2 == 0 ? 1000 : 0;
      sampler.top_p = seed % 3 == 0 ? 1.0F : 0.95F;
      sampler.min_p = seed < 3 ? 0.0F : 0.05F;
      const auto logits = test::random_vector(static_cast<std::size_t>(vocab), seed, 9.0F);
      const test::Draws row(logits);
      const float number = 0.1F + 0.14F * static_cast<float>(seed);
      expect_equal(draw_by_block(How::draw, 3, sampler, row, number),
                   draw_plainly(How::draw, sampler, row, number));
    }
  }
}

// Uniform numbers at the edges of the range find a code that is allowed.
TEST(CudaDraw, EdgesOfTheRange) {
  SamplerRules sampler;
  sampler.temperature = 1.0F;
  std::vector<float> logits(33, rules::kNever);
  logits[4] = 0.0F;
  logits[20] = 0.0F;
  const float last = 16777215.0F / 16777216.0F;
  for (const std::int32_t threads : {1, 4}) {
    EXPECT_EQ(draw_by_block(How::draw, threads, sampler, test::Draws(logits), 0.0F).code, 4);
    EXPECT_EQ(draw_by_block(How::draw, threads, sampler, test::Draws(logits), 0.5F).code, 20);
    EXPECT_EQ(draw_by_block(How::draw, threads, sampler, test::Draws(logits), last).code, 20);
  }
}

TEST(CudaDraw, FaultsAreThoseOfTheRules) {
  for (const float temperature : {0.0F, 0.7F}) {
    SamplerRules sampler;
    sampler.temperature = temperature;
    const test::Draws nothing(std::vector<float>(40, rules::kNever));
    const DrawOutcome none = draw_by_block(How::draw, 3, sampler, nothing, 0.5F);
    EXPECT_EQ(none.fault, DrawFault::no_choice);
    EXPECT_TRUE(none.code >= 0 && none.code < 40);
    for (const float value : {INFINITY, NAN, 1e38F}) {
      test::Draws row(test::random_vector(40, 3, 2.0F));
      row.logits[30] = value;
      row.see({30});
      SamplerRules harsh = sampler;
      if (std::isfinite(value)) harsh.repetition_penalty = 0.01F;
      const DrawOutcome got = draw_by_block(How::draw, 3, harsh, row, 0.5F);
      EXPECT_EQ(got.fault, DrawFault::not_finite) << value;
      EXPECT_TRUE(got.code >= 0 && got.code < 40);
    }
  }
}

}  // namespace
}  // namespace ttsrt
