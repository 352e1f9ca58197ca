// Tests the contract of flights on every Backend.
#include "ops/backend.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/native_backends.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;

constexpr std::int32_t kTables = 4;
constexpr std::int32_t kVocab = 6;
constexpr std::int32_t kWidth = kTables * kVocab;

struct Opener {
  std::string name;
  std::function<std::unique_ptr<Backend>()> open;
};

std::vector<Opener> openers() {
  std::vector<Opener> all = {
      {"cpu", [] { return test::open_native("", 2); }},
      {"reference", [] { return make_reference_backend(); }},
      {"reference_depth2", [] { return make_reference_backend({2, false}); }},
      {"reference_depth2_ahead", [] { return make_reference_backend({2, true}); }}};
  if (num_cuda_devices() > 0)
    all.push_back({test::kCuda, [] { return test::open_native(test::kCuda, 0); }});
  return all;
}

// A Program that draws codes from given logits, and one that only embeds.
class BackendFlights : public ::testing::TestWithParam<Opener> {
 protected:
  BackendFlights() {
    backend->create_state(test::small_state());
    SampleCodes sample;
    sample.logits = test::add_input(drawing, kWidth);
    sample.codebooks = kTables;
    sample.vocab = kVocab;
    drawing.taps = {{"logits", sample.logits}};
    drawing.ops.emplace_back(sample);
    drawing.ops.emplace_back(FinishStep{kTables, 1});
    test::add_input(plain, kWidth);
    draw = backend->compile(drawing, {2, 2, true, false, 1});
    embed = backend->compile(plain, {2, 0});
    rules.codebooks = kTables;
    rules.eos_id = kVocab - 1;
    backend->reset_slot({1, rules});
    test::run_queued(*backend);
  }

  // One draw of slot 1, in which every code is `code`, or whose row is not finite.
  static TestBatch drawing_of(std::int32_t code, bool is_faulty = false) {
    std::vector<float> logits(kWidth, 0.0F);
    for (std::int32_t i = 0; i < kTables; ++i)
      logits[static_cast<std::size_t>(std::int64_t{i} * kVocab + code)] = 1.0F;
    if (is_faulty) logits[0] = std::numeric_limits<float>::quiet_NaN();
    TestBatch rows;
    rows.add_vectors(1, 1, logits);
    rows.add_draw(1, 0);
    return rows;
  }

  static std::vector<std::int32_t> stack_of(std::int32_t code) {
    return std::vector<std::int32_t>(kTables, code);
  }

  std::unique_ptr<Backend> backend = GetParam().open();
  Program drawing;
  Program plain;
  rules::SlotRules rules;
  std::unique_ptr<Executable> draw;
  std::unique_ptr<Executable> embed;
  step::StepOutput output;
};

TEST_P(BackendFlights, EachHasItsOwnOutcome) {
  const std::int32_t depth = backend->info().pipeline_depth;
  std::vector<TestBatch> batches;
  std::vector<Ticket> tickets;
  for (std::int32_t code = 0; code < depth; ++code) batches.push_back(drawing_of(code));
  for (const TestBatch& rows : batches) {
    draw->launch(rows.batch);
    tickets.push_back(backend->submit());
  }
  const TestBatch more = drawing_of(4);
  draw->launch(more.batch);
  EXPECT_THROW(backend->submit(), InternalError);
  for (std::int32_t code = 0; code < depth; ++code) {
    backend->collect(tickets[static_cast<std::size_t>(code)], output);
    EXPECT_EQ(output.codes, stack_of(code));
    ASSERT_EQ(output.draws.size(), 1U);
    EXPECT_EQ(output.draws[0].slot, 1);
    ASSERT_EQ(output.seconds.size(), 2U);
    EXPECT_EQ(output.seconds[0], 0.0);
    EXPECT_GT(output.seconds[1], 0.0);
    ASSERT_EQ(output.taps.size(), 1U);
    EXPECT_EQ(output.taps[0].values[static_cast<std::size_t>(code)], 1.0F);
  }
  backend->collect(backend->submit(), output);  // the work that the refused submit left queued
  EXPECT_EQ(output.codes, stack_of(4));
}

