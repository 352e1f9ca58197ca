// Tests the ops from logits to codes and outcomes: SampleCodes, UpdatePrior, FinishStep, last
// codes.
#include <gtest/gtest.h>

#include <vector>

#include "ops/reference/reference_backend.h"
#include "rules/philox.h"
#include "rules/sampling.h"
#include "support/backend.h"
#include "support/draws.h"
#include "support/errors.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;

constexpr std::int32_t kTables = 4;  // two codebooks, two frames
constexpr std::int32_t kVocab = 12;
constexpr std::int32_t kEos = 9;
constexpr std::int32_t kWidth = kTables * kVocab;
constexpr std::int32_t kMaxText = 24;

rules::SlotRules draw_rules() {
  rules::SlotRules rules;
  rules.text_len = 20;
  rules.cfg_scale = 2.5F;
  rules.eos_id = kEos;
  rules.codebooks = 2;
  rules.frame_stacking = 2;
  rules.num_forbidden = 1;
  rules.forbidden[0] = 10;
  return rules;
}

// The end of a decode Program, with its logits as input.
struct DrawProgram {
  Program program;
  SampleCodes sample;
  BufferId scores;
  DrawProgram() {
    sample.logits = test::add_input(program, kWidth);
    sample.guided = program.add("guided", kWidth, RowSpace::draws);
    sample.codebooks = kTables;
    sample.vocab = kVocab;
    scores = program.add("scores", kMaxText, RowSpace::draws);
    program.ops.emplace_back(ClearScores{scores});
    program.ops.emplace_back(UpdatePrior{scores});
    program.ops.emplace_back(sample);
    program.ops.emplace_back(FinishStep{kTables, 2});
  }
};

class Drawing : public ::testing::Test {
 protected:
  Drawing() { backend->create_state(test::small_state()); }

  // Runs a guided step of slot 1 with rows from a seed.
  step::StepOutput step(std::uint64_t seed, bool is_guided = true) {
    TestBatch rows;
    rows.add_vectors(1, 1, logits(seed));
    if (is_guided) rows.add_vectors(1, 1, logits(seed + 1)).branch = step::Branch::unconditional;
    rows.add_draw(1, 0, is_guided ? 1 : -1);
    step::StepOutput output;
    executable = test::run_program(*backend, draw.program, rows.batch, &output);
    return output;
  }

  static std::vector<float> logits(std::uint64_t seed) {
    return test::random_vector(kWidth, seed, 3.0F);
  }

  // Returns the expected guided logits of a slice, before masks.
  static std::vector<float> mix(std::uint64_t seed, std::int32_t slice) {
    std::vector<float> values;
    for (std::int32_t v = slice * kVocab; v < (slice + 1) * kVocab; ++v) {
      values.push_back(2.5F * logits(seed)[v] - 1.5F * logits(seed + 1)[v]);
    }
    return values;
  }

  DrawProgram draw;
  std::unique_ptr<Backend> backend = make_reference_backend();
  std::unique_ptr<Executable> executable;
};

TEST_F(Drawing, GreedyTakesTheLikeliestOfTheGuidedAndMasked) {
  backend->reset_slot({1, draw_rules()});
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    const step::StepOutput output = step(seed);
    ASSERT_EQ(output.codes.size(), 4U);
    for (std::int32_t slice = 0; slice < kTables; ++slice) {
      std::vector<float> values = mix(seed, slice);
      const float* guided = executable->activation(draw.sample.guided) + slice * kVocab;
      for (std::int32_t v = 0; v < kVocab; ++v) ASSERT_NEAR(guided[v], values[v], 1e-5);
      values[10] = rules::kNever;
      EXPECT_EQ(output.codes[slice], rules::argmax(values.data(), kVocab));
    }
  }
}

TEST_F(Drawing, OneBranchIsNotGuided) {
  backend->reset_slot({1, draw_rules()});
  step(3, false);
  const std::vector<float> guided = test::values_of(*executable, draw.sample.guided, kWidth);
  EXPECT_EQ(guided, logits(3));
}

TEST_F(Drawing, EachDrawHasItsOwnNumber) {
  rules::SlotRules rules = draw_rules();
  rules.sampler.temperature = 0.8F;
  rules.sampler.top_k = 6;
  rules.sampler.seed = 77;
  backend->reset_slot({1, rules});
  for (std::int32_t at = 0; at < 10; ++at) {
    const step::StepOutput output = step(5);
    for (std::int32_t slice = 0; slice < kTables; ++slice) {
      std::vector<float> values = mix(5, slice);
      values[10] = rules::kNever;
      const float number = rules::uniform(77, at, slice, 0, rules::DrawKind::code);
      EXPECT_EQ(output.codes[slice], test::draw(rules.sampler, values, number).code);
    }
  }
}

// Runs a step whose guided logits favour these codes.
std::vector<float> favouring(const std::vector<std::int32_t>& codes) {
  std::vector<float> values(kWidth, 0.0F);
  for (std::size_t i = 0; i < codes.size(); ++i)
    values[i * kVocab + static_cast<std::size_t>(codes[i])] = 5.0F;
  return values;
}

