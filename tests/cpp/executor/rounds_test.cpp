// Texts in chunks as the executor walks them: what each round runs, what it begins with, and what
// is dropped or waited for between two of them.
#include "executor/rounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/loop_rig.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::Input;
using test::FakeHandle;
using test::FakeOptions;
using test::Launch;
using test::LoopRig;

Request chunked(std::vector<std::int32_t> chunks, std::uint64_t seed = 3) {
  Request request = test::small_request(seed);
  request.text_chunks = std::move(chunks);
  const std::int32_t ids =
      std::accumulate(request.text_chunks.begin(), request.text_chunks.end(), 0);
  request.text_ids.clear();
  for (std::int32_t i = 0; i < ids; ++i) request.text_ids.push_back(i % 10);
  request.return_positions = true;
  return request;
}

// The segments of a Program in a launch, of one slot.
std::vector<step::Segment> segments_of(const Launch& launch, std::int32_t program) {
  return launch.batch.programs[static_cast<std::size_t>(program)].segments;
}

TEST(Rounds, EachRunsWhatStandsBeforeItsSteps) {
  test::Sequencer at;
  Sequence& sequence = at.add(chunked({4, 3}));
  const Launch first = at.launch();
  ASSERT_EQ(segments_of(first, test::kEncodeText).size(), 1U);
  EXPECT_EQ(segments_of(first, test::kEncodeText)[0].rows, 4);
  EXPECT_EQ(segments_of(first, test::kEncodeText)[0].slot, 0);
  EXPECT_TRUE(first.batch.programs[test::kEncodeText].returns_rows);
  at.commit(first, 1);
  EXPECT_EQ(sequence.window->size(), 16U);
  EXPECT_EQ(sequence.window->front(), 100.0F);
  // The window behind is encoded while the steps go on, and leaves nothing in the slot.
  const Launch second = at.launch();
  const std::vector<step::Segment> ahead = segments_of(second, test::kEncodeText);
  ASSERT_EQ(ahead.size(), 1U);
  EXPECT_EQ(ahead[0].slot, step::kNoSlot);
  EXPECT_EQ(ahead[0].rows, 6);
  EXPECT_EQ(ahead[0].ids[0], 1);
  EXPECT_EQ(segments_of(second, test::kDecode).size(), 1U);
  at.commit(second, 2, 0);  // the chunk ends
  EXPECT_FALSE(sequence.end.has_value());
  EXPECT_EQ(sequence.round, 1);
  EXPECT_EQ(sequence.chunk_steps, (std::vector<std::int32_t>{2}));
  const Launch third = at.launch();
  EXPECT_TRUE(segments_of(third, test::kEncodeText).empty());
  const std::vector<step::Segment> text = segments_of(third, test::kProjectMemory);
  ASSERT_EQ(text.size(), 1U);
  EXPECT_EQ(text[0].rows, 6);
  EXPECT_EQ(text[0].input, Input::vectors);
  // Three rows that the first round had, and the new ones behind three that are dropped.
  EXPECT_EQ(text[0].vectors[0], 104.0F);
  EXPECT_EQ(text[0].vectors[11], 115.0F);
  EXPECT_EQ(text[0].vectors[12], 212.0F);
  EXPECT_EQ(text[0].vectors[23], 223.0F);
  EXPECT_EQ(segments_of(third, test::kPrefill).size(), 1U);
  const step::Segment step = segments_of(third, test::kDecode).at(0);
  EXPECT_EQ(step.position, 3);
  EXPECT_EQ(step.input, Input::codes);
  ASSERT_EQ(third.batch.resets.size(), 1U);
  EXPECT_TRUE(third.batch.resets[0].is_next_round);
  EXPECT_EQ(third.batch.resets[0].rules.text_len, 6);
  EXPECT_EQ(third.batch.resets[0].rules.first_step, 2);
  at.commit(third, 3);
  EXPECT_TRUE(at.launch().batch.resets.empty());
}

TEST(Rounds, AStepLaunchedTooManyIsDropped) {
  test::Sequencer at;
  Sequence& sequence = at.add(chunked({4, 3}));
  at.step(1);
  at.step(2);
  const Launch last = at.launch();
  const Launch dropped = at.launch();
  at.commit(last, 3, 0);
  EXPECT_TRUE(sequence.waits_for_round);
  EXPECT_EQ(sequence.round, 0);
  EXPECT_TRUE(at.launch().plan.is_empty());
  at.commit(dropped, 9);
  EXPECT_FALSE(sequence.waits_for_round);
  EXPECT_EQ(sequence.round, 1);
  EXPECT_EQ(sequence.frames, 2);
  at.step(4);
  EXPECT_EQ(sequence.frames, 3);
  EXPECT_EQ(frames_of(sequence, 2, 0, 3).values, (std::vector<std::int32_t>{1, 2, 2, 3, 4, 5}));
}

