// Programs and lists of stages, damaged on purpose.
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "ops/check.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

constexpr std::int64_t kDim = 16;

// A block with self-attention and cross-attention, and what a step ends with.
struct Sound {
  StateSpec spec = test::small_state();
  test::TestWeight norm = test::make_norm(kDim, 1);
  test::TestWeight qkv_weight = test::make_panel(3 * kDim, kDim, DType::float32, 2);
  test::TestWeight out_weight = test::make_panel(kDim, kDim, DType::float32, 3);
  test::TestWeight head = test::make_panel(4 * 6, kDim, DType::float32, 4);
  Program program;
  BufferId x, normed, qkv, attended, scores, logits;

  Sound() {
    x = test::add_input(program, kDim);
    normed = program.add("normed", kDim);
    qkv = program.add("qkv", 3 * kDim);
    attended = program.add("attended", kDim);
    scores = program.add("scores", spec.max_text_len, RowSpace::draws);
    logits = program.add("logits", 4 * 6);
    program.ops.emplace_back(Norm{x, normed, norm, 1e-5F});
    program.ops.emplace_back(Linear{normed, qkv, qkv_weight, {}, Activate::none, false});
    program.ops.emplace_back(SelfAttention{qkv, attended, 2, 8, 0, true});
    program.ops.emplace_back(Linear{attended, x, out_weight, {}, Activate::none, true});
    program.end_part();
    program.ops.emplace_back(ClearScores{scores});
    program.ops.emplace_back(CrossAttention{x, attended, scores, 2, 8, 0, Memory::text});
    program.ops.emplace_back(UpdatePrior{scores});
    program.end_part();
    program.ops.emplace_back(Linear{attended, logits, head, {}, Activate::none, false});
    program.ops.emplace_back(SampleCodes{logits, kNoBuffer, 4, 6});
    program.ops.emplace_back(FinishStep{4, 1});
    program.taps = {{"logits", logits}};
  }

  template <typename Record>
  Record& at(std::size_t index) {
    return std::get<Record>(program.ops[index]);
  }
};

void expect_refused(const char* part, const std::function<void(Sound&)>& damage) {
  Sound damaged;
  damage(damaged);
  EXPECT_TRUE(test::throws_naming<InternalError>(
      part, [&] { check_program(damaged.program, damaged.spec); }));
}

TEST(CheckProgram, ASoundOnePasses) {
  const Sound sound;
  EXPECT_NO_THROW(check_program(sound.program, sound.spec));
}

TEST(CheckProgram, WhatIsReadWasWritten) {
  expect_refused("reads normed", [](Sound& at) {  // an op was dropped
    at.program.ops.erase(at.program.ops.begin() + 1);
    at.program.part_begins = {4, 7};
  });
  expect_refused("reads qkv", [](Sound& at) { std::swap(at.program.ops[2], at.program.ops[3]); });
  expect_refused("reads scores",
                 [](Sound& at) { std::swap(at.program.ops[5], at.program.ops[6]); });
  expect_refused("tap", [](Sound& at) { at.program.taps[0].buffer = at.program.add("never", 3); });
  expect_refused("tap", [](Sound& at) { at.program.taps[0].buffer = 40; });
}

TEST(CheckProgram, ScoresOfSelfAttentionNeedHeadsAndACache) {
  const auto with_scores = [](Sound& at, std::uint64_t heads) {
    auto& attention = at.at<SelfAttention>(3);
    attention.scores = at.scores;
    attention.score_heads = heads;
    at.program.ops.insert(at.program.ops.begin() + 1, ClearScores{at.scores});
    at.program.part_begins.clear();
  };
  Sound sound;
  with_scores(sound, 0b11);
  EXPECT_NO_THROW(check_program(sound.program, sound.spec));
  expect_refused("scores", [&](Sound& at) { with_scores(at, 0); });
  expect_refused("scores", [&](Sound& at) { with_scores(at, 0b100); });
  expect_refused("scores", [&](Sound& at) {
    with_scores(at, 1);
    at.at<SelfAttention>(4).cache_layer = -1;
  });
  expect_refused("one row per draw", [&](Sound& at) {
    with_scores(at, 1);
    at.at<SelfAttention>(4).scores = at.x;
  });
  expect_refused("reads scores", [&](Sound& at) {
    with_scores(at, 1);
    at.program.ops.erase(at.program.ops.begin() + 1);
  });
}

