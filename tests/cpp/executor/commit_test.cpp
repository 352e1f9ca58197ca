#include "executor/commit.h"

#include <gtest/gtest.h>

#include <utility>

#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::Launch;
using test::next_event_of;

class Commit : public ::testing::Test {
 protected:
  Commit() { at_.facts.frame_stacking = 2; }

  test::Sequencer at_;
};

TEST_F(Commit, FramesComeOutOfStacks) {
  Sequence& sequence = at_.add(test::small_request());
  EXPECT_EQ(at_.step(0), 2);
  EXPECT_TRUE(sequence.is_committed(0));
  EXPECT_EQ(sequence.progress_of(0).committed_repeats, 1);
  EXPECT_EQ(sequence.progress_of(1).committed_rows, 3);
  EXPECT_EQ(sequence.steps(), 1);
  const std::optional<Event> event = next_event_of(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->first_frame, 0);
  EXPECT_FALSE(event->is_last);
  EXPECT_EQ(event->codes.rows, 2);
  EXPECT_EQ(event->codes.cols, 2);
  EXPECT_EQ(event->codes.values, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(event->audio.empty() && event->spectrogram.empty());
  at_.step(4);
  EXPECT_EQ(next_event_of(sequence)->first_frame, 2);
  EXPECT_EQ(frames_of(sequence, 2, 1, 2).values, (std::vector<std::int32_t>{2, 3, 4, 5}));
}

TEST_F(Commit, EventsGatherFrames) {
  Request request = test::small_request();
  request.chunk_frames = 5;
  const Sequence& sequence = at_.add(request);
  at_.step();
  at_.step();
  EXPECT_FALSE(next_event_of(sequence).has_value());
  at_.step();
  EXPECT_EQ(next_event_of(sequence)->codes.rows, 6);
}

TEST_F(Commit, TheEndFrameIsDropped) {
  const Sequence& sequence = at_.add(test::small_request());
  at_.step(0);
  EXPECT_EQ(at_.step(4, 1), 1);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.frames, 3);
}

TEST_F(Commit, LengthEndsAtTheLastStack) {
  Request request = test::small_request();
  request.max_frames = 4;
  const Sequence& sequence = at_.add(request);
  at_.step();
  EXPECT_FALSE(sequence.end.has_value());
  at_.step();
  EXPECT_EQ(sequence.end, FinishReason::length);
}

TEST_F(Commit, OthersGoOn) {
  const Sequence& first = at_.add(test::small_request());
  const Sequence& second = at_.add(test::small_request());
  EXPECT_EQ(at_.step(0, 0), 2);
  EXPECT_EQ(first.end, FinishReason::stop);
  EXPECT_EQ(first.frames, 0);
  EXPECT_FALSE(second.end.has_value());
  EXPECT_EQ(second.frames, 2);
}

TEST_F(Commit, TheLastEventCarriesWhatIsLeft) {
  Request request = test::small_request();
  request.chunk_frames = 100;
  Sequence& sequence = at_.add(request);
  at_.step(0);
  at_.step(4);
  const Event event = next_event(sequence, at_.facts);
  EXPECT_EQ(event.codes.rows, 4);
  EXPECT_EQ(next_event(sequence, at_.facts).first_frame, 4);
}

