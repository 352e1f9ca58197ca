// What follows the codes of a request, and windows of items: what is launched of them, in which
// order, and what becomes their result.
#include "executor/sequel.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::Launch;
using test::stop_of;
using test::zero_rows;
using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kDecode = 0;
constexpr std::int32_t kSound = 1;

std::vector<step::ProgramInfo> programs() {
  return {{.name = "decode", .pace = step::Pace::stepwise, .uses_cache = true},
          {.name = "sound", .num_parts = 2, .emits = step::Emits::samples}};
}

// A part for every two codes, and one for what is left, each of as many rows.
class Pairs final : public step::Sequel {
 public:
  std::optional<std::vector<step::Stop>> stops(std::int32_t part, std::int32_t first_stop,
                                               const step::CodesSoFar& codes) const override {
    const std::int32_t begin = 2 * part;
    const std::int32_t count = std::min(codes.count - begin, 2);
    asked.emplace_back(codes.ids, codes.ids + codes.count);
    rounds = codes.rounds;
    if (codes.are_all && count <= 0) return std::vector<step::Stop>{};
    if (!codes.are_all && count < 2) return std::nullopt;
    EXPECT_EQ(first_stop, 1);
    return std::vector<step::Stop>{stop_of(kSound, {zero_rows(count)})};
  }

  mutable std::vector<Ids> asked;
  mutable std::int32_t rounds = 0;
};

PreparedRequest request(std::shared_ptr<const step::Sequel> sequel, std::int32_t steps) {
  step::Stop decode = stop_of(kDecode, {test::code_row(1, 13)});
  decode.repeats = steps;
  PreparedRequest made = test::request_for({decode});
  made.itinerary.sequel = std::move(sequel);
  return made;
}

step::Facts one_code() {
  step::Facts facts = test::small_facts();
  facts.codebooks = 1;
  facts.frame_stacking = 1;
  facts.max_rows = 64;
  return facts;
}

class SequelTest : public ::testing::Test {
 protected:
  // A launch, whose step draws a code and whose rows become samples counted on.
  Launch step(std::int32_t code) {
    Launch launched = at_.launch();
    step::StepOutput output = test::output_of(launched.batch, at_.facts, code);
    const std::int32_t rows = launched.batch.programs[kSound].rows;
    if (rows > 0 && !launched.plan.pauses_in(kSound)) {
      output.rows.push_back({kSound, 1, {}});
      for (std::int32_t i = 0; i < rows; ++i) output.rows.back().values.push_back(next_sample_++);
    }
    at_.commit(launched, output);
    return launched;
  }

  test::Sequencer at_{one_code(), programs()};
  float next_sample_ = 0.0F;
};

TEST_F(SequelTest, PartsBeginAsSoonAsTheirCodesAreThereWhileStepsGoOn) {
  const auto pairs = std::make_shared<const Pairs>();
  Sequence& sequence = at_.start(request(pairs, 5));
  EXPECT_FALSE(begin_part(sequence));
  step(0);
  EXPECT_FALSE(begin_part(sequence));
  EXPECT_EQ(sequence.progress.size(), 1U);
  step(1);
  EXPECT_FALSE(begin_part(sequence));
  ASSERT_EQ(sequence.progress.size(), 2U);
  EXPECT_EQ(pairs->asked.back(), (Ids{0, 1}));
  Launch launched = step(2);
  EXPECT_EQ(launched.batch.programs[kSound].rows, 2);
  EXPECT_EQ(launched.batch.programs[kDecode].rows, 1);
  EXPECT_EQ(sequence.samples, (std::vector<float>{0, 1}));
  EXPECT_FALSE(begin_part(sequence));  // three codes are no two pairs
  step(3);
  begin_part(sequence);
  step(4);
  EXPECT_EQ(sequence.steps_end, FinishReason::length);
  EXPECT_FALSE(sequence.end.has_value());
  EXPECT_FALSE(begin_part(sequence));  // the last code, alone
  EXPECT_EQ(pairs->rounds, 1);
  launched = step(5);
  EXPECT_EQ(launched.batch.programs[kSound].rows, 1);
  EXPECT_EQ(sequence.samples.size(), 5U);
  EXPECT_FALSE(end_if_complete(sequence));
  EXPECT_TRUE(begin_part(sequence));
  EXPECT_FALSE(begin_part(sequence));  // it is said once
  EXPECT_TRUE(end_if_complete(sequence));
  EXPECT_EQ(sequence.end, FinishReason::length);
}