TEST(CheckProgram, InputsAreNotWrittenOver) {
  expect_refused("write over its input attended",
                 [](Sound& at) { at.at<Linear>(4).out = at.attended; });
  expect_refused("write over its input", [](Sound& at) {
    at.program.ops[1] = Unfold{at.x, at.x, 1, true, -1};
    at.at<Linear>(2).x = at.x;
  });
  Sound in_place;  // each thread reads only the rows that it writes
  in_place.at<Norm>(1).out = in_place.x;
  in_place.at<Linear>(2).x = in_place.x;
  EXPECT_NO_THROW(check_program(in_place.program, in_place.spec));
}

TEST(CheckProgram, WidthsAgree) {
  for (const char* name : {"input", "normed", "qkv", "attended", "scores", "logits"}) {
    expect_refused("", [name](Sound& at) {
      for (Activation& activation : at.program.activations) {
        if (activation.name == name) activation.width += 1;
      }
    });
  }
  expect_refused("one row per draw",
                 [](Sound& at) { at.program.activations[4].space = RowSpace::rows; });
  expect_refused("one row per row",
                 [](Sound& at) { at.program.activations[5].space = RowSpace::draws; });
  expect_refused("buffer 77 of 6", [](Sound& at) { at.at<Linear>(2).out = 77; });
}

TEST(CheckProgram, TheStateHasWhatOpsName) {
  expect_refused("layer of the cache", [](Sound& at) { at.at<SelfAttention>(3).cache_layer = 2; });
  expect_refused("layer of the cache", [](Sound& at) { at.spec.cache_heads = 1; });
  expect_refused("layer 3 of 3", [](Sound& at) { at.at<CrossAttention>(6).layer = 3; });
  expect_refused("heads", [](Sound& at) { at.spec.memory_heads = 1; });
  expect_refused("codes", [](Sound& at) { at.spec.codebooks = 5; });
  expect_refused("seen ids below 5", [](Sound& at) { at.spec.seen_vocab = 5; });
  expect_refused("in 3 frames", [](Sound& at) { at.at<FinishStep>(10).frame_stacking = 3; });
}

TEST(CheckProgram, PartsBeginInOrder) {
  for (const std::vector<std::int32_t>& begins :
       {std::vector<std::int32_t>{0}, {5, 5}, {8, 5}, {11}, {-1}})
    expect_refused("a part begins", [&](Sound& at) { at.program.part_begins = begins; });
}

TEST(CheckProgram, RunsAtCompile) {
  Sound damaged;
  damaged.at<Linear>(4).out = damaged.attended;
  const auto backend = make_reference_backend();
  backend->create_state(damaged.spec);
  EXPECT_THROW(backend->compile(damaged.program, {4, 2}), InternalError);
}

// Two stages as a backend might list them: keys are stored by rows, then read by all.
std::vector<StageUses> stages_of_attention() {
  StageUses store{"store", {{Part::cache, 0, Access::write, Share::row}}, true};
  StageUses attend{
      "attend",
      {{Part::cache, 0, Access::read, Share::whole}, {Part::buffer, 1, Access::write, Share::row}},
      true};
  return {store, attend};
}

TEST(CheckStages, ABarrierStandsBetweenWritersAndReaders) {
  std::vector<StageUses> stages = stages_of_attention();
  EXPECT_NO_THROW(check_stages(stages));
  stages[0].has_barrier = false;
  EXPECT_TRUE(
      test::throws_naming<InternalError>("attend and store", [&] { check_stages(stages); }));
}

TEST(CheckStages, AMissingBarrierIsFoundAcrossAnotherStage) {
  std::vector<StageUses> stages = stages_of_attention();
  const StageUses between{"clear", {{Part::buffer, 9, Access::write, Share::draw}}, false};
  stages.insert(stages.begin() + 1, between);
  stages[0].has_barrier = false;
  EXPECT_THROW(check_stages(stages), InternalError);
  stages[1].has_barrier = true;
  EXPECT_NO_THROW(check_stages(stages));
}

TEST(CheckStages, ThreadsThatKeepToTheirPiecesNeedNone) {
  const StageUses norm{"norm", {{Part::buffer, 1, Access::update, Share::row}}, false};
  const StageUses add{"add", {{Part::buffer, 1, Access::update, Share::row}}, true};
  EXPECT_NO_THROW(check_stages({norm, add}));
}

TEST(CheckStages, NoStageWritesWhatAnyOfItsThreadsMayTouch) {
  EXPECT_THROW(check_stages({{"all", {{Part::buffer, 1, Access::update, Share::whole}}, true}}),
               InternalError);
  EXPECT_THROW(check_stages({{"in place",
                              {{Part::buffer, 1, Access::read, Share::whole},
                               {Part::buffer, 1, Access::write, Share::column}},
                              true}}),
               InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
