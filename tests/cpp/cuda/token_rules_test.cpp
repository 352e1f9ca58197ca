// Token rules and drafts on a GPU, with vocabularies in shared memory and beyond it: codes are
// those of the reference, and logarithms of probabilities are near.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cuda/cuda_backend.h"
#include "cuda/views.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/errors.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kSteps = 12;

ops::StateSpec state_of_tokens() {
  ops::StateSpec spec = test::small_state();
  spec.codebooks = 1;
  spec.max_drawn = 40;
  return spec;
}

step::TokenRules rules_of_all_kinds(std::int32_t vocab) {
  step::TokenRules tokens;
  tokens.repetition_penalty = 1.4F;
  tokens.presence_penalty = 0.8F;
  tokens.frequency_penalty = 0.3F;
  for (std::int32_t i = 0; i < 20; ++i) tokens.seen.push_back(i * (vocab / 20));
  for (std::int32_t i = 0; i < vocab / 4 && i < 900; ++i)
    tokens.biases.push_back({vocab - 1 - i, i % 3 == 0 ? rules::kNever : 0.5F});
  tokens.num_logprobs = 5;
  return tokens;
}

struct Case {
  std::string name;
  rules::SlotRules rules;
  std::shared_ptr<const step::TokenRules> tokens;
};

std::vector<Case> cases(std::int32_t vocab) {
  rules::SlotRules greedy;
  greedy.codebooks = 1;
  greedy.eos_id = vocab - 1;
  greedy.min_frames = kSteps + 1;
  rules::SlotRules top_k = greedy;
  top_k.sampler.temperature = 0.9F;
  top_k.sampler.top_k = 12;
  top_k.sampler.seed = 3;
  rules::SlotRules top_p = greedy;
  top_p.sampler.temperature = 0.8F;
  top_p.sampler.top_p = 0.9F;
  // A GPU adds probabilities in another order. Among thousands of survivors, each of them smaller
  // than the difference, a draw could be its neighbour.
  if (vocab > 10000) top_p.sampler.top_k = 60;
  top_p.sampler.seed = 4;
  std::vector<Case> all;
  const auto add = [&](const char* name, const step::TokenRules& tokens) {
    const auto shared = std::make_shared<const step::TokenRules>(tokens);
    const std::string what = std::string(name) + " of " + std::to_string(vocab);
    all.push_back({"greedy, " + what, greedy, shared});
    all.push_back({"top-k, " + what, top_k, shared});
    all.push_back({"top-p, " + what, top_p, shared});
  };
  const step::TokenRules every = rules_of_all_kinds(vocab);
  add("all rules", every);
  step::TokenRules some;
  some.num_logprobs = rules::kMaxLogprobs;
  add("probabilities alone", some);
  some = {};
  some.biases = every.biases;
  add("biases alone", some);
  some = {};
  some.frequency_penalty = 2.0F;
  add("a frequency penalty alone", some);
  return all;
}

// Steps of slot 1 in rounds of one draw or of several, of which drafts some are wrong, beside steps
// of slot 0 without rules.
class Rounds {
 public:
  Rounds(ops::Backend& backend, const Case& of, std::int32_t vocab)
      : backend_(backend), vocab_(vocab) {
    ops::SampleCodes sample;
    sample.logits = test::add_input(program_, vocab);
    sample.codebooks = 1;
    sample.vocab = vocab;
    program_.ops.emplace_back(sample);
    program_.ops.emplace_back(ops::FinishStep{1, 1});
    ops::ProgramLimits limits;
    limits.max_rows = 8;
    limits.max_draws = 8;
    executable_ = backend.compile(program_, limits);
    backend.reset_slot({0, of.rules});
    backend.reset_slot({1, of.rules, false, of.tokens});
  }

  // Draws behind the drafts that the last draws of a known text are; returns what counts.
  step::StepOutput run(std::int32_t first, const std::vector<std::int32_t>& drafts) {
    test::TestBatch rows;
    std::vector<float> values;
    for (std::int32_t i = 0; i <= static_cast<std::int32_t>(drafts.size()); ++i) {
      const auto row = test::random_vector(static_cast<std::size_t>(vocab_),
                                           static_cast<std::uint64_t>(50 + first + i), 6.0F);
      values.insert(values.end(), row.begin(), row.end());
      step::Draw draw;
      draw.slot = 1;
      draw.conditional_row = i;
      draw.ahead = i;
      draw.drafts = drafts.data();
      rows.batch.draws.push_back(draw);
    }
    const std::int32_t count = rows.batch.draws.back().ahead + 1;
    rows.add_vectors(1, count, values);
    rows.add_vectors(0, 1,
                     test::random_vector(static_cast<std::size_t>(vocab_),
                                         static_cast<std::uint64_t>(900 + first), 6.0F));
    rows.add_draw(0, count);
    executable_->launch(rows.batch);
    return test::run_queued(backend_);
  }