// Rows of a launch count as planned from their launch on, and as committed from its commit on.
TEST_F(Commit, PlannedRunsAheadOfCommitted) {
  const Sequence& sequence = at_.add(test::small_request());
  const Launch first = at_.launch();
  const Launch second = at_.launch();
  EXPECT_TRUE(sequence.is_planned(1));
  EXPECT_FALSE(sequence.is_committed(1));
  EXPECT_EQ(sequence.planned_steps(), 2);
  EXPECT_EQ(sequence.steps(), 0);
  EXPECT_EQ(at_.commit(first, 0), 2);
  EXPECT_TRUE(sequence.is_committed(1));
  EXPECT_EQ(sequence.steps(), 1);
  EXPECT_EQ(at_.commit(second, 4), 2);
  EXPECT_EQ(sequence.steps(), 2);
  EXPECT_EQ(sequence.flights, 0);
  EXPECT_EQ(frames_of(sequence, 2, 0, 4).values,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(Commit, WhatOvershotTheEndIsDropped) {
  Sequence& sequence = at_.add(test::small_request());
  const Sequence& other = at_.add(test::small_request());
  const Launch first = at_.launch();
  const Launch second = at_.launch();
  at_.commit(first, 0, 1);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  while (next_event_of(sequence).has_value()) {
  }
  EXPECT_EQ(at_.commit(second, 40), 2);  // of the other alone
  EXPECT_EQ(sequence.steps(), 1);
  EXPECT_EQ(sequence.frames, 1);
  EXPECT_FALSE(next_event_of(sequence).has_value());
  EXPECT_EQ(other.steps(), 2);
  EXPECT_EQ(frames_of(other, 2, 2, 1).values, (std::vector<std::int32_t>{40, 41}));
}

TEST_F(Commit, RequestsThatEndedSinceTheLaunchArePassedOver) {
  Sequence& cancelled = at_.add(test::small_request());
  const Sequence& other = at_.add(test::small_request());
  const Launch launched = at_.launch();
  cancelled.end = FinishReason::cancelled;
  EXPECT_EQ(at_.commit(launched, 4), 2);
  EXPECT_EQ(cancelled.steps(), 0);
  EXPECT_EQ(cancelled.end, FinishReason::cancelled);
  EXPECT_EQ(cancelled.progress_of(1).committed_rows, 0);
  EXPECT_FALSE(next_event_of(cancelled).has_value());
  EXPECT_EQ(cancelled.flights, 0);
  EXPECT_EQ(frames_of(other, 2, 0, 1).values, (std::vector<std::int32_t>{4, 5}));
}

// The one that filled a shared prefix is cancelled in flight: its rows are in the cache all the
// same, and those who fork them come to their end.
TEST_F(Commit, APrefixIsBookedThoughItsRequestEnded) {
  Request request = test::small_request();
  request.cfg_scale = 2.0F;
  request.max_frames = 4;
  Sequence& filling = at_.add(request);
  const Sequence& sharing = at_.add(request);
  const Launch first = at_.launch();
  filling.end = FinishReason::cancelled;
  at_.commit(first);
  EXPECT_EQ(sharing.prefix_of(2)->committed, 3);
  at_.step();
  EXPECT_EQ(sharing.end, FinishReason::length);
}

TEST_F(Commit, RowsOfAPausedProgramAreBookedAtItsEnd) {
  const Sequence& sequence = at_.add(test::small_request());
  Launch launched = at_.launch();
  launched.plan.programs[test::kEncodeText] = {0, 1, true};
  at_.commit(launched);
  EXPECT_FALSE(sequence.is_committed(0));
}

TEST_F(Commit, ScoresAndFocusOfEachStepAreKept) {
  at_.facts.frame_stacking = 1;
  Request request = test::small_request();
  request.return_alignment = true;
  const Sequence& sequence = at_.add(request);
  for (const std::int32_t first : {0, 4}) {
    const Launch launched = at_.launch();
    step::StepOutput output = test::output_of(launched.batch, at_.facts, first);
    output.draws[0].focus = first == 0 ? -1 : 2;  // no prior in the first step
    at_.commit(launched, output);
  }
  EXPECT_EQ(sequence.alignment, (std::vector<float>{0, 1, 2, 40, 41, 42}));
  EXPECT_EQ(sequence.focus, std::vector<std::int32_t>{2});
}

// A codec behind decode: one frame of two samples.
class CommitSound : public ::testing::Test {
 protected:
  // Commits with codes from `first_code` on; sample s of codec row r is 10 * r + s.
  void commit(const Launch& launched, std::int32_t first_code = 0, std::int32_t end_frame = -1) {
    step::StepOutput output = test::output_of(launched.batch, at_.facts, first_code, end_frame);
    step::RowsOutput rows{test::kSoundCodec, 2, {}};
    for (std::int32_t r = 0; r < launched.batch.programs[test::kSoundCodec].rows; ++r) {
      for (std::int32_t s = 0; s < 2; ++s)
        rows.values.push_back(static_cast<float>(10 * (launched_rows_ + r) + s));
    }
    launched_rows_ += launched.batch.programs[test::kSoundCodec].rows;
    output.rows.push_back(rows);
    at_.commit(launched, output);
  }
  void step(std::int32_t first_code = 0, std::int32_t end_frame = -1) {
    commit(at_.launch(), first_code, end_frame);
  }

  test::Sequencer at_{test::small_facts(), test::sound_programs()};
  std::int32_t launched_rows_ = 0;
};

TEST_F(CommitSound, SamplesFollowTheFramesTheyComeFrom) {
  const Sequence& sequence = at_.start(test::sound_request(10, 1));
  step(1);
  EXPECT_FALSE(next_event_of(sequence).has_value());
  step(3);
  EXPECT_FALSE(next_event_of(sequence).has_value());  // two frames: the codec may take one
  step(5);
  std::optional<Event> event = next_event_of(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->codes.values, (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(event->audio, (std::vector<float>{0, 1}));
  step(7);
  event = next_event_of(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->codes.values, (std::vector<std::int32_t>{7, 8}));
  EXPECT_EQ(event->first_frame, 3);
  EXPECT_EQ(sequence.samples, (std::vector<float>{0, 1, 10, 11}));
}

TEST_F(CommitSound, EventsWaitForEnoughRowsOfSound) {
  PreparedRequest request = test::sound_request(10, 1);
  request.chunk_frames = 3;
  request.initial_chunk_frames = 2;
  const Sequence& sequence = at_.start(std::move(request));
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 8; ++i) {
    step();
    const std::optional<Event> event = next_event_of(sequence);
    if (event.has_value()) sizes.push_back(event->audio.size() / 2);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 3}));
}

TEST_F(CommitSound, TheCodecGoesOnToItsOwnEnd) {
  const Sequence& sequence = at_.start(test::sound_request(3, 2));
  step();
  step();
  step();
  EXPECT_EQ(sequence.steps_end, FinishReason::length);
  EXPECT_FALSE(sequence.end.has_value());  // three frames wait for the codec
  EXPECT_TRUE(sequence.samples.empty());
  const Launch last = at_.launch();
  EXPECT_EQ(last.batch.programs[test::kSoundDecode].rows, 0);
  EXPECT_EQ(last.batch.programs[test::kSoundCodec].rows, 3);
  commit(last);
  EXPECT_EQ(sequence.end, FinishReason::length);
  EXPECT_EQ(sequence.samples, (std::vector<float>{0, 1, 10, 11, 20, 21}));
}

// The steps came to their end while one more was in flight: the codec runs on, the step counts for
// nothing.
TEST_F(CommitSound, AnOvershotStepIsDroppedThoughTheCodecGoesOn) {
  const Sequence& sequence = at_.start(test::sound_request(10, 2));
  step(1);
  const Launch ending = at_.launch();
  const Launch overshot = at_.launch();
  EXPECT_EQ(overshot.batch.programs[test::kSoundDecode].rows, 1);
  commit(ending, 3, 0);
  EXPECT_EQ(sequence.steps_end, FinishReason::stop);
  commit(overshot, 5);
  EXPECT_EQ(sequence.steps(), 2);
  EXPECT_EQ(sequence.frames, 1);
  EXPECT_EQ(sequence.steps_end, FinishReason::stop);
  EXPECT_FALSE(sequence.end.has_value());
  step();
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.samples.size(), 2U);
}