TEST(Rounds, FramesThatAChunkDropsAreNoFrames) {
  test::Sequencer at;
  at.facts.frame_stacking = 2;
  Sequence& sequence = at.add(chunked({4, 3, 5}));
  at.step(10);
  at.step(20, 1);
  EXPECT_EQ(sequence.frames, 3);
  at.step(30, 0);  // a chunk without a frame; the next window is not encoded yet
  EXPECT_EQ(sequence.round, 1);
  EXPECT_TRUE(sequence.waits_for_round);
  at.step();
  EXPECT_EQ(sequence.round, 2);
  at.step(40);
  EXPECT_EQ(frames_of(sequence, 2, 0, 5).values,
            (std::vector<std::int32_t>{10, 11, 12, 13, 20, 21, 40, 41, 42, 43}));
  EXPECT_EQ(sequence.chunk_steps, (std::vector<std::int32_t>{2, 1}));
  EXPECT_EQ(sequence.chunk_frames, (std::vector<std::int32_t>{3, 0}));
  EXPECT_EQ(sequence.steps(), 4);
}

TEST(Rounds, TheLastEndsTheRequest) {
  test::Sequencer at;
  Sequence& sequence = at.add(chunked({4, 3}));
  at.step(1);
  at.step(2, 0);
  at.step(3);
  at.step(4, 0);
  EXPECT_EQ(sequence.end, FinishReason::stop);
  EXPECT_EQ(sequence.frames, 2);
  Result result;
  tell_rounds(sequence, result);
  EXPECT_EQ(result.chunk_steps, (std::vector<std::int32_t>{2, 2}));
  EXPECT_EQ(result.chunk_frames, (std::vector<std::int32_t>{1, 1}));
  EXPECT_EQ(result.chunk_offsets, (std::vector<std::int32_t>{0, 1}));
}

// Scores count up, so that each step attends to the last row of its window.
TEST(Rounds, PositionsCountFromTheBeginOfTheText) {
  test::Sequencer at;
  Request request = chunked({4, 3});
  request.return_alignment = true;
  Sequence& sequence = at.add(request);
  at.step(1);
  at.step(2, 0);
  at.step(3);
  EXPECT_EQ(sequence.text_positions, (std::vector<std::int32_t>{3, 3, 6}));
  EXPECT_EQ(sequence.request.itinerary.text_len, 6);
  EXPECT_EQ(sequence.alignment.size(), 18U);
  const std::optional<Event> event = test::next_event_of(sequence);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->text_positions, (std::vector<std::int32_t>{3}));
}

TEST(Rounds, MaxFramesAreOfAllChunks) {
  for (const std::int32_t most : {3, 4, 5}) {
    test::Sequencer at;
    Request request = chunked({4, 3, 2});
    request.max_frames = most;
    Sequence& sequence = at.add(request);
    at.step(1);
    at.step(2, 0);  // one frame
    for (int i = 0; i < 6 && !sequence.end.has_value(); ++i) at.step(3);
    EXPECT_EQ(sequence.end, FinishReason::length);
    EXPECT_EQ(sequence.frames, most);
  }
}

TEST(Rounds, AChunkWithoutAnEndIsFollowedByTheNext) {
  test::Sequencer at;
  model::magpie::Facts model = test::small_model();
  model.rules.max_frames = 3;
  Sequence& sequence = at.add(chunked({4, 3}), model);
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(sequence.end.has_value());
    at.step(i);
  }
  EXPECT_EQ(sequence.end, FinishReason::length);
  EXPECT_EQ(sequence.frames, 6);
  EXPECT_EQ(sequence.chunk_steps, (std::vector<std::int32_t>{3, 3}));
}

TEST(Rounds, AReplayBeginsWithItsOwnRound) {
  test::Sequencer at;
  Request request = chunked({4, 3});
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  at.add(request);
  at.step(1);
  at.step(2);
  at.step(3, 0);
  at.step(4);
  at.step(6);
  const std::vector<step::Segment> rows = segments_of(at.launch(), test::kPrefill);
  ASSERT_EQ(rows.size(), 3U);  // the context, what fed the first step, the step behind it
  EXPECT_EQ(rows[0].rows, 3);
  EXPECT_EQ(rows[1].position, 3);
  EXPECT_EQ(rows[1].ids[0], 13);
  EXPECT_EQ(rows[2].position, 4);
  EXPECT_EQ(rows[2].rows, 1);
  EXPECT_EQ(rows[2].ids[0], 4);
  EXPECT_TRUE(rows[0].apply_prior);
}

// --- loops --------------------------------------------------------------------------------------

class RoundsInALoop : public ::testing::TestWithParam<std::int32_t> {
 protected:
  static FakeOptions options() {
    FakeOptions options;
    options.depth = GetParam();
    options.row_samples = 4;  // numbers of an encoded row
    options.end_step = [](std::uint64_t seed) { return static_cast<std::int32_t>(seed); };
    return options;
  }