 private:
  ops::Backend& backend_;
  std::int32_t vocab_;
  ops::Program program_;
  std::unique_ptr<ops::Executable> executable_;
};

void expect_equal(const step::StepOutput& got, const step::StepOutput& expected,
                  const std::string& what) {
  EXPECT_TRUE(got.faults.empty()) << what;
  EXPECT_EQ(got.codes, expected.codes) << what;
  ASSERT_EQ(got.draws.size(), expected.draws.size()) << what;
  for (std::size_t d = 0; d < got.draws.size(); ++d) {
    EXPECT_EQ(got.draws[d].slot, expected.draws[d].slot) << what;
    EXPECT_EQ(got.draws[d].has_codes, expected.draws[d].has_codes) << what << ", draw " << d;
    EXPECT_EQ(got.draws[d].end_frame, expected.draws[d].end_frame) << what << ", draw " << d;
  }
  ASSERT_EQ(got.logprobs.size(), expected.logprobs.size()) << what;
}

// Of all draws but the last, which has no rules.
void expect_near_logprobs(const step::StepOutput& got, const step::StepOutput& expected,
                          std::int32_t count, const std::string& what) {
  for (std::size_t d = 0; d + 1 < got.logprobs.size(); ++d) {
    EXPECT_NEAR(got.logprobs[d], expected.logprobs[d], 1e-5) << what;
    for (std::int32_t i = 0; i < count; ++i) {
      const std::size_t at = d * rules::kMaxLogprobs + static_cast<std::size_t>(i);
      EXPECT_EQ(got.likeliest_ids[at], expected.likeliest_ids[at]) << what;
      EXPECT_NEAR(got.likeliest_logprobs[at], expected.likeliest_logprobs[at], 1e-5) << what;
    }
  }
}

TEST(CudaTokenRules, AreThoseOfTheReference) {
  if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  for (const std::int32_t vocab : {40, 2048, 2049, 8194, 32000, 51200}) {
    for (const Case& of : cases(vocab)) {
      const auto reference = ops::make_reference_backend();
      const auto backend = make_cuda_backend(0);
      reference->create_state(state_of_tokens());
      backend->create_state(state_of_tokens());
      Rounds plain(*reference, of, vocab);
      Rounds ours(*backend, of, vocab);
      for (std::int32_t first = 0; first < kSteps;) {
        step::StepOutput expected = plain.run(first, {});
        expect_equal(ours.run(first, {}), expected, of.name);
        expect_near_logprobs(ours.run(first + 1, {}), plain.run(first + 1, {}),
                             of.tokens->num_logprobs, of.name);
        first += 2;
        std::vector<std::int32_t> drafts;  // of ids that were drawn: they come true now and then
        for (std::int32_t i = 0; i < 4; ++i) drafts.push_back((expected.codes[0] + i) % vocab);
        expected = plain.run(first, drafts);
        const step::StepOutput got = ours.run(first, drafts);
        expect_equal(got, expected, of.name + ", drafts");
        for (std::size_t d = 0; d + 1 < got.draws.size() && got.draws[d].has_codes; ++d) ++first;
      }
    }
  }
}

// The same draws once more with what they gave as drafts: all of them come true.
TEST(CudaTokenRules, AllDraftsMayComeTrue) {
  if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  for (const std::int32_t vocab : {40, 32000}) {
    for (const Case& of : cases(vocab)) {
      const auto backend = make_cuda_backend(0);
      backend->create_state(state_of_tokens());
      std::vector<std::int32_t> made;
      Rounds single(*backend, of, vocab);
      for (std::int32_t step = 0; step < 7; ++step)
        made.push_back(single.run(step, {}).codes.at(0));
      Rounds verified(*backend, of, vocab);
      const step::StepOutput output =
          verified.run(0, std::vector<std::int32_t>(made.begin(), made.end() - 1));
      for (std::size_t d = 0; d < made.size(); ++d) {
        EXPECT_TRUE(output.draws.at(d).has_codes) << of.name << d;
        EXPECT_EQ(output.codes.at(d), made[d]) << of.name << d;
      }
    }
  }
}

TEST(CudaTokenRules, TooLongListsAreRefused) {
  if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  const auto backend = make_cuda_backend(0);
  backend->create_state(state_of_tokens());
  step::TokenRules tokens;
  tokens.biases.resize(cuda::kMaxTokenBiases + 1);
  const auto reset = [&] {
    backend->reset_slot({0, {}, false, std::make_shared<const step::TokenRules>(tokens)});
  };
  EXPECT_TRUE(test::throws_naming<InternalError>("token rules: expected at most", reset));
  tokens.biases.clear();
  tokens.seen.resize(41);
  EXPECT_TRUE(test::throws_naming<InternalError>("token rules: expected at most", reset));
}

}  // namespace
}  // namespace ttsrt
