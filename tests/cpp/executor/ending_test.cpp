#include "executor/ending.h"

#include <gtest/gtest.h>

#include <utility>

#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::next_event_of;

class Ending : public ::testing::Test {
 protected:
  test::Sequencer at_;
};

TEST_F(Ending, TellsTheWhole) {
  at_.facts.frame_stacking = 2;
  Request request = test::small_request();
  request.return_alignment = true;
  request.chunk_frames = 100;
  Sequence& sequence = at_.add(request);
  for (const std::int32_t first : {0, 4}) {
    const test::Launch launched = at_.launch();
    step::StepOutput output = test::output_of(launched.batch, at_.facts, first);
    output.draws[0].focus = 1;
    at_.commit(launched, output);
  }
  end(sequence, FinishReason::cancelled, "why", at_.facts);
  const std::optional<Event> last = next_event_of(sequence);
  EXPECT_TRUE(last->is_last);
  EXPECT_EQ(last->finish_reason, FinishReason::cancelled);
  EXPECT_EQ(last->first_frame, 0);
  EXPECT_EQ(last->codes.rows, 4);
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.codes.values, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.error, "why");
  EXPECT_EQ(result.alignment.rows, 2);
  EXPECT_EQ(result.alignment.cols, 3);
  EXPECT_EQ(result.alignment.values, (std::vector<float>{0, 1, 2, 40, 41, 42}));
  EXPECT_EQ(result.focus, (std::vector<std::int32_t>{1, 1}));
  EXPECT_EQ(result.metrics.steps, 2);
  EXPECT_GE(result.metrics.first_frame_seconds, result.metrics.queue_seconds);
  EXPECT_GE(result.metrics.total_seconds, result.metrics.first_frame_seconds);
  EXPECT_DOUBLE_EQ(result.metrics.x_real_time, result.metrics.frames_per_second / 20.0);
  EXPECT_DOUBLE_EQ(result.metrics.rtf, result.metrics.total_seconds / (4 / 20.0));
  EXPECT_TRUE(result.audio.empty() && result.spectrogram.empty());
  EXPECT_EQ(result.sample_rate, 0);
}

// Frames that events have told already aren't told twice.
TEST_F(Ending, TheLastEventIsWhatIsLeft) {
  Sequence& sequence = at_.add(test::small_request());
  at_.step(0);
  ASSERT_TRUE(next_event_of(sequence).has_value());
  end(sequence, FinishReason::length, "", at_.facts);
  const std::optional<Event> last = next_event_of(sequence);
  EXPECT_EQ(last->codes.rows, 0);
  EXPECT_EQ(last->codes.cols, 2);
  EXPECT_EQ(last->first_frame, 1);
  EXPECT_FALSE(next_event_of(sequence).has_value());
  EXPECT_EQ(sequence.channel->result(0.0)->codes.rows, 1);
}

TEST_F(Ending, OfOneThatMadeNothing) {
  Sequence& sequence = at_.add(test::small_request());
  end(sequence, FinishReason::deadline, "", at_.facts);
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_TRUE(result.alignment.empty());
  EXPECT_EQ(result.alignment.cols, 3);
  EXPECT_EQ(result.metrics.steps, 0);
  EXPECT_EQ(result.metrics.first_frame_seconds, 0.0);
}

TEST_F(Ending, OfOneThatNeverRan) {
  at_.facts.sample_rate = 22050;
  Pending pending;
  pending.request = test::prepared(test::small_request(), test::small_model());
  pending.channel = make_channel(1);
  pending.submitted = Clock::now() - std::chrono::seconds(2);
  const std::shared_ptr<Channel> channel = pending.channel;
  end(std::move(pending), FinishReason::error, "why", at_.facts);
  bool timed_out = false;
  const std::optional<Event> last = channel->next(0.0, timed_out);
  ASSERT_TRUE(last.has_value());
  EXPECT_TRUE(last->is_last);
  EXPECT_EQ(last->finish_reason, FinishReason::error);
  EXPECT_EQ(last->codes.cols, 2);
  const Result result = *channel->result(0.0);
  EXPECT_EQ(result.finish_reason, FinishReason::error);
  EXPECT_EQ(result.error, "why");
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_EQ(result.codes.cols, 2);
  EXPECT_EQ(result.alignment.cols, 3);
  EXPECT_EQ(result.sample_rate, 22050);
  EXPECT_GE(result.metrics.queue_seconds, 2.0);
  EXPECT_EQ(result.metrics.queue_seconds, result.metrics.total_seconds);
}

// Sound and spectrograms reach the last event as far as events have not told them, and the result
// as a whole.
TEST_F(Ending, SoundAndSpectrogramAreTheResults) {
  at_.facts.sample_rate = 24000;
  Sequence& sequence = at_.add(test::small_request());
  sequence.samples = {1, 2, 3};
  sequence.samples_sent = 1;
  sequence.bands = 2;
  sequence.spectrogram = {1, 2, 3, 4, 5, 6};
  sequence.spectrogram_sent = 4;
  end(sequence, FinishReason::stop, "", at_.facts);
  const std::optional<Event> last = next_event_of(sequence);
  EXPECT_EQ(last->audio, (std::vector<float>{2, 3}));
  EXPECT_EQ(last->spectrogram.rows, 1);
  EXPECT_EQ(last->spectrogram.cols, 2);
  EXPECT_EQ(last->spectrogram.values, (std::vector<float>{5, 6}));
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.audio, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(result.sample_rate, 24000);
  EXPECT_EQ(result.spectrogram.rows, 3);
  EXPECT_EQ(result.spectrogram.cols, 2);
  EXPECT_EQ(result.spectrogram.values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

// The first sound of a request without steps is its first frame, as far as times go.
TEST(EndingOfFlow, TimesCountFromTheFirstSound) {
  test::Sequencer at(test::small_facts(), test::flow_programs(1));
  Sequence& sequence = at.start(test::flow_request(2, 1));
  const test::Launch launched = at.launch();
  step::StepOutput output;
  output.rows.push_back({test::kVocoder, 3, std::vector<float>(6, 0.5F)});
  at.commit(launched, output);
  ASSERT_EQ(sequence.end, FinishReason::stop);
  end(sequence, *sequence.end, "", at.facts);
  const Result result = *sequence.channel->result(0.0);
  EXPECT_EQ(result.audio.size(), 6U);
  EXPECT_EQ(result.metrics.steps, 0);
  EXPECT_EQ(result.codes.rows, 0);
  EXPECT_GE(result.metrics.first_frame_seconds, result.metrics.queue_seconds);
  EXPECT_GT(result.metrics.first_frame_seconds, 0.0);
}

}  // namespace
}  // namespace ttsrt::executor
