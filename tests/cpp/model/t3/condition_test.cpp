#include "model/t3/condition.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/engine_data.h"
#include "model/t3/family.h"
#include "model/t3/itinerary.h"
#include "support/causal_models.h"
#include "support/errors.h"
#include "support/tiny_engine.h"

namespace ttsrt::model::t3 {
namespace {

using test::throws_naming;

TEST(T3Condition, MultiplyIsADotProductOfEveryPairOfRows) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};
  const std::vector<float> weight = {1, 0, 0, 1, 1, 1};
  const std::vector<float> bias = {10, 20};
  std::vector<float> out;
  multiply(x, 3, weight.data(), bias.data(), 2, out);
  EXPECT_EQ(out, (std::vector<float>{11, 26, 14, 35}));
}

class T3Voice : public ::testing::Test {
 protected:
  T3Voice() : engine_(test::t3_config()), data_(engine_.path()), in_use_(data_.weights.use()) {}

  const Config& config() const { return dynamic_cast<const T3Family&>(*data_.family).config(); }
  std::unique_ptr<model::Itineraries> itineraries() const {
    return data_.family->itineraries(data_.limits, &data_.weights);
  }
  static Speaker speaker() { return {{0.5F, -1.0F, 0.25F, 2.0F, 1.0F}, {3, 1, 4}, 0.5F, {}, {}}; }

  const test::TinyEngine engine_;
  const EngineData data_;
  const std::shared_ptr<const void> in_use_;
};

TEST_F(T3Voice, APrefixIsSpeakerPromptAndEmotion) {
  const Voice voice = itineraries()->voice_of_speaker(speaker());
  ASSERT_EQ(voice.parts.size(), 2U);
  EXPECT_EQ(voice.parts[0].rows, 1 + 4);  // as many rows as the perceiver has queries
  EXPECT_EQ(voice.parts[1].rows, 1);
  const Matrix<float> rows = itineraries()->rows_of_voice(voice);
  EXPECT_EQ(rows.rows, 6);
  EXPECT_EQ(rows.cols, 12);
  const Conditioner conditioner(config(), data_.weights);
  const std::vector<float> first = conditioner.speaker_row(speaker().embedding);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), rows.values.begin()));
  const std::vector<float> last = conditioner.emotion_row(0.5F);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), rows.values.end() - 12));
}

TEST_F(T3Voice, WithoutAPromptThereAreNoPromptRows) {
  Speaker bare = speaker();
  bare.prompt_codes.clear();
  EXPECT_EQ(itineraries()->voice_of_speaker(std::move(bare)).rows(), 2);
}

TEST_F(T3Voice, OnlyTheEmotionRowFollowsTheEmotion) {
  Speaker other = speaker();
  other.emotion = 1.5F;
  const Voice calm = itineraries()->voice_of_speaker(speaker());
  const Voice eager = itineraries()->voice_of_speaker(std::move(other));
  EXPECT_EQ(*calm.parts[0].vectors, *eager.parts[0].vectors);
  for (std::size_t i = 0; i < 12; ++i)
    EXPECT_FLOAT_EQ(3.0F * calm.parts[1].vectors->at(i), eager.parts[1].vectors->at(i));
}

// A query that attends to rows which are all equal takes their value, whatever its scores.
TEST_F(T3Voice, EqualRowsOfAPromptGiveOneValue) {
  const Conditioner conditioner(config(), data_.weights);
  const std::vector<float> one = conditioner.prompt_rows({3});
  std::vector<float> twice = one;
  twice.insert(twice.end(), one.begin(), one.end());
  const std::vector<float> a = conditioner.perceive(one);
  const std::vector<float> b = conditioner.perceive(twice);
  ASSERT_EQ(a.size(), 4U * 12U);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5F);
}

TEST_F(T3Voice, BadSpeakersNameTheField) {
  const auto refuses = [this](const char* field, auto change) {
    Speaker bad = speaker();
    change(bad);
    return throws_naming<ConfigError>(field,
                                      [&] { itineraries()->voice_of_speaker(std::move(bad)); });
  };
  EXPECT_TRUE(refuses("expected [5], got [4]", [](Speaker& of) { of.embedding.pop_back(); }));
  EXPECT_TRUE(refuses("embedding[1]", [](Speaker& of) { of.embedding[1] = NAN; }));
  EXPECT_TRUE(refuses("at most 6 speech tokens", [](Speaker& of) { of.prompt_codes.resize(7); }));
  EXPECT_TRUE(refuses("prompt codes[2]", [](Speaker& of) { of.prompt_codes[2] = 40; }));
  const std::int32_t bos = config().bos_id;  // no sound, although the table has a row for it
  EXPECT_TRUE(refuses("prompt codes[1]: expected an id in [0, 37], got 38",
                      [bos](Speaker& of) { of.prompt_codes[1] = bos; }));
  EXPECT_TRUE(refuses("prompt_spectrogram: expected none", [](Speaker& of) {
    of.prompt_spectrogram = {2, 80, std::vector<float>(160)};
  }));
  Speaker last = speaker();
  last.prompt_codes[1] = bos - 1;
  EXPECT_EQ(itineraries()->voice_of_speaker(std::move(last)).parts.size(), 2U);
  EXPECT_TRUE(refuses("emotion", [](Speaker& of) { of.emotion = NAN; }));
}

}  // namespace
}  // namespace ttsrt::model::t3