TEST_F(Drawing, TheOutcomeNamesSlotEndAndFocus) {
  rules::SlotRules rules = draw_rules();
  backend->reset_slot({0, rules});
  rules.prior.mode = rules::PriorMode::nemo;
  rules.keep_scores = true;
  backend->reset_slot({2, rules});
  TestBatch rows;
  rows.add_vectors(2, 1, favouring({1, 2, 3, kEos}));
  rows.add_vectors(0, 1, favouring({1, 2, 3, 4}));
  rows.add_draw(2, 0);
  rows.add_draw(0, 1);
  step::StepOutput output;
  executable = test::run_program(*backend, draw.program, rows.batch, &output);
  ASSERT_EQ(output.draws.size(), 2U);
  EXPECT_EQ(output.draws[0].slot, 2);
  EXPECT_EQ(output.draws[0].end_frame, 1);
  EXPECT_EQ(output.draws[0].focus, 1);
  EXPECT_EQ(output.draws[1].slot, 0);
  EXPECT_EQ(output.draws[1].end_frame, -1);
  EXPECT_EQ(output.draws[1].focus, -1);
  EXPECT_EQ(output.codes, (std::vector<std::int32_t>{1, 2, 3, kEos, 1, 2, 3, 4}));
  EXPECT_EQ(output.max_text_len, kMaxText);
  EXPECT_EQ(output.scores.size(), 2U * kMaxText);
}

TEST_F(Drawing, ScoresAreReturnedOnlyIfKept) {
  backend->reset_slot({1, draw_rules()});
  EXPECT_TRUE(step(1).scores.empty());
}

TEST_F(Drawing, FramesCountTowardsTheMinimumStepByStep) {
  rules::SlotRules rules = draw_rules();
  rules.min_frames = 3;
  backend->reset_slot({1, rules});
  for (std::int32_t at = 0; at < 3; ++at) {
    TestBatch rows;
    rows.add_vectors(1, 1, favouring({kEos, 2, 3, 4}));
    rows.add_draw(1, 0);
    step::StepOutput output;
    test::run_program(*backend, draw.program, rows.batch, &output);
    EXPECT_EQ(output.draws[0].end_frame, at < 2 ? -1 : 0) << at;
  }
}

TEST_F(Drawing, TheSlotKeepsItsLastCodesUntilTheNextAdmission) {
  backend->reset_slot({1, draw_rules()});
  const std::vector<std::int32_t> codes = step(4).codes;
  const test::TestWeight tables = test::make_dense(kTables * kVocab, 16, DType::float32, 1);
  Program program;
  EmbedRows op;
  op.out = program.add("out", 16);
  op.code_tables = tables;
  op.codebooks = kTables;
  op.vocab = kVocab;
  program.ops.emplace_back(op);
  TestBatch last;
  last.add(1, 1, step::Input::last_codes);
  TestBatch given;
  given.add_ids(1, 1, step::Input::codes, codes);
  const auto expected =
      test::values_of(*test::run_program(*backend, program, given.batch), op.out, 16);
  EXPECT_EQ(test::values_of(*test::run_program(*backend, program, last.batch), op.out, 16),
            expected);
  backend->reset_slot({1, draw_rules()});
  EXPECT_NE(test::values_of(*test::run_program(*backend, program, last.batch), op.out, 16),
            expected);
}

TEST_F(Drawing, APenaltyCountsWhatEachPlaceHasDrawn) {
  StateSpec spec = test::small_state();
  spec.seen_vocab = kVocab;
  backend = make_reference_backend();
  backend->create_state(spec);
  rules::SlotRules rules = draw_rules();
  rules.sampler.repetition_penalty = 3.0F;
  rules.sampler.num_seen_first = 1;
  rules.sampler.seen_first[0] = 2;
  backend->reset_slot({1, rules});
  const auto step_of = [&] {
    std::vector<float> values = favouring({1, 2, 3, 4});
    for (std::int32_t place = 0; place < kTables; ++place) values[place * kVocab + 7] = 2.0F;
    TestBatch rows;
    rows.add_vectors(1, 1, values);
    rows.add_draw(1, 0);
    step::StepOutput output;
    test::run_program(*backend, draw.program, rows.batch, &output);
    return output.codes;
  };
  EXPECT_EQ(step_of(), (std::vector<std::int32_t>{1, 7, 3, 4}));  // 2 was a member from the start
  EXPECT_EQ(step_of(), (std::vector<std::int32_t>{7, 2, 7, 7}));  // 5/3 each, and 7 is as 2/3 only
  EXPECT_EQ(step_of(), (std::vector<std::int32_t>{1, 2, 3, 4}));
}

TEST_F(Drawing, APenaltyNeedsRoomForWhatWasSeen) {
  rules::SlotRules rules = draw_rules();
  rules.sampler.repetition_penalty = 1.2F;
  EXPECT_TRUE(test::throws_naming<InternalError>("repetition_penalty",
                                                 [&] { backend->reset_slot({1, rules}); }));
}

TEST_F(Drawing, FinishStepRefusesADrawWithoutCodes) {
  rules::SlotRules rules = draw_rules();
  rules.use_local_transformer = true;
  backend->reset_slot({1, rules});
  EXPECT_THROW(step(1), InternalError);  // no op picked codes
}

TEST_F(Drawing, FinishStepRefusesAnotherStackShape) {
  rules::SlotRules rules = draw_rules();
  rules.frame_stacking = 1;
  backend->reset_slot({1, rules});
  EXPECT_THROW(step(1), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
