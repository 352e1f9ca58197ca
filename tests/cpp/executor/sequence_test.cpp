#include "executor/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::Launch;

Request recomputing() {
  Request request = test::small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  return request;
}

class SequenceTest : public ::testing::Test {
 protected:
  test::Sequencer at_;
};

TEST(Deadlines, CountFromTheSubmission) {
  const Clock::time_point now = Clock::now();
  EXPECT_FALSE(is_expired(std::nullopt, now - std::chrono::hours(5), now));
  EXPECT_FALSE(is_expired(2.0, now - std::chrono::seconds(1), now));
  EXPECT_TRUE(is_expired(2.0, now - std::chrono::seconds(3), now));
}

TEST_F(SequenceTest, AFreshOne) {
  const Sequence& sequence = at_.add(test::small_request());
  EXPECT_EQ(sequence.stepwise, 2);
  EXPECT_EQ(sequence.stacks, (std::vector<std::int32_t>{13, 13}));  // the start of speech
  EXPECT_EQ(sequence.steps(), 0);
  EXPECT_EQ(sequence.rows_of(0), 3);
  EXPECT_EQ(sequence.rows_of(1), 3);
  for (std::int32_t stop = 0; stop < 3; ++stop) {
    EXPECT_FALSE(sequence.is_planned(stop));
    EXPECT_FALSE(sequence.is_committed(stop));
  }
  EXPECT_EQ(sequence.mirror, nullptr);
  EXPECT_NE(at_.start(test::prepared(test::small_request(), test::small_model()), true).mirror,
            nullptr);
}

// A first step that isn't fed codes (ids of another table, vectors) leaves a stack of zeros.
TEST_F(SequenceTest, TheFirstStackIsCodesOrZeros) {
  step::RowSource start;
  start.input = step::Input::ids;
  start.rows = 1;
  start.ids = std::make_shared<const std::vector<std::int32_t>>(1, 7);
  const step::Stop decode = test::stop_of(test::kDecode, {start});
  EXPECT_EQ(at_.start(test::request_for({decode})).stacks, (std::vector<std::int32_t>{0, 0}));
}

TEST_F(SequenceTest, ViewsAreCounts) {
  Request request = test::small_request();
  request.cfg_scale = 2.0F;
  request.voice.emplace(1);
  Sequence& sequence = at_.add(request);
  sequence.progress_of(1).planned_rows = 2;
  sequence.prefix_of(2)->planned = 4;
  sequence.slot = 9;
  const SequenceView view = sequence.view();
  EXPECT_EQ(view.slot, 9);
  ASSERT_EQ(view.num_stops, 4);
  EXPECT_EQ(view.stops[0].program, test::kEncodeText);
  EXPECT_EQ(view.stops[0].rows, 3);
  EXPECT_EQ(view.stops[1].program, test::kPrefill);
  EXPECT_EQ(view.stops[1].first, 2);
  EXPECT_EQ(view.stops[1].rows, 5);
  EXPECT_EQ(view.stops[1].follows, 0b1U);
  EXPECT_EQ(view.stops[1].prefix, 0U);
  EXPECT_EQ(view.stops[2].prefix, sequence.prefix_of(2)->id);
  EXPECT_EQ(view.stops[2].first, 4);
  EXPECT_EQ(view.stops[2].rows, 5);
  EXPECT_EQ(view.stops[3].program, test::kDecode);
  EXPECT_EQ(view.stops[3].follows, 0b111U);
  for (std::size_t stop = 0; stop < 4; ++stop) {
    EXPECT_FALSE(view.stops[stop].is_complete);
    EXPECT_TRUE(view.stops[stop].can_go_on);
  }
  sequence.prefix_of(2)->planned = 5;
  EXPECT_TRUE(sequence.view().stops[2].is_complete);
  EXPECT_FALSE(sequence.is_committed(2));
}

// Plans go by what is launched, ends by what is collected.
TEST_F(SequenceTest, StepsArePlannedAheadButNeverBeyondTheLast) {
  Request request = test::small_request();
  request.max_frames = 2;
  Sequence& sequence = at_.add(request);
  const Launch first = at_.launch();
  EXPECT_EQ(sequence.view().stops[2].first, 1);
  EXPECT_FALSE(sequence.view().stops[2].is_complete);
  const Launch second = at_.launch();
  EXPECT_EQ(sequence.planned_steps(), 2);
  EXPECT_EQ(sequence.steps(), 0);
  EXPECT_TRUE(sequence.is_planned(2));
  EXPECT_TRUE(at_.launch().plan.is_empty());
  at_.commit(first);
  EXPECT_FALSE(sequence.end.has_value());
  EXPECT_TRUE(at_.launch().plan.is_empty());
  at_.commit(second);
  EXPECT_EQ(sequence.end, FinishReason::length);
  EXPECT_TRUE(sequence.is_all_committed());
}

