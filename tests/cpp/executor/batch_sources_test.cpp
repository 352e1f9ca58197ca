// Rows of stops that no family has yet: prompts of several sources, frames read while decode goes
// on, prefixes of both branches.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "executor/batch_builder.h"
#include "support/itineraries.h"
#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::Segment;
using test::Launch;

std::vector<std::int32_t> ids_of(const Segment& segment, std::int32_t per_row) {
  return {segment.ids, segment.ids + segment.rows * per_row};
}

// Rows on the device of the network are named where they are.
TEST(BatchSources, RowsOnTheDevice) {
  const auto data = std::shared_ptr<const float>(
      std::make_shared<int>(), reinterpret_cast<const float*>(std::uintptr_t{4096}));
  step::RowSource source;
  source.input = Input::vectors;
  source.rows = 6;
  source.device_vectors = data;
  source.device_width = 8;
  step::RowSource zeros;
  zeros.rows = 1;
  test::Sequencer at;
  at.facts.max_rows = 4;
  at.start(test::request_for({test::stop_of(test::kPrefill, {source, zeros})}));
  Launch launched = at.launch();
  const std::vector<Segment>& segments = launched.batch.programs[test::kPrefill].segments;
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_EQ(segments[0].device_vectors, data.get());
  EXPECT_EQ(segments[0].vectors, nullptr);
  at.launch(launched);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].device_vectors, data.get() + 4 * 8);
  EXPECT_EQ(segments[1].device_vectors, nullptr);
}

// A prompt of several sources: ids of one table, then of another with positions that start again,
// then rows that the slot keeps.
TEST(BatchSources, APromptIsAListOfSources) {
  step::RowSource first;
  first.input = Input::ids;
  first.rows = 3;
  first.ids = std::make_shared<const std::vector<std::int32_t>>(std::vector{4, 5, 6});
  step::RowSource second = first;
  second.table = 1;
  second.position_table = 0;
  second.rows = 2;
  step::RowSource kept;
  kept.input = Input::kept_rows;
  kept.rows = 4;
  kept.kept_offset = 10;
  step::Stop prompt = test::stop_of(test::kPrefill, {first, second, kept});
  prompt.position = 6;
  test::Sequencer at;
  at.facts.max_rows = 4;
  at.start(test::request_for({prompt}));
  Launch launched = at.launch();
  const std::vector<Segment>& segments = launched.batch.programs[test::kPrefill].segments;
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].position, 6);
  EXPECT_EQ(segments[0].position_table, -1);
  EXPECT_EQ(segments[1].rows, 1);
  EXPECT_EQ(segments[1].table, 1);
  EXPECT_EQ(segments[1].position, 9);
  EXPECT_EQ(segments[1].first_position, 0);
  EXPECT_EQ(segments[1].num_blocks, 3);  // for positions 0 to 9
  at.launch(launched);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].first_position, 1);
  EXPECT_EQ(ids_of(segments[0], 1), std::vector<std::int32_t>{5});
  EXPECT_EQ(segments[1].kept_offset, 10);
  EXPECT_EQ(segments[1].rows, 3);
  at.launch(launched);
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_EQ(segments[0].kept_offset, 13);
  EXPECT_EQ(segments[0].position, 14);
}

class SoundBatches : public ::testing::Test {
 protected:
  static const std::vector<Segment>& codec(const Launch& launched) {
    return launched.batch.programs[test::kSoundCodec].segments;
  }

  test::Sequencer at_{test::small_facts(), test::sound_programs()};
};

// Frames are read as codes from what is committed, wherever the steps in flight are.
TEST_F(SoundBatches, AStopReadsFramesOfAnother) {
  const Sequence& sequence = at_.start(test::sound_request(5, 0));
  const Launch first = at_.launch();
  EXPECT_TRUE(codec(first).empty());
  at_.commit(first, 20);
  const Launch second = at_.launch();
  ASSERT_EQ(codec(second).size(), 1U);
  EXPECT_EQ(codec(second)[0].rows, 1);
  EXPECT_EQ(codec(second)[0].position, 0);
  EXPECT_EQ(codec(second)[0].input, Input::codes);
  EXPECT_EQ(codec(second)[0].num_blocks, 0);
  EXPECT_EQ(ids_of(codec(second)[0], 2), (std::vector<std::int32_t>{20, 21}));
  at_.commit(second, 30);
  at_.step(40);
  const Launch fourth = at_.launch();
  EXPECT_EQ(codec(fourth)[0].position, 2);
  EXPECT_EQ(codec(fourth)[0].ids, sequence.stacks.data() + 6);
  EXPECT_EQ(ids_of(codec(fourth)[0], 2), (std::vector<std::int32_t>{40, 41}));
}

