// Draws that verify drafts give what single steps give, on every backend that checks drafts: codes,
// ends, and the state that later draws read.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ops/check.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/native_backends.h"
#include "support/weights.h"

namespace ttsrt::ops {
namespace {

using test::TestBatch;

constexpr std::int32_t kVocab = 40;
constexpr std::int32_t kSteps = 24;
constexpr std::int32_t kSlot = 1;
constexpr const char* kReference = "reference";

StateSpec draw_state() {
  StateSpec spec;
  spec.slots = 3;
  spec.dim = kVocab;
  spec.codebooks = 1;
  spec.seen_vocab = kVocab;
  spec.max_drawn = kSteps;
  return spec;
}

struct Made {
  std::vector<std::int32_t> codes;
  std::int32_t end = -1;  // the step that ended them
  std::vector<float> logprobs;
};

using Tokens = std::shared_ptr<const step::TokenRules>;

class VerifyDraws : public testing::TestWithParam<std::string> {
 protected:
  VerifyDraws() {
    SampleCodes sample;
    sample.logits = test::add_input(program_, kVocab);
    sample.codebooks = 1;
    sample.vocab = kVocab;
    program_.ops.emplace_back(sample);
    program_.ops.emplace_back(FinishStep{1, 1});
  }

  void open(const rules::SlotRules& rules) {
    const bool is_plain = GetParam() == kReference;
    executable_.reset();
    backend_ = is_plain ? make_reference_backend() : test::open_native(GetParam(), 3);
    backend_->create_state(draw_state());
    ProgramLimits limits;
    limits.max_rows = 16;
    limits.max_draws = 16;
    executable_ = backend_->compile(program_, limits);
    for (std::int32_t slot = 0; slot < 3; ++slot)
      backend_->reset_slot({slot, rules, false, slot == kSlot ? tokens_ : nullptr});
  }

  // What a draw tells beside its code.
  static void take_logprobs(const step::StepOutput& output, std::size_t draw, Made& made) {
    if (output.logprobs.empty()) return;
    made.logprobs.push_back(output.logprobs.at(draw));
    const auto first =
        output.likeliest_logprobs.begin() + static_cast<std::ptrdiff_t>(draw * rules::kMaxLogprobs);
    made.logprobs.insert(made.logprobs.end(), first, first + 2);
  }

  // Logits of a step [kVocab].
  static std::vector<float> logits(std::int32_t step) {
    return test::random_vector(kVocab, static_cast<std::uint64_t>(100 + step), 3.0F);
  }

  step::StepOutput run(const TestBatch& rows) {
    executable_->launch(rows.batch);
    return test::run_queued(*backend_);
  }

  Made single_steps(const rules::SlotRules& rules) {
    open(rules);
    Made made;
    for (std::int32_t step = 0; step < kSteps && made.end < 0; ++step) {
      TestBatch rows;
      rows.add_vectors(kSlot, 1, logits(step));
      rows.add_draw(kSlot, 0);
      const step::StepOutput output = run(rows);
      made.codes.push_back(output.codes.at(0));
      take_logprobs(output, 0, made);
      if (output.draws.at(0).end_frame >= 0) made.end = step;
    }
    return made;
  }

  // The same with drafts, of which some are wrong, and with steps of two other slots beside.
  Made rounds(const rules::SlotRules& rules, const Made& known, std::uint32_t seed) {
    open(rules);
    std::mt19937 random(seed);
    Made made;
    while (static_cast<std::int32_t>(made.codes.size()) < kSteps && made.end < 0) {
      const auto first = static_cast<std::int32_t>(made.codes.size());
      const std::int32_t count =
          std::min(kSteps - first - 1, static_cast<std::int32_t>(random() % 9));
      std::vector<std::int32_t> drafts;
      for (std::int32_t i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(first + i);
        const bool is_right = at < known.codes.size() && random() % 5 != 0;
        drafts.push_back(is_right ? known.codes[at] : static_cast<std::int32_t>(random() % kVocab));
      }
      take(first, drafts, made);
    }
    return made;
  }

