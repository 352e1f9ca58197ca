#include "executor/voices.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::executor {
namespace {

using test::throws_naming;

class Voices : public ::testing::Test {
 protected:
  step::ModelFacts facts_ = test::small_facts();
  VoiceBook book_{facts_};
};

TEST_F(Voices, StoredOnesByIndexAndName) {
  EXPECT_EQ(book_.find(0)->size(), 12U);
  EXPECT_EQ(book_.find(std::string("bob"))->size(), 20U);
  EXPECT_EQ(book_.find(std::string("ann")), book_.find(0));
  EXPECT_EQ(book_.names(), (std::vector<std::string>{"ann", "bob"}));
}

TEST_F(Voices, UnknownOnesListTheKnown) {
  EXPECT_TRUE(throws_naming<ConfigError>("ann, bob", [&] { book_.find(std::string("carl")); }));
  EXPECT_TRUE(throws_naming<ConfigError>("[0, 1], got 2", [&] { book_.find(2); }));
  EXPECT_THROW(book_.find(-1), ConfigError);
  const step::ModelFacts none;
  EXPECT_TRUE(throws_naming<ConfigError>("stores no voices", [&] { VoiceBook(none).find(0); }));
}

TEST_F(Voices, AddAndRemove) {
  book_.add("carl", {2, 4, std::vector<float>(8, 1.0F)});
  const VoiceRows held = book_.find(std::string("carl"));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "in use", [&] { book_.add("carl", {1, 4, std::vector<float>(4)}); }));
  book_.remove("carl");
  EXPECT_EQ(held->size(), 8U);  // whoever speaks with it keeps it
  EXPECT_THROW(book_.find(std::string("carl")), ConfigError);
  EXPECT_THROW(book_.remove("carl"), ConfigError);
}

TEST_F(Voices, RefusesBadRows) {
  EXPECT_THROW(book_.add("", {1, 4, std::vector<float>(4)}), ConfigError);
  EXPECT_THROW(book_.add(std::string(257, 'x'), {1, 4, std::vector<float>(4)}), ConfigError);
  EXPECT_THROW(book_.add("x", {1, 5, std::vector<float>(5)}), ConfigError);
  EXPECT_THROW(book_.add("x", {0, 4, {}}), ConfigError);
  EXPECT_THROW(book_.add("x", {9, 4, std::vector<float>(36)}), ConfigError);
  EXPECT_THROW(book_.add("x", {2, 4, std::vector<float>(7)}),
               ConfigError);  // values that aren't rows * cols
  EXPECT_THROW(book_.add("x", {1, 4, {1, 2, 3, std::numeric_limits<float>::infinity()}}),
               ConfigError);
  facts_.context_route = step::ContextRoute::memory;
  EXPECT_THROW(book_.add("x", {1, 4, std::vector<float>(4)}), ConfigError);
}

}  // namespace
}  // namespace ttsrt::executor