TEST_F(CommitSound, NoFramesNoSamples) {
  const Sequence& sequence = at_.start(test::sound_request(10, 2));
  step(0, 0);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.frames, 0);
}

TEST_F(CommitSound, EachRequestGetsItsOwnRows) {
  const Sequence& first = at_.start(test::sound_request(2, 0));
  step();
  const Sequence& second = at_.start(test::sound_request(3, 0));
  step();
  step();
  EXPECT_EQ(first.samples, (std::vector<float>{0, 1, 20, 21}));
  EXPECT_EQ(first.end, FinishReason::length);
  EXPECT_EQ(second.samples, (std::vector<float>{10, 11}));  // nobody had heard of it
}

// Only the last evaluation of a flow is what it became.
TEST(CommitRows, SpectrogramsAreTheLastEvaluations) {
  std::vector<step::ProgramInfo> programs = test::flow_programs(1);
  programs[test::kFlow].emits = step::Emits::spectrogram;
  test::Sequencer at(test::small_facts(), programs);
  const Sequence& first = at.start(test::flow_request(2, 2));
  const Sequence& second = at.start(test::flow_request(1, 3));
  for (int evaluation = 0; evaluation < 3; ++evaluation) {
    const Launch launched = at.launch();
    step::StepOutput output;
    step::RowsOutput rows{test::kFlow, 2, {}};
    for (std::int32_t r = 0; r < launched.batch.programs[test::kFlow].rows; ++r)
      rows.values.insert(rows.values.end(), 2, static_cast<float>(10 * evaluation + r));
    output.rows.push_back(rows);
    const bool has_vocoder = launched.batch.programs[test::kVocoder].rows > 0;
    const std::int32_t samples = launched.batch.programs[test::kVocoder].rows;
    if (has_vocoder)
      output.rows.push_back(
          {test::kVocoder, 1, std::vector<float>(static_cast<std::size_t>(samples), 0.25F)});
    at.commit(launched, output);
  }
  EXPECT_EQ(first.spectrogram, (std::vector<float>{10, 10, 11, 11}));
  EXPECT_EQ(first.bands, 2);
  EXPECT_EQ(first.samples, (std::vector<float>{0.25F, 0.25F}));
  EXPECT_EQ(second.spectrogram, (std::vector<float>{20, 20}));
  EXPECT_EQ(second.samples, (std::vector<float>{0.25F}));
  EXPECT_EQ(first.end, FinishReason::stop);
  EXPECT_EQ(second.end, FinishReason::stop);
  const std::optional<Event> event = next_event_of(first);
  ASSERT_TRUE(event.has_value());  // the spectrogram, which comes before the samples
  EXPECT_EQ(event->spectrogram.rows, 2);
  EXPECT_EQ(event->spectrogram.cols, 2);
}

}  // namespace
}  // namespace ttsrt::executor
