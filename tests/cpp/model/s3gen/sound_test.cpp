// What becomes of speech tokens that are given or drawn: all at once, in chunks, and in the rounds
// of a long text.
#include "model/s3gen/sound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "model/normal_rows.h"
#include "support/s3gen_models.h"

namespace ttsrt::model::s3gen {
namespace {

class S3GenSound : public S3GenRequests {};

// Each chunk sees all tokens before it and three behind it, and keeps its own frames.
TEST_F(S3GenSound, ChunksAreSolvedOneAfterTheOther) {
  const step::Itinerary itinerary =
      of(in_chunks(usual({1, 2, 3, 4, 8, 9, 10, 11, 12}), {2, 4}), 3, 7);
  const Ids ends[] = {{5, 5, 5, 1, 2, 3, 4, 8},
                      {5, 5, 5, 1, 2, 3, 4, 8, 9, 10, 11, 12},
                      {5, 5, 5, 1, 2, 3, 4, 8, 9, 10, 11, 12}};
  const std::int32_t firsts[] = {7, 10, 18}, counts[] = {3, 8, 6};
  for (std::int32_t chunk = 0; chunk < 3; ++chunk) {
    const std::vector<step::Stop> part = part_of(itinerary, chunk);
    EXPECT_EQ(*part[kEncode].rows[0].ids, ends[chunk]);
    EXPECT_EQ(part[kSpectrogram].rows[0].kept_offset, firsts[chunk]);
    EXPECT_EQ(part[kSpectrogram].rows[0].rows, counts[chunk]);
  }
  EXPECT_TRUE(part_of(itinerary, 3).empty());
}

// The noise of a frame is that of its place, whatever is integrated with it.
TEST_F(S3GenSound, AHistoryBoundsWhatAChunkSees) {
  const Request request = usual({1, 2, 3, 4, 8, 9, 10, 11, 12});
  const step::Itinerary whole = of(request);
  const step::Itinerary bounded = of(in_chunks(Request(request), {4}, 1));
  const std::vector<step::Stop> part = part_of(bounded, 1);
  EXPECT_EQ(*part[kEncode].rows[0].ids, (Ids{5, 5, 5, 4, 8, 9, 10, 11, 12}));
  EXPECT_EQ(part[kSpectrogram].rows[0].kept_offset, 6 + 2);
  EXPECT_EQ(part[kSpectrogram].rows[0].rows, 8);
  const std::vector<step::Stop> only = part_of(whole, 0);
  const std::vector<float>& all = *only[kNoise].rows[0].vectors;
  const std::vector<float>& some = *part[kNoise].rows[0].vectors;
  const auto prompt = some.begin() + 6 * 6;  // frames of mel bins; behind it are three tokens less
  EXPECT_TRUE(std::equal(some.begin(), prompt, all.begin()));
  EXPECT_TRUE(std::equal(prompt, some.end(), all.begin() + 2 * 6 * 6));
}

// What was drawn so far is enough for a chunk once three tokens stand behind it.
TEST_F(S3GenSound, ChunksOfCodesThatAreDrawnBeginEarly) {
  const auto site = std::make_shared<const SoundSite>(SoundSite{config_, defaults_, 16, 40, 2, 5});
  SoundRequest request;
  request.voice = std::make_shared<const Voice>(itineraries_->voice_of_speaker(speaker(1, 2)));
  request.times = {0.0F, 1.0F};
  request.has_audio = false;
  request.has_spectrogram = true;
  request.hops = {2};
  std::vector<step::Stop> stops(3);
  const Sound sound(site, std::move(request), stops);
  ASSERT_EQ(stops.size(), 5U);
  EXPECT_EQ(stops[3].program, 2 + kSpeakerProgram);
  const Ids ids = {1, 2, 60, 3, 4, 6, 51, 9};
  const std::int32_t all = 6;
  const auto part = [&](std::int32_t index, std::int32_t count, bool is_over) {
    return sound.stops(index, 5, {ids.data(), count, &all, is_over ? 1 : 0, is_over});
  };
  EXPECT_FALSE(part(0, 5, false).has_value());  // one of them is no sound
  ASSERT_TRUE(part(0, 6, false).has_value());
  const std::vector<step::Stop> first = *part(0, 6, false);
  EXPECT_EQ(*first[kEncode].rows[0].ids, (Ids{5, 1, 2, 3, 4, 6}));
  EXPECT_EQ(first[kFlow].rows[0].kept_offset, 5);
  EXPECT_EQ(first[kNoise].rows[0].kept_offset, 5);
  EXPECT_EQ(first[kSpectrogram].rows[0].kept_offset, 5 + 2);
  EXPECT_EQ(first[kFlow].follows, (Ids{5, 6, 8, 3, 4}));
  EXPECT_FALSE(part(1, 8, false).has_value());
  EXPECT_EQ(part(1, 6, true)->size(), 6U);
  EXPECT_EQ(part(2, 6, true)->size(), 6U);
  EXPECT_TRUE(part(3, 6, true)->empty());
}

// Rounds of a long text have sounds of their own, with other noise.
TEST_F(S3GenSound, RoundsHaveTheirOwnSound) {
  const auto site = std::make_shared<const SoundSite>(SoundSite{config_, defaults_, 16, 40, 2, 0});
  SoundRequest request;
  request.voice = std::make_shared<const Voice>(itineraries_->voice_of_speaker(speaker(0, 0)));
  request.times = {0.0F, 1.0F};
  request.has_audio = false;
  request.has_spectrogram = true;
  request.seed = 3;
  std::vector<step::Stop> stops;
  const Sound sound(site, std::move(request), stops);
  const Ids ids = {1, 2, 3, 60, 4, 5};
  const Ids rounds = {3, 1, 2};
  const auto part = [&](std::int32_t index, std::int32_t over) {
    return sound.stops(index, 2, {ids.data(), 6, rounds.data(), over, over == 3});
  };
  EXPECT_FALSE(part(0, 0).has_value());
  EXPECT_EQ(*(*part(0, 1))[kEncode].rows[0].ids, (Ids{1, 2, 3}));
  EXPECT_FALSE(part(1, 2).has_value());  // the second round has no sound
  EXPECT_EQ(*(*part(1, 3))[kEncode].rows[0].ids, (Ids{4, 5}));
  EXPECT_TRUE(part(2, 3)->empty());
  const auto noise = [&](std::int32_t index) { return *(*part(index, 3))[kNoise].rows[0].vectors; };
  const std::vector<float> later = normal_rows(rules::DrawKind::flow_noise, 5, 0, 4, 6);
  EXPECT_EQ(noise(1), later);
  EXPECT_NE(noise(0)[0], later[0]);
}

TEST_F(S3GenSound, OnlySoundIsKeptOfWhatWasDrawn) {
  Config config;
  config.vocab = 50;
  EXPECT_EQ(sound_ids({3, 50, 4, 70, 5, 51, 6}, config), (Ids{4, 5}));
  EXPECT_EQ(sound_ids({3, 50, 4}, config), (Ids{4}));
  EXPECT_EQ(sound_ids({3, 51, 4}, config), (Ids{3}));
  EXPECT_EQ(sound_ids({51, 3, 50, 4}, config), (Ids{}));
  EXPECT_EQ(sound_ids({50, 51}, config), (Ids{}));
  EXPECT_EQ(sound_ids({3, 50, 4, 70, 5, 51, 6}, config, true), (Ids{3, 4, 5}));
  config.is_meanflow = true;
  EXPECT_EQ(sound_ids({3, 50, 4, 70, 5, 51, 6}, config), (Ids{3, 4, 5, 6}));
}

}  // namespace
}  // namespace ttsrt::model::s3gen