// Frames behind rows that the stop brings itself take nothing over from those.
TEST_F(SoundBatches, FramesBehindRowsOfTheirOwnStop) {
  step::RowSource warm_up = test::vector_rows(14, 4, 1.0F);
  warm_up.position_table = 0;
  warm_up.table = 1;
  warm_up.kept_offset = 3;
  PreparedRequest request = test::sound_request(5, 0);
  request.itinerary.stops[2].rows = {warm_up};
  const Sequence& sequence = at_.start(std::move(request));
  const Launch first = at_.launch();
  ASSERT_EQ(codec(first).size(), 1U);
  EXPECT_EQ(codec(first)[0].rows, 12);  // as many as a launch takes
  at_.commit(first, 20);
  const Launch second = at_.launch();
  ASSERT_EQ(codec(second).size(), 2U);
  EXPECT_EQ(codec(second)[0].rows, 2);
  EXPECT_EQ(codec(second)[0].first_position, 12);
  const Segment& frame = codec(second)[1];
  EXPECT_EQ(frame.rows, 1);
  EXPECT_EQ(frame.position, 14);
  EXPECT_EQ(frame.input, Input::codes);
  EXPECT_EQ(frame.ids, sequence.stacks.data() + 2);
  EXPECT_EQ(frame.vectors, nullptr);
  EXPECT_EQ(frame.table, 0);
  EXPECT_EQ(frame.position_table, -1);
  EXPECT_EQ(frame.first_position, 0);
  EXPECT_EQ(frame.kept_offset, 0);
}

// A voice prefix that both branches of a request begin with is computed once and forked twice.
TEST_F(SoundBatches, OnePrefixForBothBranches) {
  const step::PrefixKey key{"voice 3", 5};
  step::Stop voice = test::stop_of(test::kSoundPrefill, {test::vector_rows(5, 4, 1.0F)});
  voice.shared = key;
  step::Stop other_voice = voice;
  other_voice.branch = Branch::unconditional;
  step::Stop text = test::stop_of(test::kSoundPrefill, {test::zero_rows(2)}, {0});
  text.position = 5;
  step::Stop other_text = text;
  other_text.branch = Branch::unconditional;
  other_text.follows = {1};
  step::Stop decode = test::stop_of(test::kSoundDecode, {test::code_row(2, 13)}, {2, 3});
  decode.position = 7;
  decode.num_branches = 2;
  decode.repeats = 4;
  const Sequence& sequence =
      at_.start(test::request_for({voice, other_voice, text, other_text, decode}));
  ASSERT_EQ(sequence.prefix_of(0), sequence.prefix_of(1));
  const Launch first = at_.launch();
  EXPECT_EQ(first.batch.programs[test::kSoundPrefill].rows, 5);  // once, and nothing behind it yet
  at_.commit(first);
  const Launch second = at_.launch();
  const step::RowBatch& behind = second.batch.programs[test::kSoundPrefill];
  ASSERT_EQ(behind.segments.size(), 2U);
  const std::int32_t* prefix = sequence.prefix_of(0)->table.data();
  ASSERT_EQ(behind.copies.size(), 2U);
  for (std::size_t branch = 0; branch < 2; ++branch) {
    EXPECT_EQ(behind.segments[branch].position, 5);
    EXPECT_EQ(behind.segments[branch].branch, static_cast<Branch>(branch));
    EXPECT_EQ(behind.segments[branch].blocks, sequence.tables[branch].data());
    EXPECT_EQ(sequence.tables[branch].data()[0], prefix[0]);
    EXPECT_EQ(behind.copies[branch].from, prefix[1]);
    EXPECT_EQ(behind.copies[branch].to, sequence.tables[branch].data()[1]);
  }
  EXPECT_TRUE(second.batch.programs[test::kSoundDecode].copies.empty());
  const std::vector<step::Draw>& draws = second.batch.programs[test::kSoundDecode].draws;
  ASSERT_EQ(draws.size(), 1U);
  EXPECT_EQ(draws[0].unconditional_row, 1);
}

}  // namespace
}  // namespace ttsrt::executor
