#include "rules/seen.h"

#include <gtest/gtest.h>

#include <vector>

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kVocab = 70;

std::vector<std::int32_t> members(const std::vector<std::uint32_t>& seen) {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; id < kVocab; ++id) {
    if (is_seen(seen.data(), id)) ids.push_back(id);
  }
  return ids;
}

TEST(Seen, HoldsTheMarkedIds) {
  std::vector<std::uint32_t> seen(static_cast<std::size_t>(seen_words(kVocab)), 0);
  ASSERT_EQ(seen.size(), 3U);
  for (const std::int32_t id : {0, 31, 32, 69, 31}) mark_seen(seen.data(), id);
  EXPECT_EQ(members(seen), (std::vector<std::int32_t>{0, 31, 32, 69}));
}

TEST(Seen, StartsWithOnlyTheFirstMembers) {
  SamplerRules sampler;
  sampler.num_seen_first = 2;
  sampler.seen_first[0] = 64;
  sampler.seen_first[1] = 5;
  std::vector<std::uint32_t> seen(3, 0xFFFFFFFFU);
  start_seen(sampler, seen.data(), kVocab);
  EXPECT_EQ(members(seen), (std::vector<std::int32_t>{5, 64}));
  add_seen(sampler, 0, 7, seen.data(), kVocab);
  add_seen(sampler, 1, 8, seen.data(), kVocab);
  EXPECT_EQ(members(seen), (std::vector<std::int32_t>{5, 7, 8, 64}));
}

TEST(Seen, MayForgetTheFirstMembersAfterOneStep) {
  SamplerRules sampler;
  sampler.num_seen_first = 1;
  sampler.seen_first[0] = 64;
  sampler.forgets_first = true;
  std::vector<std::uint32_t> seen(3);
  start_seen(sampler, seen.data(), kVocab);
  add_seen(sampler, 0, 7, seen.data(), kVocab);
  EXPECT_EQ(members(seen), (std::vector<std::int32_t>{7}));
  add_seen(sampler, 1, 64, seen.data(), kVocab);
  EXPECT_EQ(members(seen), (std::vector<std::int32_t>{7, 64}));
}

TEST(Seen, CountsOnlyForAPenalty) {
  SamplerRules sampler;
  EXPECT_FALSE(counts_seen(sampler));
  sampler.repetition_penalty = 1.2F;
  EXPECT_TRUE(counts_seen(sampler));
}

}  // namespace
}  // namespace ttsrt::rules