TEST_F(SequelTest, NoPartBeginsBeforeTheOneInFrontHasRun) {
  at_.budget.seconds = 1.0;
  at_.budget.row_seconds = {0.0, 1.0};  // a part of the Program in each launch
  const auto pairs = std::make_shared<const Pairs>();
  Sequence& sequence = at_.start(request(pairs, 8));
  step(0);
  step(1);
  begin_part(sequence);
  Launch launched = step(2);
  ASSERT_TRUE(launched.plan.pauses_in(kSound));
  const std::size_t asked = pairs->asked.size();
  begin_part(sequence);
  EXPECT_EQ(pairs->asked.size(), asked);
  launched = step(3);
  EXPECT_FALSE(launched.plan.pauses_in(kSound));
  begin_part(sequence);
  EXPECT_EQ(pairs->asked.size(), asked + 1);
  EXPECT_EQ(sequence.part, 2);
}

TEST_F(SequelTest, StreamsHaveNoCodesBeforeTheirSound) {
  Sequence& sequence = at_.start(request(std::make_shared<const Pairs>(), 4));
  step(7);
  EXPECT_FALSE(test::next_event_of(sequence).has_value());
  step(8);
  begin_part(sequence);
  step(9);
  const std::optional<Event> event = test::next_event_of(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->audio.size(), 2U);
  EXPECT_EQ(event->codes.values, (Ids{7, 8, 9}));
}

class Stuck final : public step::Sequel {
 public:
  std::optional<std::vector<step::Stop>> stops(std::int32_t, std::int32_t,
                                               const step::CodesSoFar&) const override {
    return std::nullopt;
  }
};

TEST_F(SequelTest, APartThatWaitsForNoCodesIsAMistakeOfTheFamily) {
  Sequence& sequence = at_.start(request(std::make_shared<const Stuck>(), 1));
  EXPECT_FALSE(begin_part(sequence));
  step(0);
  EXPECT_TRUE(test::throws_naming<InternalError>("part 0 waits for more codes",
                                                 [&] { begin_part(sequence); }));
}

// Rows 2 to 6 of 8 in two windows, each of which sees a row more on each side.
step::Stop in_windows() {
  step::Stop stop = stop_of(kSound, {zero_rows(8)});
  stop.repeats = 2;
  stop.windows = std::make_shared<const std::vector<step::Window>>(
      std::vector<step::Window>{{1, 4, 1, 2}, {3, 5, 1, 3}});
  return stop;
}

TEST_F(SequelTest, EachLaunchRunsAWindowAndKeepsItsOwnRows) {
  Sequence& sequence = at_.start(test::request_for({in_windows()}));
  Launch launched = step(0);
  ASSERT_EQ(launched.batch.programs[kSound].segments.size(), 1U);
  EXPECT_EQ(launched.batch.programs[kSound].segments[0].position, 1);
  EXPECT_EQ(launched.batch.programs[kSound].segments[0].rows, 4);
  EXPECT_EQ(sequence.samples, (std::vector<float>{1, 2}));
  EXPECT_FALSE(sequence.end.has_value());
  launched = step(0);
  EXPECT_EQ(launched.batch.programs[kSound].segments[0].position, 3);
  EXPECT_EQ(launched.batch.programs[kSound].segments[0].rows, 5);
  EXPECT_EQ(sequence.samples, (std::vector<float>{1, 2, 5, 6, 7}));
  EXPECT_EQ(sequence.end, FinishReason::stop);
}

// What is heard of it counts, in seconds of its samples.
TEST_F(SequelTest, WindowsTellHowFarAheadOfAListenerTheyAre) {
  at_.facts.sample_rate = 1;
  Sequence& sequence = at_.start(test::request_for({in_windows()}));
  EXPECT_EQ(sequence.view().stops[0].lead, StopView::kUnheard);
  step(0);
  EXPECT_NEAR(sequence.view().stops[0].lead, 2.0, 0.5);
}

TEST_F(SequelTest, WindowsOfSeveralRequestsShareALaunch) {
  const Sequence& first = at_.start(test::request_for({in_windows()}));
  const Sequence& second = at_.start(test::request_for({in_windows()}));
  EXPECT_EQ(step(0).batch.programs[kSound].rows, 8);
  EXPECT_EQ(first.samples, (std::vector<float>{1, 2}));
  EXPECT_EQ(second.samples, (std::vector<float>{5, 6}));
}

TEST_F(SequelTest, WindowsBeyondTheirRowsAreMistakes) {
  const auto refuses = [](step::Window window) {
    step::Itinerary itinerary;
    itinerary.stops = {in_windows()};
    itinerary.stops[0].repeats = 1;
    itinerary.stops[0].windows =
        std::make_shared<const std::vector<step::Window>>(std::vector<step::Window>{window});
    return test::throws_naming<InternalError>("windows of 8 rows are malformed",
                                              [&] { check_stops(itinerary); });
  };
  EXPECT_TRUE(refuses({5, 4, 0, 1}));
  EXPECT_TRUE(refuses({-1, 4, 0, 1}));
  EXPECT_TRUE(refuses({0, 4, 3, 2}));
  EXPECT_TRUE(refuses({0, 0, 0, 0}));
}

}  // namespace
}  // namespace ttsrt::executor
