#include "ops/check.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

// An reset that fits the small state, with one thing changed, is refused by the name of it.
template <typename Change>
void expect_refused(const char* name, const Change& change) {
  StateSpec spec = test::small_state();
  spec.seen_vocab = 10;
  step::SlotReset reset;
  reset.slot = 2;
  check_reset(reset, spec);
  change(reset, spec);
  EXPECT_TRUE(test::throws_naming<InternalError>(name, [&] { check_reset(reset, spec); }));
}

TEST(Check, AdmissionsThatDoNotFitAreRefused) {
  using step::SlotReset;
  expect_refused("slot 3 of 3", [](SlotReset& at, StateSpec&) { at.slot = 3; });
  expect_refused("slot -1", [](SlotReset& at, StateSpec&) { at.slot = -1; });
  expect_refused("text_len", [](SlotReset& at, StateSpec&) { at.rules.text_len = 25; });
  expect_refused("context_len", [](SlotReset& at, StateSpec&) { at.rules.context_len = 21; });
  expect_refused("num_forbidden", [](SlotReset& at, StateSpec&) { at.rules.num_forbidden = 17; });
  expect_refused("num_stop_ids", [](SlotReset& at, StateSpec&) { at.rules.num_stop_ids = 33; });
  expect_refused("maskgit.steps", [](SlotReset& at, StateSpec&) { at.rules.maskgit.steps = 0; });
}

TEST(Check, PenaltiesNeedRoomAndKnownIds) {
  using step::SlotReset;
  expect_refused("above 0",
                 [](SlotReset& at, StateSpec&) { at.rules.sampler.repetition_penalty = 0.0F; });
  expect_refused("keeps no ids", [](SlotReset& at, StateSpec& spec) {
    at.rules.sampler.repetition_penalty = 1.1F;
    spec.seen_vocab = 0;
  });
  expect_refused("num_seen_first", [](SlotReset& at, StateSpec&) {
    at.rules.sampler.repetition_penalty = 1.1F;
    at.rules.sampler.num_seen_first = rules::kMaxSeenFirst + 1;
  });
  expect_refused("ids below 10, got 10", [](SlotReset& at, StateSpec&) {
    at.rules.sampler.repetition_penalty = 1.1F;
    at.rules.sampler.num_seen_first = 1;
    at.rules.sampler.seen_first[0] = 10;
  });
}

TEST(Check, CopiesNameBlocksThatExist) {
  const StateSpec spec = test::small_state();
  EXPECT_NO_THROW(check_copy({0, 11}, spec));
  for (const step::BlockCopy& copy :
       {step::BlockCopy{0, 12}, step::BlockCopy{12, 0}, step::BlockCopy{-1, 0}})
    EXPECT_THROW(check_copy(copy, spec), InternalError);
}

// A batch with a bit of everything, for a Program that embeds, stores and attends.
struct Fitting {
  StateSpec spec = test::small_state();
  BatchNeeds needs;
  test::TestBatch made;

  Fitting() {
    spec.max_positions = 64;
    needs.name = "program";
    needs.max_rows = 30;
    needs.max_draws = 2;
    needs.uses_cache = true;
    needs.keeps_rows = true;
    needs.memory_rows = 24;
    needs.embeddings.push_back({0, true, {5, 9}, {40}});
    step::Segment& ids = made.add_ids(0, 3, step::Input::ids, {1, 2, 3});
    ids.table = 1;
    ids.position_table = 0;
    ids.first_position = 37;
    made.set_blocks({1, 2});
    made.add(2, 1, step::Input::last_codes).position = 20;
    made.set_blocks({3, 11});
    made.add_draw(2, 3, -1);
  }

  step::Segment& segment(std::size_t index) { return made.batch.segments[index]; }
  void check() const { check_batch(made.batch, needs, spec); }
};

void expect_batch_refused(const char* part, const std::function<void(Fitting&)>& damage) {
  Fitting damaged;
  damaged.check();
  damage(damaged);
  EXPECT_TRUE(test::throws_naming<InternalError>(part, [&] { damaged.check(); })) << part;
}

TEST(CheckBatch, SegmentsLieInOrder) {
  expect_batch_refused("at most 3 rows", [](Fitting& at) { at.needs.max_rows = 3; });
  expect_batch_refused("first row 3", [](Fitting& at) { at.segment(1).first_row = 4; });
  expect_batch_refused("segment of 0 rows", [](Fitting& at) { at.segment(1).rows = 0; });
  expect_batch_refused("position -1", [](Fitting& at) { at.segment(1).position = -1; });
  expect_batch_refused("expected 5 rows", [](Fitting& at) { at.made.batch.rows = 5; });
  expect_batch_refused("slot 3 of 3", [](Fitting& at) { at.segment(0).slot = 3; });
}

