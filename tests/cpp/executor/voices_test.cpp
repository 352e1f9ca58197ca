#include "executor/voices.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <utility>

#include "support/errors.h"
#include "support/facts.h"

namespace ttsrt::executor {
namespace {

using test::throws_naming;

class Voices : public ::testing::Test {
 protected:
  // A book over itineraries of `model`, with the stored voices or without.
  void open(const model::magpie::Facts& model, model::StoredVoices stored = test::small_voices()) {
    book_.reset();
    itineraries_ = std::make_unique<model::magpie::Itineraries>(model);
    book_ = std::make_unique<VoiceBook>(*itineraries_, std::move(stored));
  }
  void SetUp() override { open(test::small_model()); }

  std::unique_ptr<model::magpie::Itineraries> itineraries_;
  std::unique_ptr<VoiceBook> book_;
};

TEST_F(Voices, StoredOnesByIndexAndName) {
  EXPECT_EQ(book_->find(0)->rows(), 3);
  EXPECT_EQ(book_->find(std::string("bob"))->rows(), 5);
  EXPECT_EQ(*book_->find(0)->parts[0].vectors, std::vector<float>(12, 0.5F));
  EXPECT_EQ(book_->find(0)->parts[0].input, step::Input::vectors);
  EXPECT_EQ(book_->find(std::string("ann")), book_->find(0));
  EXPECT_EQ(book_->names(), (std::vector<std::string>{"ann", "bob"}));
}

TEST_F(Voices, UnknownOnesListTheKnown) {
  EXPECT_TRUE(throws_naming<ConfigError>("one of: ann, bob; or an index from 0 to 1; got \"carl\"",
                                         [&] { book_->find(std::string("carl")); }));
  EXPECT_TRUE(throws_naming<ConfigError>("[0, 1], got 2", [&] { book_->find(2); }));
  EXPECT_THROW(book_->find(-1), ConfigError);
  open(test::small_model(), {});
  EXPECT_TRUE(throws_naming<ConfigError>("stores no voices", [&] { book_->find(0); }));
  EXPECT_TRUE(throws_naming<ConfigError>("no voice, as there is none; got \"ann\"",
                                         [&] { book_->find(std::string("ann")); }));
  EXPECT_TRUE(throws_naming<ConfigError>("a voice that was added; got \"ann\"",
                                         [&] { book_->remove("ann"); }));
  model::StoredVoices unnamed = test::small_voices();
  unnamed.names.clear();
  open(test::small_model(), std::move(unnamed));
  EXPECT_TRUE(
      throws_naming<ConfigError>("an index from 0 to 1, as no voice has a name; got \"ann\"",
                                 [&] { book_->find(std::string("ann")); }));
}

TEST_F(Voices, AddAndRemove) {
  book_->add("carl", {2, 4, std::vector<float>(8, 1.0F)});
  const auto held = book_->find(std::string("carl"));
  EXPECT_TRUE(throws_naming<ConfigError>(
      "in use", [&] { book_->add("carl", {1, 4, std::vector<float>(4)}); }));
  book_->remove("carl");
  EXPECT_EQ(held->parts[0].vectors->size(), 8U);  // whoever speaks with it keeps it
  EXPECT_THROW(book_->find(std::string("carl")), ConfigError);
  EXPECT_THROW(book_->remove("carl"), ConfigError);
}

TEST_F(Voices, RefusesBadRows) {
  EXPECT_THROW(book_->add("", {1, 4, std::vector<float>(4)}), ConfigError);
  EXPECT_THROW(book_->add(std::string(257, 'x'), {1, 4, std::vector<float>(4)}), ConfigError);
  EXPECT_THROW(book_->add("x", {1, 5, std::vector<float>(5)}), ConfigError);
  EXPECT_THROW(book_->add("x", Matrix<float>{0, 4, {}}), ConfigError);
  EXPECT_THROW(book_->add("x", {9, 4, std::vector<float>(36)}), ConfigError);
  EXPECT_THROW(book_->add("x", {2, 4, std::vector<float>(7)}),
               ConfigError);  // values that aren't rows * cols
  EXPECT_THROW(book_->add("x", {1, 4, {1, 2, 3, std::numeric_limits<float>::infinity()}}),
               ConfigError);
  EXPECT_EQ(book_->count(), 2);
  model::magpie::Facts model = test::small_model();
  model.context_route = model::magpie::ContextRoute::memory;
  open(model);
  EXPECT_THROW(book_->add("x", {1, 4, std::vector<float>(4)}), ConfigError);
}

TEST_F(Voices, CodesAreKeptAsStacks) {
  model::magpie::Facts model = test::small_model();
  model.rules.frame_stacking = 2;
  open(model);
  book_->add_codes("carl", Matrix<std::int32_t>{3, 2, {1, 2, 3, 4, 5, 6}});
  const auto voice = book_->find(std::string("carl"));
  EXPECT_EQ(voice->rows(), 2);
  const step::RowSource& rows = voice->parts.at(0);
  EXPECT_EQ(rows.input, step::Input::codes);
  EXPECT_EQ(rows.ids_per_row, 4);
  EXPECT_EQ(*rows.ids, (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6, 0, 0}));
  EXPECT_EQ(rows.vectors, nullptr);
}

TEST_F(Voices, RefusesBadCodes) {
  EXPECT_TRUE(throws_naming<ConfigError>(
      "add_voice: codes", [&] { book_->add_codes("x", Matrix<std::int32_t>{1, 2, {1, 16}}); }));
  EXPECT_THROW(book_->add_codes("x", Matrix<std::int32_t>{1, 3, {1, 2, 3}}), ConfigError);
  EXPECT_THROW(book_->add_codes("x", Matrix<std::int32_t>{9, 2, std::vector<std::int32_t>(18)}),
               ConfigError);
  model::magpie::Facts model = test::small_model();
  model.takes_context_codes = false;
  open(model);
  EXPECT_TRUE(throws_naming<ConfigError>("give a voice or embeddings", [&] {
    book_->add_codes("x", Matrix<std::int32_t>{1, 2, {1, 2}});
  }));
}

TEST_F(Voices, NamesFollowOneRule) {
  const Matrix<std::int32_t> codes{1, 2, {1, 2}};
  for (const char* name : {"", "a b", "../x", "a\n", "\xFF"}) {
    EXPECT_TRUE(throws_naming<ConfigError>("add_voice: name: expected 1 to 64 letters",
                                           [&] { book_->add_codes(name, codes); }));
    EXPECT_THROW(book_->add(name, Matrix<float>{1, 4, std::vector<float>(4)}), ConfigError);
    EXPECT_THROW(book_->find(std::string(name)), ConfigError);
  }
  book_->add_codes("小明", codes);
  EXPECT_EQ(book_->find(std::string("小明"))->rows(), 1);
  EXPECT_TRUE(
      throws_naming<ConfigError>("got \"a\\x0ab\"", [&] { book_->find(std::string("a\nb")); }));
}

TEST_F(Voices, ASpeakerMakesAVoiceOnlyWhereTheModelTakesOne) {
  EXPECT_TRUE(throws_naming<ConfigError>(
      "not conditioned on a speaker", [&] { book_->add_speaker("x", {{1.0F}, {}, {}, {}, {}}); }));
  EXPECT_EQ(book_->count(), 2);
}

TEST_F(Voices, ThousandsAreCounted) {
  EXPECT_EQ(book_->count(), 2);
  EXPECT_EQ(book_->bytes(), 0U);  // the engine's own are not counted
  for (int i = 0; i < 5000; ++i)
    book_->add_codes("voice" + std::to_string(i), Matrix<std::int32_t>{2, 2, {1, 2, 3, i % 16}});
  EXPECT_EQ(book_->count(), 5002);
  EXPECT_GE(book_->bytes(), 5000U * 16);
  EXPECT_EQ(book_->find(std::string("voice4999"))->parts[0].ids->back(), 4999 % 16);
  for (int i = 0; i < 5000; ++i) book_->remove("voice" + std::to_string(i));
  book_->remove("ann");
  EXPECT_EQ(book_->bytes(), 0U);
  EXPECT_EQ(book_->names(), std::vector<std::string>{"bob"});
}

}  // namespace
}  // namespace ttsrt::executor