TEST_F(SequenceTest, StepsThatEndedAreComplete) {
  Sequence& sequence = at_.add(test::small_request());
  at_.step();
  sequence.steps_end = FinishReason::stop;
  EXPECT_TRUE(sequence.is_planned(2));
  EXPECT_TRUE(sequence.is_committed(2));
  EXPECT_TRUE(sequence.is_all_committed());
}

// Rows that repeat the steps so far are known once those steps are collected: nothing is planned
// behind a step in flight.
TEST_F(SequenceTest, ReplayedRowsWaitForTheCommit) {
  Sequence& sequence = at_.add(recomputing());
  const Launch first = at_.launch();
  EXPECT_EQ(first.plan.items.size(), 3U);
  EXPECT_FALSE(sequence.view().stops[1].can_go_on);
  EXPECT_FALSE(sequence.is_planned(1));
  EXPECT_TRUE(at_.launch().plan.is_empty());
  at_.commit(first);
  EXPECT_TRUE(sequence.view().stops[1].can_go_on);
  EXPECT_EQ(sequence.rows_of(1), 4);
  EXPECT_EQ(sequence.progress_of(1).planned_rows, 0);
  const Launch second = at_.launch();
  ASSERT_EQ(second.plan.items.size(), 2U);
  EXPECT_EQ(second.plan.items[0].rows, 4);
  EXPECT_EQ(second.plan.items[1].first, 1);
  at_.commit(second, 0, 0);
  EXPECT_EQ(sequence.end, FinishReason::stop);
}

TEST_F(SequenceTest, OthersStepOnWhileAReplayWaits) {
  at_.add(recomputing());
  const Sequence& other = at_.add(test::small_request());
  const Launch first = at_.launch();
  const Launch second = at_.launch();
  ASSERT_EQ(second.plan.items.size(), 1U);
  EXPECT_EQ(second.plan.items[0].slot, other.slot);
}

TEST_F(SequenceTest, ARequestTellsWhereItStands) {
  at_.facts.max_rows = 3;
  Request request = test::small_request();
  request.voice.emplace(1);
  Sequence& sequence = at_.add(request);
  RequestStats stats = sequence.stats(at_.site);
  EXPECT_EQ(stats.id, 1U);
  EXPECT_EQ(stats.stage, RequestStage::encoder_in_progress);
  EXPECT_EQ(stats.context_prefill_position, 0);
  EXPECT_TRUE(stats.paused && !stats.scheduled);
  at_.step();  // the text, and three rows of the context
  stats = sequence.stats(at_.site);
  EXPECT_EQ(stats.stage, RequestStage::context_in_progress);
  EXPECT_EQ(stats.context_prefill_position, 3);
  EXPECT_TRUE(stats.scheduled && !stats.paused);
  EXPECT_EQ(stats.num_generated_tokens, 0);
  at_.step();
  stats = sequence.stats(at_.site);
  EXPECT_EQ(stats.stage, RequestStage::generation_in_progress);
  EXPECT_EQ(stats.context_prefill_position, 5);
  EXPECT_EQ(stats.num_generated_tokens, 2);
}

// Replayed rows are no context, and the rows that are replayed don't take it back.
TEST_F(SequenceTest, AReplayKeepsItsPrefillPosition) {
  Sequence& sequence = at_.add(recomputing());
  at_.step();
  at_.step();
  EXPECT_EQ(sequence.stats(at_.site).context_prefill_position, 3);
}

TEST_F(SequenceTest, FramesLieBehindTheFirstStack) {
  at_.facts.frame_stacking = 2;
  const Sequence& sequence = at_.add(test::small_request());
  EXPECT_TRUE(frames_of(sequence, 2, 0, 0).values.empty());
  EXPECT_EQ(frames_of(sequence, 2, 0, 0).cols, 2);
  at_.step(0);
  at_.step(4);
  const Matrix<std::int32_t> frames = frames_of(sequence, 2, 1, 2);
  EXPECT_EQ(frames.rows, 2);
  EXPECT_EQ(frames.values, (std::vector<std::int32_t>{2, 3, 4, 5}));
}