TEST(CheckBatch, BlocksExistAndReachTheLastRow) {
  expect_batch_refused("blocks", [](Fitting& at) { at.segment(0).blocks = nullptr; });
  expect_batch_refused("block 12 of 12", [](Fitting& at) { at.made.set_blocks({3, 12}); });
  expect_batch_refused("21 positions in 1 blocks", [](Fitting& at) { at.made.set_blocks({3}); });
  expect_batch_refused("position 21 of 20", [](Fitting& at) { at.spec.max_positions = 20; });
}

TEST(CheckBatch, InputsAreThere) {
  expect_batch_refused("no ids", [](Fitting& at) { at.segment(0).ids = nullptr; });
  expect_batch_refused("id table 2 of 2", [](Fitting& at) { at.segment(0).table = 2; });
  expect_batch_refused("id table -1", [](Fitting& at) { at.segment(0).table = -1; });
  expect_batch_refused("position table 1", [](Fitting& at) { at.segment(0).position_table = 1; });
  expect_batch_refused("38 to 41 of 40", [](Fitting& at) { at.segment(0).first_position = 38; });
  expect_batch_refused("no vectors",
                       [](Fitting& at) { at.segment(0).input = step::Input::vectors; });
  static const float kOnDevice[] = {0.0F};  // which this backend can't read
  expect_batch_refused("no vectors", [](Fitting& at) {
    at.segment(0).input = step::Input::vectors;
    at.segment(0).device_vectors = kOnDevice;
  });
  expect_batch_refused("code tables",
                       [](Fitting& at) { at.needs.embeddings[0].has_codes = false; });
}

TEST(CheckBatch, WhatIsKeptHasRoom) {
  expect_batch_refused("memory of 20", [](Fitting& at) { at.needs.memory_rows = 20; });
  expect_batch_refused("kept rows from 18", [](Fitting& at) { at.segment(0).kept_offset = 18; });
  expect_batch_refused("kept rows from -1", [](Fitting& at) { at.segment(0).kept_offset = -1; });
}

TEST(CheckBatch, DrawsNameRows) {
  expect_batch_refused("draws", [](Fitting& at) { at.needs.max_draws = 0; });
  expect_batch_refused("draw of slot 3", [](Fitting& at) { at.made.batch.draws[0].slot = 3; });
  expect_batch_refused("first rows 4 and",
                       [](Fitting& at) { at.made.batch.draws[0].conditional_row = 4; });
  expect_batch_refused("and 4", [](Fitting& at) { at.made.batch.draws[0].unconditional_row = 4; });
  expect_batch_refused("0 of 4 rows", [](Fitting& at) { at.made.batch.draws[0].rows = 0; });
  expect_batch_refused("2 of 4 rows", [](Fitting& at) { at.made.batch.draws[0].rows = 2; });
  expect_batch_refused("5 of 4 rows", [](Fitting& at) { at.made.batch.draws[0].rows = 5; });
}

TEST(CheckBatch, OnlyALaterPartMayHaveNobody) {
  Fitting batch;
  batch.segment(0).slot = step::kNoSlot;
  EXPECT_THROW(batch.check(), InternalError);
  batch.made.batch.first_part = 1;
  batch.segment(0).ids = nullptr;  // the rows were embedded in the first part
  batch.segment(0).blocks = nullptr;
  EXPECT_NO_THROW(batch.check());
}

TEST(CheckBatch, NeedsComeFromTheProgram) {
  StateSpec spec = test::small_state();
  const test::TestWeight ids = test::make_dense(7, 16, DType::float32, 1);
  Program program;
  program.name = "encoder";
  const BufferId x = program.add("x", 16);
  program.ops.emplace_back(ClearScores{program.add("scores", 24, RowSpace::draws)});
  program.end_part();
  EmbedRows embed;
  embed.out = x;
  embed.id_tables = {ids};
  embed.position_tables = {ids, ids};
  program.ops.emplace_back(embed);
  program.ops.emplace_back(StoreContext{x});
  program.ops.emplace_back(StoreMemory{x, 0, Memory::context});
  const BatchNeeds needs = needs_of(program, {5, 2}, spec);
  EXPECT_EQ(needs.name, "encoder");
  EXPECT_EQ(needs.max_rows, 5);
  EXPECT_EQ(needs.max_draws, 2);
  EXPECT_FALSE(needs.uses_cache);
  EXPECT_TRUE(needs.keeps_rows);
  EXPECT_EQ(needs.memory_rows, 20);
  ASSERT_EQ(needs.embeddings.size(), 1U);
  EXPECT_EQ(needs.embeddings[0].part, 1);
  EXPECT_FALSE(needs.embeddings[0].has_codes);
  EXPECT_EQ(needs.embeddings[0].ids, (std::vector<std::int64_t>{7}));
  EXPECT_EQ(needs.embeddings[0].positions.size(), 2U);
  embed.adds_positions = false;
  program.ops[1] = embed;
  program.ops.emplace_back(SelfAttention{x, x, 2, 8, 1, true});
  EXPECT_TRUE(needs_of(program, {5, 2}, spec).embeddings[0].positions.empty());
  EXPECT_TRUE(needs_of(program, {5, 2}, spec).uses_cache);
}

}  // namespace
}  // namespace ttsrt::ops