// Flights take turns with memory that they share: with draws and without, of one row and of two,
// and with a row that is not finite.
TEST_P(BackendFlights, ManyInTurnHaveTheirOwnRowsAndFaults) {
  const std::int32_t depth = backend->info().pipeline_depth;
  constexpr std::int32_t kTurns = 9;
  const auto draws_in = [](std::int32_t turn) { return turn % 3 != 1; };
  const auto is_faulty = [](std::int32_t turn) { return turn % 4 == 3; };
  std::vector<TestBatch> batches(kTurns);
  std::vector<Ticket> tickets;
  const auto collect = [&](std::int32_t turn) {
    backend->collect(tickets[static_cast<std::size_t>(turn)], output);
    EXPECT_EQ(output.draws.size(), draws_in(turn) ? 1U : 0U) << turn;
    ASSERT_EQ(output.faults.size(), draws_in(turn) && is_faulty(turn) ? 1U : 0U) << turn;
    if (!draws_in(turn)) {
      EXPECT_TRUE(output.codes.empty()) << turn;
    } else if (is_faulty(turn)) {
      EXPECT_EQ(output.faults[0].row, 0) << turn;
    } else {
      EXPECT_EQ(output.codes, stack_of(turn % (kVocab - 1))) << turn;
    }
  };
  for (std::int32_t turn = 0; turn < kTurns; ++turn) {
    if (turn >= depth) collect(turn - depth);
    TestBatch& rows = batches[static_cast<std::size_t>(turn)];
    rows = drawing_of(turn % (kVocab - 1), is_faulty(turn));
    if (turn % 2 == 1) rows.add_vectors(0, 1, std::vector<float>(kWidth, 0.5F));
    if (!draws_in(turn)) rows.batch.draws.clear();
    (draws_in(turn) ? draw : embed)->launch(rows.batch);
    tickets.push_back(backend->submit());
  }
  for (std::int32_t turn = kTurns - depth; turn < kTurns; ++turn) collect(turn);
}

TEST_P(BackendFlights, AreCollectedOnceAndInOrder) {
  const Ticket ticket = backend->submit();
  EXPECT_THROW(backend->collect(ticket + 1, output), InternalError);
  backend->collect(ticket, output);
  EXPECT_THROW(backend->collect(ticket, output), InternalError);
}

TEST_P(BackendFlights, WithoutDrawsGiveNone) {
  const TestBatch rows = drawing_of(2);
  draw->launch(rows.batch);
  backend->collect(backend->submit(), output);
  TestBatch others;
  others.add_vectors(0, 1, std::vector<float>(kWidth, 0.5F));
  embed->launch(others.batch);
  backend->collect(backend->submit(), output);
  EXPECT_TRUE(output.draws.empty());
  EXPECT_TRUE(output.codes.empty());
  EXPECT_TRUE(output.scores.empty());
  EXPECT_TRUE(output.taps.empty());
  EXPECT_GT(output.seconds[0], 0.0);
  EXPECT_EQ(output.seconds[1], 0.0);
}

TEST_P(BackendFlights, HaveDrawsOfOneLaunch) {
  const TestBatch rows = drawing_of(2);
  draw->launch(rows.batch);
  EXPECT_THROW(draw->launch(rows.batch), InternalError);
}

TEST_P(BackendFlights, DiscardForgetsOnlyWhatIsNotSubmitted) {
  const TestBatch kept = drawing_of(1);
  draw->launch(kept.batch);
  const Ticket ticket = backend->submit();
  const TestBatch dropped = drawing_of(3);
  backend->reset_slot({2, rules});
  draw->launch(dropped.batch);
  backend->discard();
  backend->collect(ticket, output);
  EXPECT_EQ(output.codes, stack_of(1));
  backend->collect(backend->submit(), output);
  EXPECT_TRUE(output.draws.empty());
}

TEST_P(BackendFlights, AFailedFlightIsOver) {
  rules.codebooks = kTables - 1;  // FinishStep refuses a stack of another size
  backend->reset_slot({2, rules});
  TestBatch bad = drawing_of(1);
  bad.batch.segments[0].slot = 2;
  bad.batch.draws[0].slot = 2;
  draw->launch(bad.batch);
  const Ticket failing = backend->submit();
  EXPECT_THROW(backend->collect(failing, output), InternalError);
  EXPECT_THROW(backend->collect(failing, output), InternalError);
  const TestBatch good = drawing_of(3);
  draw->launch(good.batch);
  backend->collect(backend->submit(), output);
  EXPECT_EQ(output.codes, stack_of(3));
}

TEST_P(BackendFlights, RefuseWorkThatDoesNotFitTheState) {
  const auto slots = test::small_state().slots;
  const auto blocks = test::small_state().num_blocks;
  EXPECT_THROW(backend->reset_slot({slots, rules}), InternalError);
  EXPECT_THROW(backend->copy_blocks({{0, blocks}}), InternalError);
  EXPECT_THROW(backend->copy_blocks({{-1, 0}}), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendFlights, testing::ValuesIn(openers()),
                         [](const auto& info) { return info.param.name; });

TEST(ReferenceFlights, TheReferenceNeedsADepth) {
  EXPECT_THROW(make_reference_backend({0, false}), ConfigError);
}

}  // namespace
}  // namespace ttsrt::ops