  // Chunks of `steps` steps each, the last of which ends the chunk without a frame.
  static std::vector<std::int32_t> codes(std::uint64_t seed, std::int32_t chunks) {
    const auto steps = static_cast<std::int32_t>(seed) + 1;
    std::vector<std::int32_t> all;
    for (std::int32_t step = 0; step < chunks * steps; ++step) {
      for (std::int32_t c = 0; c < 2 && step % steps + 1 < steps; ++c)
        all.push_back(test::fake_code(seed, step, c));
    }
    return all;
  }
};

TEST_P(RoundsInALoop, RandomNumbersRunOn) {
  LoopRig rig(options());
  const Result result = rig.submit(chunked({4, 3, 5, 2}, 4)).result();
  EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
  EXPECT_EQ(result.codes.values, codes(4, 4));
  EXPECT_EQ(result.chunk_steps, (std::vector<std::int32_t>{5, 5, 5, 5}));
  EXPECT_EQ(result.text_positions.size(), 20U);
  EXPECT_EQ(result.metrics.steps, 20);
}

TEST_P(RoundsInALoop, InCompany) {
  FakeOptions many = options();
  many.programs = test::small_programs(3);
  many.row_seconds = 1e-4;
  LoopRig rig(many, {.max_queue_size = 64, .prefill_slice_seconds = 2e-4});
  std::vector<FakeHandle> handles;
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    Request request = chunked({4, 3, 5}, seed);
    if (seed % 3 == 0) request.cfg_scale = 2.0F;
    handles.push_back(rig.submit(std::move(request)));
    handles.push_back(rig.submit(test::request_of(20 + seed, 4)));
  }
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    const Result result = handles[2 * (seed - 1)].result();
    EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
    EXPECT_EQ(result.codes.values, codes(seed, 3)) << seed;
    EXPECT_EQ(handles[2 * seed - 1].result().codes.values, test::fake_codes(20 + seed, 4));
  }
}

TEST_P(RoundsInALoop, CancelledInALaterChunk) {
  LoopRig rig(options());
  rig.control->permit(16);  // enough for two frames of the second chunk, too few for the last chunk
  const FakeHandle handle = rig.submit(chunked({4, 3, 5}, 6));
  std::int32_t frames = 0;
  while (const std::optional<Event> event = handle.next()) {
    frames += static_cast<std::int32_t>(event->codes.rows);
    if (frames < 8) continue;
    handle.cancel();
    rig.control->release();
  }
  const Result result = handle.result();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_GE(result.chunk_steps.size(), 2U);
  EXPECT_EQ(std::accumulate(result.chunk_steps.begin(), result.chunk_steps.end(), 0),
            result.metrics.steps);
  const std::vector<std::int32_t> whole = codes(6, 3);
  EXPECT_TRUE(std::equal(result.codes.values.begin(), result.codes.values.end(), whole.begin()));
  EXPECT_EQ(rig.submit(chunked({4, 3}, 2)).result().codes.values, codes(2, 2));
}

TEST_P(RoundsInALoop, DrainsToTheLastChunk) {
  FakeHandle handle;
  LoopRig rig(options());
  handle = rig.submit(chunked({4, 3, 5}, 3));
  rig.loop.close(true);
  EXPECT_EQ(handle.result().codes.values, codes(3, 3));
}

// A launch that fails costs the request, whichever round it is in.
TEST_P(RoundsInALoop, ALaunchThatFailsEndsIt) {
  for (std::int64_t failing = 1; failing < 12; ++failing) {
    LoopRig rig(options());
    rig.control->fail_by([failing](std::int64_t launch) {
      return launch == failing ? test::Fail::run : test::Fail::none;
    });
    const Result result = rig.submit(chunked({4, 3, 5}, 3)).result();
    EXPECT_EQ(result.finish_reason, FinishReason::error) << failing;
    EXPECT_EQ(rig.submit(chunked({4, 3}, 3)).result().codes.values, codes(3, 2));
  }
}

TEST_P(RoundsInALoop, PausedInBetween) {
  FakeOptions paused = options();
  paused.slots = 2;
  paused.paused_slots = 1;
  LoopRig rig(paused);
  const FakeHandle low = rig.submit(chunked({4, 3, 5}, 7));
  while (const std::optional<Event> event = low.next()) {
    if (event->first_frame >= 6) break;
  }
  Request urgent = chunked({2, 4}, 3);
  urgent.priority = 5;
  EXPECT_EQ(rig.submit(std::move(urgent)).result().codes.values, codes(3, 2));
  EXPECT_EQ(low.result().codes.values, codes(7, 3));
}

INSTANTIATE_TEST_SUITE_P(Depths, RoundsInALoop, ::testing::Values(1, 2));

}  // namespace
}  // namespace ttsrt::executor