  void take(std::int32_t first, const std::vector<std::int32_t>& drafts, Made& made) {
    TestBatch rows;
    rows.add_vectors(0, 1, logits(1000 + first));
    rows.add_draw(0, 0);
    std::vector<float> values;
    const auto count = static_cast<std::int32_t>(drafts.size()) + 1;
    for (std::int32_t i = 0; i < count; ++i) {
      const std::vector<float> row = logits(first + i);
      values.insert(values.end(), row.begin(), row.end());
      step::Draw draw;
      draw.slot = kSlot;
      draw.conditional_row = 1 + i;
      draw.ahead = i;
      draw.drafts = drafts.data();
      rows.batch.draws.push_back(draw);
    }
    rows.add_vectors(kSlot, count, values);
    rows.add_vectors(2, 1, logits(2000 + first));
    rows.add_draw(2, 1 + count);
    const step::StepOutput output = run(rows);
    EXPECT_TRUE(output.draws.at(0).has_codes);
    EXPECT_TRUE(output.draws.at(static_cast<std::size_t>(count) + 1).has_codes);
    bool counts = true;
    for (std::size_t d = 1; d <= static_cast<std::size_t>(count); ++d) {
      const step::DrawOutput& draw = output.draws.at(d);
      EXPECT_EQ(draw.slot, kSlot);
      EXPECT_TRUE(counts || !draw.has_codes) << "a draw behind one that does not count";
      counts = draw.has_codes;
      if (!counts) continue;
      made.codes.push_back(output.codes.at(d));
      take_logprobs(output, d, made);
      if (draw.end_frame >= 0) made.end = static_cast<std::int32_t>(made.codes.size()) - 1;
    }
  }

  void expect_equal(const rules::SlotRules& rules, const char* what) {
    const Made expected = single_steps(rules);
    for (std::uint32_t seed = 0; seed < 8; ++seed) {
      const Made got = rounds(rules, expected, seed);
      EXPECT_EQ(got.codes, expected.codes) << what << ", seed " << seed;
      EXPECT_EQ(got.end, expected.end) << what << ", seed " << seed;
      EXPECT_EQ(got.logprobs, expected.logprobs) << what << ", seed " << seed;
    }
  }

  // Each code of a text once more, guessed behind those before it in a slot that draws nothing.
  void expect_guessed(const rules::SlotRules& rules, const char* what) {
    const Made expected = single_steps(rules);
    open(rules);
    for (std::int32_t again = 0; again < 2; ++again) {  // nothing stays in the slot
      for (std::size_t first = 0; first < expected.codes.size(); first += 3) {
        const std::size_t last = std::min(first + 3, expected.codes.size());
        TestBatch rows;
        std::vector<float> values;
        for (std::size_t i = first; i < last; ++i) {
          const std::vector<float> row = logits(static_cast<std::int32_t>(i));
          values.insert(values.end(), row.begin(), row.end());
          step::Draw draw;
          draw.slot = kSlot;
          draw.conditional_row = static_cast<std::int32_t>(i - first);
          draw.ahead = static_cast<std::int32_t>(i);
          draw.drafts = expected.codes.data();
          draw.is_guess = true;
          rows.batch.draws.push_back(draw);
        }
        rows.add_vectors(kSlot, static_cast<std::int32_t>(last - first), values);
        const step::StepOutput output = run(rows);
        for (std::size_t i = first; i < last; ++i) {
          EXPECT_TRUE(output.draws.at(i - first).has_codes);
          EXPECT_EQ(output.draws.at(i - first).end_frame, -1);
          EXPECT_EQ(output.codes.at(i - first), expected.codes[i]) << what << ", step " << i;
        }
      }
    }
  }

