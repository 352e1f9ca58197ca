// A block of threads mixes and masks a row as the rules do one after the other.
#include "cuda/kernels/masked_row.cuh"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "host_block.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kVocab = 50;

rules::SlotRules some_rules(std::uint64_t bits) {
  rules::SlotRules rules;
  rules.eos_id = 7;
  rules.cfg_scale = 1.7F;
  rules.guidance = (bits & 1U) != 0 ? rules::Guidance::extrapolate : rules::Guidance::weighted_sum;
  rules.num_stop_ids = (bits & 2U) != 0 ? 3 : 0;
  for (std::int32_t i = 0; i < rules.num_stop_ids; ++i) rules.stop_ids[i] = 20 + i;
  rules.num_forbidden = (bits & 4U) != 0 ? 2 : 0;
  rules.forbidden[0] = 3;
  rules.forbidden[1] = 49;
  rules.first_invalid = (bits & 8U) != 0 ? 40 : 0;
  rules.min_frames = (bits & 16U) != 0 ? 9 : 0;
  rules.minimum_id = (bits & 32U) != 0 ? 11 : -1;
  rules.prior.track_finish = (bits & 64U) != 0;
  return rules;
}

TEST(CudaMaskedRow, EqualsTheRulesForEveryMask) {
  const auto conditional = test::random_vector(kVocab, 1, 5.0F);
  const auto unconditional = test::random_vector(kVocab, 2, 5.0F);
  for (std::uint64_t bits = 0; bits < 128 * 12; ++bits) {
    const rules::SlotRules rules = some_rules(bits);
    rules::SlotState state;
    state.step = 5;
    state.is_unfinished = bits / 128 % 2 != 0;
    state.finish_count = bits / 256 % 2 != 0 ? 25 : 0;
    state.analyzer.verdict = static_cast<rules::Verdict>(bits / 512);
    const bool is_guided = bits % 3 != 0;
    std::vector<float> expected = conditional;
    for (std::size_t i = 0; is_guided && i < expected.size(); ++i)
      expected[i] = rules::guide(rules.guidance, conditional[i], unconditional[i], rules.cfg_scale);
    const std::vector<float> mix = expected;
    rules::apply_verdict(rules, state, expected.data(), kVocab);
    rules::mask_logits(rules, state, expected.data(), kVocab);
    std::vector<float> guided(kVocab);
    std::vector<float> got(kVocab);
    const cuda::RawLogits raw{conditional.data(), is_guided ? unconditional.data() : nullptr,
                              rules.cfg_scale};
    const auto are_finite = test::run_block(bits % 100 == 0 ? 3 : 1, [&](test::HostBlock& block) {
      return static_cast<int>(
          cuda::mask_row(block, rules, state, raw, true, guided.data(), got.data(), kVocab));
    });
    EXPECT_EQ(got, expected) << bits;
    EXPECT_EQ(guided, mix) << bits;
    EXPECT_EQ(are_finite, std::vector<int>(are_finite.size(), 1)) << bits;
  }
}

TEST(CudaMaskedRow, SaysWhatIsNotFiniteBehindAMask) {
  auto logits = test::random_vector(kVocab, 1, 5.0F);
  rules::SlotRules rules = some_rules(8);
  std::vector<float> got(kVocab);
  logits[45] = INFINITY;  // an id that is masked
  const auto are_finite = test::run_block(2, [&](test::HostBlock& block) {
    const cuda::RawLogits raw{logits.data(), nullptr, 1.0F};
    return static_cast<int>(
        cuda::mask_row(block, rules, rules::SlotState{}, raw, false, nullptr, got.data(), kVocab));
  });
  EXPECT_NE(are_finite, (std::vector<int>{1, 1}));
  EXPECT_EQ(got[45], rules::kNever);
}

}  // namespace
}  // namespace ttsrt
