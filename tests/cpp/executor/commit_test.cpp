#include "executor/commit.h"

#include <gtest/gtest.h>

#include "executor/batch_builder.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

class Commit : public ::testing::Test {
 protected:
  Commit() { at_.facts.frame_stacking = 2; }

  // One launch in which each draw gives codes counted from `first` on. `end_frame` is the first
  // draw's.
  std::int64_t step(std::int32_t first, std::int32_t end_frame = -1) {
    const step::StepPlan plan = at_.plan();
    step::StepBatch batch;
    build_batch(plan, at_.running, at_.facts, batch);
    step::StepOutput output;
    output.max_text_len = at_.facts.max_text_len;
    for (const step::Draw& draw : batch.of(step::RowClass::decode).draws) {
      output.draws.push_back({draw.slot, output.draws.empty() ? end_frame : -1, 1});
      for (std::int32_t c = 0; c < at_.facts.stack_codes(); ++c) output.codes.push_back(first + c);
      for (std::int32_t j = 0; j < output.max_text_len; ++j)
        output.scores.push_back(static_cast<float>(first * 10 + j));
    }
    return commit(plan, batch, output, at_.running, at_.facts);
  }

  static std::optional<Event> next(Sequence& sequence) {
    bool timed_out = false;
    return sequence.channel->next(0.0, timed_out);
  }

  test::Sequencer at_;
};

TEST_F(Commit, FramesComeOutOfStacks) {
  Sequence& sequence = at_.add(test::small_request());
  EXPECT_EQ(step(0), 2);
  EXPECT_TRUE(sequence.is_text_done);
  EXPECT_EQ(sequence.conditional_done, 3);
  EXPECT_EQ(sequence.steps, 1);
  const std::optional<Event> event = next(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->first_frame, 0);
  EXPECT_FALSE(event->is_last);
  EXPECT_EQ(event->codes.rows, 2);
  EXPECT_EQ(event->codes.values, (std::vector<std::int32_t>{0, 1, 2, 3}));
  step(4);
  EXPECT_EQ(next(sequence)->first_frame, 2);
  EXPECT_EQ(unstack(sequence, 2, 2, 1, 2).values, (std::vector<std::int32_t>{2, 3, 4, 5}));
}

TEST_F(Commit, EventsGatherFrames) {
  Request request = test::small_request();
  request.chunk_frames = 5;
  Sequence& sequence = at_.add(request);
  step(0);
  step(0);
  EXPECT_FALSE(next(sequence).has_value());
  step(0);
  EXPECT_EQ(next(sequence)->codes.rows, 6);
}

TEST_F(Commit, TheEndFrameIsDropped) {
  Sequence& sequence = at_.add(test::small_request());
  step(0);
  EXPECT_EQ(step(4, 1), 1);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.frames, 3);
}

TEST_F(Commit, LengthEndsAtTheLastStack) {
  Request request = test::small_request();
  request.max_frames = 4;
  Sequence& sequence = at_.add(request);
  step(0);
  EXPECT_FALSE(sequence.end.has_value());
  step(0);
  EXPECT_EQ(sequence.end, FinishReason::length);
}

TEST_F(Commit, OthersGoOn) {
  Sequence& first = at_.add(test::small_request());
  Sequence& second = at_.add(test::small_request());
  EXPECT_EQ(step(0, 0), 2);
  EXPECT_EQ(first.end, FinishReason::stop);
  EXPECT_EQ(first.frames, 0);
  EXPECT_FALSE(second.end.has_value());
  EXPECT_EQ(second.frames, 2);
}

TEST_F(Commit, FinishTellsTheWhole) {
  Request request = test::small_request();
  request.return_alignment = true;
  request.chunk_frames = 100;
  Sequence& sequence = at_.add(request);
  sequence.started = Clock::now();
  step(0);
  step(4);
  finish(sequence, FinishReason::cancelled, "why", at_.facts);
  const std::optional<Event> last = next(sequence);
  EXPECT_TRUE(last->is_last);
  EXPECT_EQ(last->finish_reason, FinishReason::cancelled);
  EXPECT_EQ(last->codes.rows, 4);
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.codes.values, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_EQ(result.error, "why");
  EXPECT_EQ(result.alignment.rows, 2);
  EXPECT_EQ(result.alignment.cols, 3);
  EXPECT_EQ(result.alignment.values, (std::vector<float>{0, 1, 2, 40, 41, 42}));
  EXPECT_EQ(result.focus, (std::vector<std::int32_t>{1, 1}));
  EXPECT_EQ(result.metrics.steps, 2);
  EXPECT_GE(result.metrics.total_seconds, result.metrics.first_frame_seconds);
  EXPECT_DOUBLE_EQ(result.metrics.real_time_factor, result.metrics.frames_per_second / 20.0);
}

TEST_F(Commit, FinishOfOneThatMadeNothing) {
  Sequence& sequence = at_.add(test::small_request());
  finish(sequence, FinishReason::deadline, "", at_.facts);
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_TRUE(result.alignment.empty());
  EXPECT_EQ(result.metrics.steps, 0);
  EXPECT_EQ(result.metrics.first_frame_seconds, 0.0);
}

}  // namespace
}  // namespace ttsrt::executor