  Program program_;
  Tokens tokens_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Executable> executable_;
};

rules::SlotRules endless() {
  rules::SlotRules rules;
  rules.codebooks = 1;
  rules.eos_id = kVocab - 1;
  rules.min_frames = kSteps + 1;
  return rules;
}

TEST_P(VerifyDraws, Greedy) { expect_equal(endless(), "greedy"); }

TEST_P(VerifyDraws, DrawnWithTheNumberOfEachStep) {
  rules::SlotRules rules = endless();
  rules.sampler.temperature = 0.9F;
  rules.sampler.top_k = 7;
  rules.sampler.seed = 5;
  expect_equal(rules, "top-k");
  rules.sampler.top_k = 0;
  rules.sampler.top_p = 0.8F;
  expect_equal(rules, "top-p");
}

step::TokenRules penalties() {
  step::TokenRules tokens;
  tokens.repetition_penalty = 1.7F;
  tokens.presence_penalty = 0.6F;
  tokens.frequency_penalty = 0.9F;
  tokens.seen = {3, 4, 17};
  tokens.biases = {{5, 2.0F}, {6, rules::kNever}};
  tokens.num_logprobs = 2;
  return tokens;
}

TEST_P(VerifyDraws, TokenRulesCountTheDraftsBefore) {
  const auto change = [this](auto&& what) {
    step::TokenRules tokens = penalties();
    what(tokens);
    tokens_ = std::make_shared<const step::TokenRules>(std::move(tokens));
  };
  rules::SlotRules rules = endless();
  change([](step::TokenRules&) {});
  expect_equal(rules, "greedy with penalties");
  const std::vector<std::int32_t> penalised = single_steps(rules).codes;
  change([](step::TokenRules& of) { of.repetition_penalty = 1.0F; });
  EXPECT_NE(single_steps(rules).codes, penalised);
  rules.sampler.temperature = 1.0F;
  rules.sampler.seed = 9;
  expect_equal(rules, "drawn with penalties");
  change([](step::TokenRules& of) { of.presence_penalty = of.frequency_penalty = 0.0F; });
  expect_equal(rules, "drawn with a repetition penalty");
  change([](step::TokenRules& of) { of.num_logprobs = -1; });
  expect_equal(rules, "drawn without probabilities");
}

TEST_P(VerifyDraws, GuessesAreWhatStepsGive) {
  rules::SlotRules rules = endless();
  expect_guessed(rules, "greedy");
  rules.sampler.temperature = 0.9F;
  rules.sampler.top_k = 7;
  rules.sampler.seed = 5;
  rules.min_frames = 9;  // masks depend on the step, too
  expect_guessed(rules, "drawn");
  tokens_ = std::make_shared<const step::TokenRules>(penalties());
  expect_guessed(rules, "drawn with penalties");
}

TEST_P(VerifyDraws, SeenSetsAreRefused) {
  rules::SlotRules rules = endless();
  rules.sampler.repetition_penalty = 3.0F;
  EXPECT_TRUE(test::throws_naming<InternalError>("seen sets", [&] {
    Made made;
    open(rules);
    take(0, {1, 2}, made);
  }));
}

TEST_P(VerifyDraws, AnEndDropsWhatIsBehindIt) {
  rules::SlotRules rules = endless();
  rules.sampler.temperature = 1.5F;
  rules.min_frames = 9;  // masks depend on the step, too
  rules.num_stop_ids = 8;
  for (std::int32_t i = 0; i < rules.num_stop_ids; ++i) rules.stop_ids[i] = 3 + 4 * i;
  expect_equal(rules, "stop ids");
  EXPECT_GE(single_steps(rules).end, 9);
}

TEST_P(VerifyDraws, EqualStepsEndAsBefore) {
  rules::SlotRules rules = endless();
  rules.min_frames = 0;
  rules.stop_after_equal = 2;
  rules.num_forbidden = rules::kMaxForbidden;  // so that few ids are left
  for (std::int32_t i = 0; i < rules.num_forbidden; ++i) rules.forbidden[i] = i;
  rules.first_invalid = 18;
  rules.eos_id = 0;
  expect_equal(rules, "equal steps");
  EXPECT_GE(single_steps(rules).end, 1);
}

std::vector<std::string> checking_backends() {
  std::vector<std::string> names{kReference};
  for (const std::string& name : test::native_backends()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Backends, VerifyDraws, testing::ValuesIn(checking_backends()),
                         [](const auto& of) { return of.param; });

// A chain of draws with one thing changed is refused.
template <typename Change>
void expect_refused(const Change& change) {
  Program program;
  SampleCodes sample;
  sample.logits = test::add_input(program, kVocab);
  sample.codebooks = 1;
  sample.vocab = kVocab;
  program.ops.emplace_back(sample);
  const StateSpec spec = draw_state();
  ProgramLimits limits;
  limits.max_rows = 8;
  limits.max_draws = 8;
  const BatchNeeds needs = needs_of(program, limits, spec);
  std::vector<std::int32_t> drafts = {3, 4};
  TestBatch rows;
  rows.add_vectors(kSlot, 3, std::vector<float>(3 * kVocab, 0.0F));
  for (std::int32_t i = 0; i < 3; ++i) {
    rows.add_draw(kSlot, i);
    rows.batch.draws.back().ahead = i;
    rows.batch.draws.back().drafts = drafts.data();
  }
  check_batch(rows.batch, needs, spec);
  change(rows.batch.draws, drafts);
  EXPECT_TRUE(
      test::throws_naming<InternalError>("draft", [&] { check_batch(rows.batch, needs, spec); }));
}

TEST(VerifyDrawsCheck, MalformedChainsAreRefused) {
  using Draws = std::vector<step::Draw>;
  using Ids = std::vector<std::int32_t>;
  expect_refused([](Draws& of, Ids&) { of[0].ahead = 1; });
  expect_refused([](Draws& of, Ids&) { of[2].ahead = 1; });
  expect_refused([](Draws& of, Ids&) { of[1].slot = 0; });
  expect_refused([](Draws& of, Ids&) { std::swap(of[1].conditional_row, of[2].conditional_row); });
  expect_refused([](Draws& of, Ids&) { of[1].drafts = nullptr; });
  expect_refused([](Draws& of, Ids&) { of[1].unconditional_row = 2; });
  expect_refused([](Draws& of, Ids&) { of[1].is_guess = true; });
  expect_refused([](Draws&, Ids& drafts) { drafts[0] = -1; });
}

}  // namespace
}  // namespace ttsrt::ops
