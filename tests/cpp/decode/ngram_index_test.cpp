#include "decode/ngram_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>

#include "core/json.h"

namespace ttsrt::decode {
namespace {

using Ids = std::vector<std::int32_t>;

Ids draft_of(const Ids& ids, std::int32_t max_ngram, NgramMatch match, std::int32_t most,
             const Ids& ends) {
  NgramIndex index(max_ngram, match, ids.size());
  for (const std::int32_t id : ids) index.append(id);
  Ids draft(static_cast<std::size_t>(most), -1);
  draft.resize(static_cast<std::size_t>(index.draft(most, ends, draft.data()).ids));
  return draft;
}

// The rule itself: every place is looked at.
Ids searched(const Ids& ids, std::int32_t max_ngram, NgramMatch match, std::int32_t most,
             const Ids& ends) {
  const auto size = static_cast<std::int32_t>(ids.size());
  for (std::int32_t ngram = std::min(max_ngram, size - 1); ngram > 0; --ngram) {
    std::int32_t found = -1;
    for (std::int32_t begin = 0; begin + ngram < size; ++begin) {
      if (!std::equal(ids.end() - ngram, ids.end(), ids.begin() + begin)) continue;
      if (found < 0 || match == NgramMatch::last) found = begin + ngram;
    }
    if (found < 0) continue;
    Ids text = ids;
    for (std::int32_t i = 0; i < most; ++i) {
      if (found + i >= size && match == NgramMatch::first) break;
      const std::int32_t id = text[static_cast<std::size_t>(found + i)];
      if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
      text.push_back(id);
    }
    return {text.begin() + size, text.end()};
  }
  return {};
}

TEST(NgramIndex, FindsWhatASearchFinds) {
  std::mt19937 random(7);
  std::int32_t found = 0;
  for (std::int32_t round = 0; round < 400; ++round) {
    const auto size = 1 + random() % 60;
    const std::int32_t letters = 2 + static_cast<std::int32_t>(random() % 9);
    Ids ids;
    for (std::size_t i = 0; i < size; ++i)
      ids.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(letters)));
    for (const NgramMatch match : {NgramMatch::first, NgramMatch::last}) {
      const auto max_ngram = 1 + static_cast<std::int32_t>(random() % 5);
      const auto most = 1 + static_cast<std::int32_t>(random() % 8);
      const Ids expected = searched(ids, max_ngram, match, most, {1});
      EXPECT_EQ(draft_of(ids, max_ngram, match, most, {1}), expected) << "text " << round;
      found += expected.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(found, 300);
}

TEST(NgramIndex, TakesTheFirstPlaceOrTheLast) {
  const Ids ids = {1, 2, 7, 1, 2, 8, 1, 2};
  EXPECT_EQ(draft_of(ids, 2, NgramMatch::first, 3, {}), (Ids{7, 1, 2}));
  EXPECT_EQ(draft_of(ids, 2, NgramMatch::last, 3, {}), (Ids{8, 1, 2}));
  EXPECT_EQ(draft_of(ids, 2, NgramMatch::last, 3, {1}), Ids{8});  // an end is not drafted
  EXPECT_EQ(draft_of({4}, 3, NgramMatch::last, 3, {}), Ids{});
  EXPECT_EQ(draft_of({4, 5}, 3, NgramMatch::last, 3, {}), Ids{});
}

TEST(NgramIndex, APieceThatRepeatsIsDraftedInFull) {
  EXPECT_EQ(draft_of({3, 4, 3, 4}, 2, NgramMatch::last, 5, {}), (Ids{3, 4, 3, 4, 3}));
  EXPECT_EQ(draft_of({3, 4, 3, 4}, 2, NgramMatch::first, 5, {}), (Ids{3, 4}));
}

// The slot of two ids under a hash without keys, as an attacker would know it.
std::size_t known_slot(std::int32_t first, std::int32_t second, std::size_t slots) {
  std::uint64_t hash = 0;
  for (const std::int32_t id : {first, second}) {
    hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return hash & (slots - 1);
}

double seconds_to_index(const Ids& ids) {
  double least = 1e9;
  for (std::int32_t round = 0; round < 3; ++round) {
    NgramIndex index(2, NgramMatch::last, ids.size());
    const std::clock_t begin = std::clock();
    for (const std::int32_t id : ids) index.append(id);
    const auto spent = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    least = std::min(least, std::max(spent, 1e-4));
  }
  return least;
}

// Every pair of the text falls into one of 64 slots of that hash.
TEST(NgramIndex, NoTextTakesMuchLongerThanAnother) {
  constexpr std::size_t kIds = 16384;
  constexpr std::size_t kSlots = 65536;  // of a table for so many ids
  constexpr std::int32_t kVocab = 32000;
  std::mt19937 random(3);
  const auto any = [&] { return static_cast<std::int32_t>(random() % kVocab); };
  Ids hostile = {5};
  Ids usual = {5};
  while (hostile.size() < kIds) {
    std::int32_t id = any();
    while (known_slot(hostile.back(), id, kSlots) >= 64) id = any();
    hostile.push_back(id);
    usual.push_back(any());
  }
  EXPECT_LT(seconds_to_index(hostile), 20 * seconds_to_index(usual));
}

// golden/llm/lookup.json: drafts of transformers' PromptLookupCandidateGenerator.
TEST(NgramIndex, FirstIsTheRuleOfTransformers) {
  const char* folder = std::getenv("TTSRT_GOLDEN");
  if (folder == nullptr) GTEST_SKIP() << "TTSRT_GOLDEN: not set";
  std::ifstream file(std::string(folder) + "/llm/lookup.json");
  ASSERT_TRUE(file.good());
  const Json cases = Json::parse(file);
  ASSERT_GE(cases.size(), 20U);
  for (const Json& at : cases) {
    EXPECT_EQ(
        draft_of(at.at("ids").get<Ids>(), at.at("max_ngram").get<std::int32_t>(), NgramMatch::first,
                 at.at("num_draft").get<std::int32_t>(), at.at("eos").get<Ids>()),
        at.at("draft").get<Ids>())
        << at.dump();
  }
}

}  // namespace
}  // namespace ttsrt::decode
