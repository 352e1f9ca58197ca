#include "decode/maskgit_schedule.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"

namespace ttsrt::decode {
namespace {

using rules::MaskGitSampling;
using test::throws_naming;

std::vector<std::int32_t> counts_of(const rules::MaskGitRules& rules) {
  return {rules.num_unmasked, rules.num_unmasked + rules.steps};
}

std::vector<std::int32_t> schedule(std::int32_t steps, std::int32_t codes,
                                   const std::string& sampling) {
  MaskGit options;
  options.steps = steps;
  options.sampling = sampling;
  return counts_of(compile_maskgit(options, codes));
}

using Counts = std::vector<std::int32_t>;

// The counts of the original, which uses torch.cos in float32.
TEST(MaskGitSchedule, CosineEqualsTheOriginal) {
  EXPECT_EQ(schedule(3, 4, "default"), (Counts{0, 0, 2}));
  EXPECT_EQ(schedule(3, 8, "default"), (Counts{0, 1, 4}));
  EXPECT_EQ(schedule(3, 16, "default"), (Counts{0, 2, 8}));
  EXPECT_EQ(schedule(3, 32, "default"), (Counts{0, 4, 16}));
  EXPECT_EQ(schedule(3, 16, "purity_default"), (Counts{0, 2, 8}));
}

TEST(MaskGitSchedule, CausalIsLinear) {
  EXPECT_EQ(schedule(3, 8, "causal"), (Counts{0, 2, 5}));
  EXPECT_EQ(schedule(3, 16, "causal"), (Counts{0, 5, 10}));
  EXPECT_EQ(schedule(3, 16, "purity_causal"), (Counts{0, 5, 10}));
}

TEST(MaskGitSchedule, CountsNeverDecreaseAndStayInRange) {
  for (const char* sampling : {"default", "causal", "purity_default", "purity_causal"}) {
    for (std::int32_t steps = 1; steps <= 64; ++steps) {
      for (const std::int32_t codes : {1, 2, 7, 8, 31, 64, 1024}) {
        const Counts counts = schedule(steps, codes, sampling);
        ASSERT_EQ(counts.size(), static_cast<std::size_t>(steps));
        EXPECT_EQ(counts[0], 0);
        for (std::size_t i = 1; i < counts.size(); ++i) EXPECT_GE(counts[i], counts[i - 1]);
        EXPECT_LT(counts.back(), codes + (steps > 1 ? 1 : 0));
      }
    }
  }
}

TEST(MaskGitSchedule, AScheduleSetsThePasses) {
  MaskGit options;
  options.schedule = {0, 3, 5, 8};
  options.steps = 0;  // not used
  options.noise_scale = 1.5F;
  options.dynamic_cfg_scale = true;
  options.sampling = "purity_causal";
  const auto rules = compile_maskgit(options, 8);
  EXPECT_EQ(counts_of(rules), (Counts{0, 3, 5, 8}));
  EXPECT_EQ(rules.sampling, MaskGitSampling::purity_causal);
  EXPECT_EQ(rules.noise_scale, 1.5F);
  EXPECT_TRUE(rules.dynamic_cfg_scale);
}

template <typename Change>
::testing::AssertionResult refuses(const std::string& knob, Change change) {
  MaskGit options;
  change(options);
  return throws_naming<ConfigError>(knob, [&] { compile_maskgit(options, 8); });
}

TEST(MaskGitSchedule, RefusesByName) {
  EXPECT_TRUE(refuses("maskgit.steps", [](MaskGit& of) { of.steps = 0; }));
  EXPECT_TRUE(refuses("maskgit.steps", [](MaskGit& of) { of.steps = 65; }));
  EXPECT_TRUE(refuses("maskgit.noise_scale", [](MaskGit& of) { of.noise_scale = -0.1F; }));
  EXPECT_TRUE(refuses("maskgit.noise_scale", [](MaskGit& of) {
    of.noise_scale = std::numeric_limits<float>::quiet_NaN();
  }));
  EXPECT_TRUE(refuses("maskgit.schedule", [](MaskGit& of) { of.schedule = {0, 9}; }));
  EXPECT_TRUE(refuses("maskgit.schedule", [](MaskGit& of) { of.schedule = {-1}; }));
  EXPECT_TRUE(refuses("maskgit.schedule", [](MaskGit& of) { of.schedule.assign(65, 0); }));
  EXPECT_TRUE(
      refuses("purity_causal, got \"random\"", [](MaskGit& of) { of.sampling = "random"; }));
  EXPECT_TRUE(refuses("maskgit.dynamic_cfg_scale", [](MaskGit& of) {
    of.dynamic_cfg_scale = true;
    of.steps = 1;
  }));
}

}  // namespace
}  // namespace ttsrt::decode
