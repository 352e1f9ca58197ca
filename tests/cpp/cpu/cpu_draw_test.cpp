// The chain over kernels draws what it draws over plain primitives.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "cpu/stages/draw.h"
#include "cpu_support.h"
#include "support/draws.h"

namespace ttsrt {
namespace {

class CpuDraw : public test::CpuIsaTest {};

// Draws of the same row, by kernels and plainly.
void expect_equal_draws(const cpu::Kernels& kernels, const rules::SamplerRules& sampler,
                        std::int32_t vocab, std::uint64_t seed) {
  const std::vector<float> logits =
      test::random_vector(static_cast<std::size_t>(vocab), seed, 3.0F);
  for (const float number : {0.0F, 0.3F, 0.6F, 0.95F}) {
    test::Draws plain(logits);
    plain.see({0, 2, vocab / 2, vocab - 1});
    std::vector<std::byte> memory(cpu::DrawScratch::bytes(vocab));
    const cpu::DrawScratch scratch = cpu::DrawScratch::at(memory.data(), vocab);
    std::copy(logits.begin(), logits.end(), scratch.logits);
    const rules::DrawOutcome got =
        cpu::draw_code(kernels, sampler, vocab, plain.seen.data(), number, scratch);
    const rules::DrawOutcome expected =
        rules::draw_code(rules::PlainPrimitives{}, sampler, plain.row(), number);
    EXPECT_EQ(got.code, expected.code) << "vocab " << vocab << ", seed " << seed;
    EXPECT_NEAR(got.probability, expected.probability, 1e-5F);
    EXPECT_NEAR(got.max_probability, expected.max_probability, 1e-5F);
  }
}

TEST_P(CpuDraw, EqualsThePlainChainInEveryOrder) {
  using rules::Processor;
  const cpu::Kernels& kernels = cpu::choose_kernels(isa());
  rules::SamplerRules sampler;
  sampler.top_k = 20;
  sampler.top_p = 0.9F;
  sampler.min_p = 0.02F;
  sampler.repetition_penalty = 1.4F;
  std::sort(std::begin(sampler.order), std::end(sampler.order));
  std::uint64_t seed = 0;
  do {
    for (const float temperature : {0.0F, 0.7F}) {
      sampler.temperature = temperature;
      for (const std::int32_t vocab : {5, 33, 200})
        expect_equal_draws(kernels, sampler, vocab, seed);
    }
    seed += 1;
  } while (std::next_permutation(std::begin(sampler.order), std::end(sampler.order)));
}

TEST_P(CpuDraw, GuessesEqualThePlainOnes) {
  const cpu::Kernels& kernels = cpu::choose_kernels(isa());
  rules::SamplerRules sampler;
  sampler.confidence_temperature = 0.6F;
  const std::vector<float> logits = test::random_vector(77, 4, 3.0F);
  std::vector<std::byte> memory(cpu::DrawScratch::bytes(77));
  const cpu::DrawScratch scratch = cpu::DrawScratch::at(memory.data(), 77);
  std::copy(logits.begin(), logits.end(), scratch.logits);
  const rules::DrawOutcome got = cpu::draw_guess(kernels, sampler, 77, nullptr, 0.4F, scratch);
  const rules::DrawOutcome expected = test::guess(sampler, logits, 0.4F);
  EXPECT_EQ(got.code, expected.code);
  EXPECT_NEAR(got.probability, expected.probability, 1e-6F);
}

TEST_P(CpuDraw, GuidanceTakesOneBranchAsItIs) {
  const cpu::Kernels& kernels = cpu::choose_kernels(isa());
  const std::vector<float> logits = test::random_vector(40, 4, 3.0F);
  std::vector<std::byte> memory(cpu::DrawScratch::bytes(40));
  const cpu::DrawScratch scratch = cpu::DrawScratch::at(memory.data(), 40);
  cpu::guide_logits(kernels, rules::Guidance::extrapolate, logits.data(), nullptr, 0.5F, 40,
                    scratch);
  EXPECT_TRUE(std::equal(logits.begin(), logits.end(), scratch.logits));
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuDraw, testing::ValuesIn(cpu::supported_levels()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
