// Codes from vocabularies of the sizes that have a way of their own on a GPU: small ones, which a
// block keeps in registers or shared memory, and large ones. They are those of the reference.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

struct Case {
  std::string name;
  std::int32_t codebooks;
  std::int32_t vocab;
  rules::SlotRules rules;
};

rules::SlotRules sampling(float temperature, std::int32_t top_k, float top_p) {
  rules::SlotRules rules;
  rules.sampler.temperature = temperature;
  rules.sampler.top_k = top_k;
  rules.sampler.top_p = top_p;
  return rules;
}

// Forbids the ends of speech, and ids all over the row.
rules::SlotRules masked(rules::SlotRules rules, std::int32_t vocab) {
  rules.min_frames = 20;
  rules.eos_id = vocab - 7;
  rules.first_invalid = vocab - 6;
  rules.num_forbidden = rules::kMaxForbidden;
  for (std::int32_t i = 0; i < rules::kMaxForbidden; ++i)
    rules.forbidden[i] = i * (vocab / rules::kMaxForbidden) + 3;
  return rules;
}

rules::SlotRules penalised(rules::SlotRules rules) {
  rules.sampler.repetition_penalty = 1.2F;
  rules.sampler.num_seen_first = 2;
  rules.sampler.seen_first[0] = 5;
  rules.sampler.seen_first[1] = 17;
  rules.sampler.min_p = 0.05F;
  rules.guidance = rules::Guidance::extrapolate;
  return rules;
}

std::vector<Case> cases() {
  const rules::SlotRules greedy = sampling(0.0F, 0, 1.0F);
  std::vector<Case> all;
  for (const std::int32_t vocab : {24, 2024, 2048, 2049, 8194, 32000}) {
    const std::int32_t codebooks = vocab <= 2048 ? 8 : 1;
    const std::string of = " of " + std::to_string(vocab);
    all.push_back({"greedy" + of, codebooks, vocab, greedy});
    all.push_back({"greedy, masked" + of, codebooks, vocab, masked(greedy, vocab)});
    all.push_back({"top-k" + of, codebooks, vocab, sampling(0.6F, 20, 1.0F)});
    all.push_back(
        {"top-k, masked" + of, codebooks, vocab, masked(sampling(0.6F, 20, 1.0F), vocab)});
    all.push_back({"top-k, top-p" + of, codebooks, vocab, sampling(0.7F, 20, 0.95F)});
    all.push_back({"top-p" + of, codebooks, vocab, sampling(0.8F, 0, 0.9F)});
    all.push_back({"penalty" + of, codebooks, vocab, penalised(sampling(0.8F, 0, 0.95F))});
    all.push_back({"greedy, penalty" + of, codebooks, vocab, penalised(greedy)});
  }
  return all;
}

// A guided draw of slot 0 and a plain one of slot 1, of logits that are apart or far apart.
std::vector<std::int32_t> codes_of(ops::Backend& backend, const Case& of, std::uint64_t seed) {
  const std::int64_t width = std::int64_t{of.codebooks} * of.vocab;
  ops::Program program;
  program.ops.emplace_back(
      ops::SampleCodes{test::add_input(program, width), ops::kNoBuffer, of.codebooks, of.vocab});
  program.ops.emplace_back(ops::FinishStep{of.codebooks, 1});
  test::TestBatch batch;
  for (const std::int32_t slot : {0, 0, 1}) {
    const float scale = seed % 2 == 0 ? 12.0F : 40.0F;
    const auto row = static_cast<std::uint64_t>(batch.batch.rows);
    batch.add_vectors(slot, 1,
                      test::random_vector(static_cast<std::size_t>(width), 10 * seed + row, scale));
  }
  for (std::int32_t slot = 0; slot < 2; ++slot) {
    rules::SlotRules rules = of.rules;
    rules.codebooks = of.codebooks;
    rules.cfg_scale = 2.5F;
    rules.sampler.seed = seed + static_cast<std::uint64_t>(slot);
    backend.reset_slot({slot, rules});
  }
  batch.add_draw(0, 0, 1);
  batch.add_draw(1, 2);
  step::StepOutput output;
  test::run_program(backend, program, batch.batch, &output);
  EXPECT_TRUE(output.faults.empty()) << of.name;
  return output.codes;
}

TEST(CudaSample, CodesAreThoseOfTheReference) {
  if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  for (const Case& of : cases()) {
    ops::StateSpec spec = test::small_state();
    spec.codebooks = of.codebooks;
    spec.seen_vocab = of.vocab;
    const auto reference = ops::make_reference_backend();
    const auto backend = make_cuda_backend(0);
    reference->create_state(spec);
    backend->create_state(spec);
    for (std::uint64_t seed = 1; seed <= 4; ++seed)
      EXPECT_EQ(codes_of(*backend, of, seed), codes_of(*reference, of, seed)) << of.name << seed;
  }
}

}  // namespace
}  // namespace ttsrt