// Segments point into the stacks until their launch is collected.
TEST_F(SequenceTest, StacksStayWhereTheyAre) {
  Request request = test::small_request();
  request.return_alignment = true;
  const Sequence& sequence = at_.add(request);
  const std::int32_t* stacks = sequence.stacks.data();
  while (!sequence.end.has_value()) at_.step();
  EXPECT_EQ(sequence.steps(), 20);
  EXPECT_EQ(sequence.stacks.data(), stacks);
  EXPECT_EQ(sequence.stacks.size(), 42U);
}

// A codec behind decode.
class FollowingTest : public ::testing::Test {
 protected:
  // First row and rows of the codec in each launch of a request of six steps, with `depth` launches
  // in flight, and codec frames that were committed when it was planned.
  struct Chunk {
    std::int32_t first = 0;
    std::int32_t rows = 0;
    std::int32_t frames = 0;
    bool operator==(const Chunk&) const = default;
  };

  std::vector<Chunk> follow(std::int32_t frames_ahead, std::size_t depth) {
    const Sequence& sequence = at_.start(test::sound_request(6, frames_ahead));
    std::vector<Chunk> chunks;
    std::vector<Launch> flights;
    for (int i = 0; i < 40 && !sequence.end.has_value(); ++i) {
      while (flights.size() < depth) {
        Launch launched = at_.launch();
        if (launched.plan.is_empty()) break;
        for (const step::PlanItem& item : launched.plan.items) {
          if (item.program == test::kSoundCodec)
            chunks.push_back({item.first, item.rows, sequence.frames});
        }
        flights.push_back(std::move(launched));
      }
      at_.commit(flights.front());
      flights.erase(flights.begin());
    }
    EXPECT_EQ(sequence.end, FinishReason::length);
    EXPECT_TRUE(flights.empty());
    return chunks;
  }

  test::Sequencer at_{test::small_facts(), test::sound_programs()};
};

TEST_F(FollowingTest, OneFrameBehindTheOther) {
  EXPECT_EQ(follow(0, 1),
            (std::vector<Chunk>{{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 1, 4}, {4, 1, 5}, {5, 1, 6}}));
}

TEST_F(FollowingTest, FramesAheadAndTheRestAtTheEnd) {
  EXPECT_EQ(follow(3, 1), (std::vector<Chunk>{{0, 1, 4}, {1, 1, 5}, {2, 4, 6}}));
  EXPECT_EQ(follow(9, 1), (std::vector<Chunk>{{0, 6, 6}}));
}

// With two launches in flight the codec is a launch later, and no frame is read twice or before it
// is there.
TEST_F(FollowingTest, BehindTwoLaunchesInFlight) {
  std::int32_t next = 0;
  for (const Chunk& chunk : follow(1, 2)) {
    EXPECT_EQ(chunk.first, next);
    next += chunk.rows;
    EXPECT_LE(next, chunk.frames == 6 ? 6 : chunk.frames - 1);
  }
  EXPECT_EQ(next, 6);
}

TEST_F(FollowingTest, AChunkIsCutWhereTheRowsEnd) {
  at_.facts.max_rows = 4;
  EXPECT_EQ(follow(9, 1), (std::vector<Chunk>{{0, 4, 6}, {4, 2, 6}}));
}

TEST_F(FollowingTest, ItIsCompleteOnceTheStepsHaveEnded) {
  Sequence& sequence = at_.start(test::sound_request(6, 0));
  at_.step();
  at_.step();
  EXPECT_EQ(sequence.rows_of(2), 2);
  EXPECT_EQ(sequence.progress_of(2).committed_rows, 1);
  EXPECT_FALSE(sequence.view().stops[2].is_final);
  sequence.progress_of(2) = {2, 2, 0, 0};
  EXPECT_FALSE(sequence.is_planned(2));
  EXPECT_FALSE(sequence.is_committed(2));
  sequence.steps_end = FinishReason::stop;
  EXPECT_TRUE(sequence.view().stops[2].is_final);
  EXPECT_TRUE(sequence.is_planned(2));
  EXPECT_TRUE(sequence.is_committed(2));
}

// Evaluations of a whole Program, packed over requests, with and without pauses.
class FlowTest : public ::testing::Test {
 protected:
  static std::vector<std::pair<std::int32_t, std::int32_t>> rows_of(const Launch& launched,
                                                                    std::int32_t program) {
    std::vector<std::pair<std::int32_t, std::int32_t>> rows;
    for (const step::PlanItem& item : launched.plan.items) {
      if (item.program == program) rows.emplace_back(item.slot, item.rows);
    }
    return rows;
  }
  // Commits with a vocoder that gives one sample per row.
  void commit(const Launch& launched) {
    step::StepOutput output;
    const auto rows = static_cast<std::size_t>(launched.batch.programs[test::kVocoder].rows);
    output.rows.push_back({test::kVocoder, 1, std::vector<float>(rows, 0.5F)});
    at_.commit(launched, output);
  }

