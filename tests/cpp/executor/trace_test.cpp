#include "executor/trace.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using test::Launch;

// A tap whose value v of row r is 100 * r + v.
step::TapOutput tap_of(const std::string& name, std::int32_t program, std::int64_t rows,
                       std::int64_t width, bool is_per_draw = false) {
  step::TapOutput tap{name, program, is_per_draw, rows, width, {}};
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t v = 0; v < width; ++v) tap.values.push_back(static_cast<float>(100 * r + v));
  }
  return tap;
}

Request guided() {
  Request request = test::small_request();
  request.cfg_scale = 2.0F;
  return request;
}

class Trace : public ::testing::Test {
 protected:
  Sequence& start(const Request& request) {
    return at_.start(test::prepared(request, test::small_model(at_.facts)), true);
  }

  // Commits with taps of every Program that ran.
  void commit(const Launch& launched) {
    step::StepOutput output = test::output_of(launched.batch, at_.facts);
    const auto rows = [&](std::int32_t program) {
      return std::int64_t{launched.batch.programs[static_cast<std::size_t>(program)].rows};
    };
    const auto draws = static_cast<std::int64_t>(output.draws.size());
    output.taps = {tap_of("encoder_out", test::kEncodeText, rows(test::kEncodeText), 2),
                   tap_of("context", test::kPrefill, rows(test::kPrefill), 2),
                   tap_of("logits", test::kDecode, rows(test::kDecode), 2),
                   tap_of("logits_guided", test::kDecode, draws, 2, true),
                   tap_of("align_scores", test::kDecode, draws, at_.facts.max_text_len, true)};
    at_.commit(launched, output);
  }
  void step() { commit(at_.launch()); }

  static std::vector<std::string> names_of(const Sequence& sequence) {
    std::vector<std::string> names;
    for (const TraceEntry& entry : sequence.trace) names.push_back(entry.name);
    return names;
  }
  static std::vector<TraceEntry> entries_of(const Sequence& sequence, const std::string& name) {
    std::vector<TraceEntry> entries;
    for (const TraceEntry& entry : sequence.trace) {
      if (entry.name == name) entries.push_back(entry);
    }
    return entries;
  }

  test::Sequencer at_;
};

TEST_F(Trace, EachRequestGetsItsOwnRows) {
  at_.facts.max_rows = 32;
  start(test::small_request());
  const Sequence& second = start(guided());
  step();
  EXPECT_EQ(names_of(second),
            (std::vector<std::string>{"encoder_out", "context", "logits", "logits_guided"}));
  const TraceEntry encoded = entries_of(second, "encoder_out").at(0);
  EXPECT_EQ(encoded.step, 0);
  EXPECT_EQ(encoded.values.rows, 3);
  EXPECT_EQ(encoded.values.cols, 2);
  EXPECT_EQ(encoded.values.values, (std::vector<float>{300, 301, 400, 401, 500, 501}));
  // Of the context its own rows alone, not the shared prefix's.
  EXPECT_EQ(entries_of(second, "context").at(0).values.values,
            (std::vector<float>{300, 301, 400, 401, 500, 501}));
}

// Both branches of a stage with a value per row, one value of a stage with one per draw.
TEST_F(Trace, AStepTellsBothBranches) {
  const Sequence& first = start(test::small_request());
  const Sequence& second = start(guided());
  step();
  step();
  EXPECT_EQ(entries_of(first, "logits").at(1).values.values, (std::vector<float>{0, 1}));
  const std::vector<TraceEntry> logits = entries_of(second, "logits");
  ASSERT_EQ(logits.size(), 2U);
  EXPECT_EQ(logits[0].step, 0);
  EXPECT_EQ(logits[1].step, 1);
  EXPECT_EQ(logits[1].values.rows, 2);
  EXPECT_EQ(logits[1].values.values, (std::vector<float>{100, 101, 200, 201}));
  EXPECT_EQ(entries_of(second, "logits_guided").at(1).values.values,
            (std::vector<float>{100, 101}));
}

// Scores belong to requests that keep them, as wide as their text; the prior that the next step is
// weighted by follows from them.
TEST_F(Trace, ScoresAndThePrior) {
  Request request = test::small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  const Sequence& sequence = start(request);
  const Sequence& plain = start(test::small_request());
  step();
  step();
  const std::vector<TraceEntry> scores = entries_of(sequence, "align_scores");
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores[1].step, 1);
  EXPECT_EQ(scores[1].values.values, (std::vector<float>{0, 1, 2}));
  const std::vector<TraceEntry> priors = entries_of(sequence, "prior");
  ASSERT_EQ(priors.size(), 1U);  // the first step has none
  EXPECT_EQ(priors[0].step, 1);
  EXPECT_EQ(priors[0].values.rows, 1);
  EXPECT_EQ(priors[0].values.cols, 3);
  EXPECT_EQ(priors[0].values.values.size(), 3U);
  EXPECT_TRUE(entries_of(plain, "align_scores").empty());
  EXPECT_TRUE(entries_of(plain, "prior").empty());
}

// Rows that are computed again before every step are told once.
TEST_F(Trace, ReplayedRowsAreToldOnce) {
  Request request = test::small_request();
  request.use_default_prior = false;
  request.prior = AttentionPrior{};
  request.prior->recompute = true;
  const Sequence& sequence = start(request);
  step();
  step();
  EXPECT_EQ(entries_of(sequence, "context").size(), 1U);
  EXPECT_EQ(entries_of(sequence, "logits").size(), 2U);
}

TEST_F(Trace, APausedProgramTellsAtItsEnd) {
  const Sequence& sequence = start(test::small_request());
  Launch launched = at_.launch();
  launched.plan.programs[test::kEncodeText] = {0, 1, true};
  commit(launched);
  EXPECT_TRUE(entries_of(sequence, "encoder_out").empty());
}

TEST_F(Trace, WhatEndedIsToldNothing) {
  Sequence& sequence = start(test::small_request());
  const Launch first = at_.launch();
  const Launch overshot = at_.launch();
  commit(first);
  sequence.end = FinishReason::stop;
  const std::size_t told = sequence.trace.size();
  commit(overshot);
  EXPECT_EQ(sequence.trace.size(), told);
}

}  // namespace
}  // namespace ttsrt::executor