  test::Sequencer at_{test::small_facts(), test::flow_programs(4)};
};

using Rows = std::vector<std::pair<std::int32_t, std::int32_t>>;

TEST_F(FlowTest, EvaluationsArePackedOverRequests) {
  const Sequence& first = at_.start(test::flow_request(4, 3));
  Launch launched = at_.launch();
  EXPECT_EQ(rows_of(launched, test::kFlow), (Rows{{0, 4}}));
  EXPECT_TRUE(rows_of(launched, test::kVocoder).empty());
  commit(launched);
  EXPECT_EQ(first.progress_of(1).committed_repeats, 1);
  const Sequence& second = at_.start(test::flow_request(2, 2));
  launched = at_.launch();  // the second evaluation of one beside the first of the other
  EXPECT_EQ(rows_of(launched, test::kFlow), (Rows{{0, 4}, {1, 2}}));
  EXPECT_TRUE(rows_of(launched, test::kVocoder).empty());
  commit(launched);
  launched = at_.launch();
  EXPECT_EQ(rows_of(launched, test::kFlow), (Rows{{0, 4}, {1, 2}}));
  EXPECT_EQ(rows_of(launched, test::kVocoder), (Rows{{0, 4}, {1, 2}}));
  commit(launched);
  EXPECT_EQ(first.end, FinishReason::stop);
  EXPECT_EQ(second.end, FinishReason::stop);
  EXPECT_EQ(first.samples.size(), 4U);
  EXPECT_EQ(second.samples.size(), 2U);
  EXPECT_EQ(first.steps(), 0);
}

TEST_F(FlowTest, EvaluationsAreLaunchedAhead) {
  const Sequence& sequence = at_.start(test::flow_request(4, 2));
  const Launch first = at_.launch();
  const Launch second = at_.launch();
  EXPECT_EQ(rows_of(second, test::kFlow), (Rows{{0, 4}}));
  EXPECT_EQ(rows_of(second, test::kVocoder), (Rows{{0, 4}}));
  EXPECT_TRUE(at_.launch().plan.is_empty());
  EXPECT_EQ(sequence.progress_of(1).planned_repeats, 2);
  EXPECT_EQ(sequence.progress_of(1).committed_repeats, 0);
  commit(first);
  EXPECT_FALSE(sequence.end.has_value());
  commit(second);
  EXPECT_EQ(sequence.end, FinishReason::stop);
}

// An evaluation that pauses between two parts goes on with the same rows, and counts once. Ten rows
// fit the slice; another request decodes.
TEST(FlowPauses, ARequestThatComesWaitsForTheNextEvaluation) {
  std::vector<step::ProgramInfo> programs = test::flow_programs(4, step::Emits::nothing);
  programs.push_back({.name = "decode", .pace = step::Pace::stepwise});
  test::Sequencer at(test::small_facts(), programs);
  at.budget.seconds = 1.0;
  at.budget.row_seconds.assign(programs.size(), 0.1);
  step::Stop decode = test::stop_of(3, {test::code_row(2, 13)});
  decode.repeats = 50;
  at.start(test::request_for({decode}));
  const Sequence& first = at.start(test::flow_request(5, 2));
  using Part = std::vector<std::int32_t>;  // first, last, rows, evaluations of the first launched
  std::vector<Part> parts;
  for (int i = 0; i < 7; ++i) {
    const Launch launched = at.launch();
    const step::RowBatch& rows = launched.batch.programs[test::kFlow];
    parts.push_back({rows.first_part, std::min(rows.last_part, 4), rows.rows,
                     first.progress_of(1).planned_repeats});
    EXPECT_EQ(launched.batch.programs[3].rows, 1);
    EXPECT_EQ(first.progress_of(1).committed_repeats, i < 3 ? 0 : 1);
    at.commit(launched);
    if (i == 0) at.start(test::flow_request(5, 2));
  }
  EXPECT_EQ(parts, (std::vector<Part>{{0, 1, 5, 0},
                                      {1, 2, 5, 0},
                                      {2, 4, 5, 1},
                                      {0, 1, 10, 1},
                                      {1, 2, 10, 1},
                                      {2, 3, 10, 1},
                                      {3, 4, 10, 2}}));
  EXPECT_EQ(first.end, FinishReason::stop);
  EXPECT_EQ(at.slots[2]->progress_of(1).committed_repeats, 1);
}

}  // namespace
}  // namespace ttsrt::executor
