// Draws from numbers that are not finite, and requests that bring such numbers, on the reference
// and on every instruction set: they are reported by row, and neither their company nor who comes
// after them notices.
#include <gtest/gtest.h>

#include "cpu_model.h"
#include "support/faults.h"

namespace ttsrt {
namespace {

using step::FaultStage;
using test::ModelShape;
using test::SmallModel;
using test::SmallRequest;
using test::tell;
using test::TestBatch;
using test::told;
using test::Told;

constexpr float kInfinity = INFINITY;

class CpuFaultyDraws : public test::CpuIsaTest {
 protected:
  static std::unique_ptr<ops::Backend> open(const ops::StateSpec& spec) {
    return test::open_backend(GetParam(), spec);
  }
};

constexpr std::int32_t kCodebooks = 4;
constexpr std::int32_t kVocab = 21;
constexpr std::int32_t kLogits = kCodebooks * kVocab;

rules::SlotRules drawing_rules(float temperature, float penalty = 1.0F) {
  rules::SlotRules rules;
  rules.codebooks = kCodebooks;
  rules.eos_id = kVocab - 1;
  rules.cfg_scale = 3.0F;
  rules.sampler.temperature = temperature;
  rules.sampler.repetition_penalty = penalty;
  rules.sampler.num_seen_first = 1;
  rules.sampler.seen_first[0] = 2;
  return rules;
}

// A guided draw of slot 0 (rows 0 and 1) and a plain one of slot 1 (row 2), of which `logits` are
// given.
step::StepOutput draw(ops::Backend& backend, const rules::SlotRules& rules,
                      const std::vector<float>& logits) {
  ops::Program program;
  program.ops.emplace_back(
      ops::SampleCodes{test::add_input(program, kLogits), ops::kNoBuffer, kCodebooks, kVocab});
  program.ops.emplace_back(ops::FinishStep{kCodebooks, 1});
  for (std::int32_t slot = 0; slot < 2; ++slot) backend.reset_slot({slot, rules});
  TestBatch batch;
  batch.add_vectors(0, 1, {logits.begin(), logits.begin() + kLogits});
  batch.add_vectors(0, 1, {logits.begin() + kLogits, logits.begin() + 2 * kLogits});
  batch.add_vectors(1, 1, {logits.begin() + 2 * kLogits, logits.end()});
  batch.add_draw(0, 0, 1);
  batch.add_draw(1, 2);
  step::StepOutput output;
  test::run_program(backend, program, batch.batch, &output);
  for (const std::int32_t code : output.codes) EXPECT_TRUE(code >= 0 && code < kVocab) << code;
  return output;
}

TEST_P(CpuFaultyDraws, LogitsOfEitherBranchAndTheirMix) {
  ops::StateSpec spec = test::small_state();
  spec.seen_vocab = kVocab;
  const auto backend = open(spec);
  const auto logits = test::random_vector(3 * kLogits, 3, 4.0F);
  for (const float temperature : {0.0F, 0.7F}) {
    const rules::SlotRules rules = drawing_rules(temperature);
    const step::StepOutput sound = draw(*backend, rules, logits);
    EXPECT_EQ(told(sound), Told{});
    for (const std::size_t row : {0U, 1U, 2U}) {
      for (const float value : {kInfinity, -kInfinity, NAN, 2e38F, -2e38F}) {
        auto spoiled = logits;
        spoiled[row * kLogits + 30] = value;
        const step::StepOutput got = draw(*backend, rules, spoiled);
        const bool is_sound = row == 2 && std::isfinite(value);
        EXPECT_EQ(told(got), is_sound ? Told{} : Told{tell(row == 2 ? 2 : 0, FaultStage::logits)})
            << row << " " << value;
        const auto first = row == 2 ? 0 : kCodebooks;  // of the other draw's codes
        for (std::int32_t c = first; c < first + kCodebooks; ++c)
          EXPECT_EQ(got.codes[static_cast<std::size_t>(c)],
                    sound.codes[static_cast<std::size_t>(c)]);
      }
    }
  }
}

TEST_P(CpuFaultyDraws, PenaltiesThatOverflow) {
  ops::StateSpec spec = test::small_state();
  spec.seen_vocab = kVocab;
  const auto backend = open(spec);
  for (const float temperature : {0.0F, 0.7F}) {
    for (const float value : {1e38F, -1e38F}) {
      auto logits = test::random_vector(3 * kLogits, 3, 4.0F);
      logits[2 * kLogits + 2] = value;  // an id that is seen
      const Told found = told(draw(*backend, drawing_rules(temperature, 1.0F), logits));
      EXPECT_EQ(found, Told{});
      const float penalty = value > 0.0F ? 0.01F : 100.0F;
      EXPECT_EQ(told(draw(*backend, drawing_rules(temperature, penalty), logits)),
                Told{tell(2, FaultStage::logits)});
      logits[2 * kLogits + 2] = 0.0F;
      EXPECT_EQ(told(draw(*backend, drawing_rules(temperature, penalty), logits)), Told{});
    }
  }
}

TEST_P(CpuFaultyDraws, MasksThatLeaveNothing) {
  ops::StateSpec spec = test::small_state();
  spec.codebooks = 1;
  const auto backend = open(spec);
  constexpr std::int32_t kFew = 3;
  ops::Program program;
  program.ops.emplace_back(
      ops::SampleCodes{test::add_input(program, kFew), ops::kNoBuffer, 1, kFew});
  program.ops.emplace_back(ops::FinishStep{1, 1});
  for (const float temperature : {0.0F, 0.7F}) {
    for (const std::int32_t forbidden : {2, 3}) {
      rules::SlotRules rules;
      rules.codebooks = 1;
      rules.sampler.temperature = temperature;
      rules.num_forbidden = forbidden;
      for (std::int32_t id = 0; id < forbidden; ++id) rules.forbidden[id] = id;
      backend->reset_slot({0, rules});
      TestBatch batch;
      batch.add_vectors(0, 1, {1.0F, 2.0F, 3.0F});
      batch.add_draw(0, 0);
      step::StepOutput output;
      test::run_program(*backend, program, batch.batch, &output);
      EXPECT_EQ(told(output), forbidden == 2 ? Told{} : Told{tell(0, FaultStage::choice)});
      EXPECT_TRUE(forbidden == 3 || output.codes[0] == 2);
    }
  }
}

// Scores are looked at where they move a prior or are returned.
TEST_P(CpuFaultyDraws, Scores) {
  constexpr std::int32_t kText = 18;
  const ops::StateSpec spec = test::small_state();
  const std::int64_t width = std::int64_t{spec.memory_heads} * spec.memory_head_dim;
  ops::Program store;
  store.ops.emplace_back(ops::StoreMemory{test::add_input(store, 2 * width), 0, ops::Memory::text});
  ops::Program program;
  const ops::BufferId q = test::add_input(program, width);
  const ops::BufferId out = program.add("out", width);
  const ops::BufferId scores = program.add("scores", spec.max_text_len, ops::RowSpace::draws);
  program.ops.emplace_back(ops::ClearScores{scores});
  program.ops.emplace_back(ops::CrossAttention{q, out, scores, spec.memory_heads,
                                               spec.memory_head_dim, 0, ops::Memory::text});
  program.ops.emplace_back(ops::UpdatePrior{scores});
  for (const bool is_returned : {false, true}) {
    for (const auto mode : {rules::PriorMode::off, rules::PriorMode::nemo}) {
      const auto backend = open(spec);
      rules::SlotRules rules;
      rules.text_len = kText;
      rules.keep_scores = is_returned;
      rules.prior.mode = mode;
      rules.prior.estimate_layers = 1;
      rules.prior.apply_layers = 1;
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        backend->reset_slot({slot, rules});
        auto kv = test::random_vector(static_cast<std::size_t>(kText * 2 * width), 11);
        if (slot == 1) kv[static_cast<std::size_t>(17 * 2 * width)] = 1e30F;
        TestBatch batch;
        batch.add_vectors(slot, kText, kv);
        step::StepOutput stored;
        test::run_program(*backend, store, batch.batch, &stored);
        EXPECT_EQ(told(stored), Told{});
      }
      TestBatch batch;
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        batch.add_vectors(slot, 1, std::vector<float>(static_cast<std::size_t>(width), 1e20F));
        batch.add_draw(slot, slot);
      }
      step::StepOutput output;
      test::run_program(*backend, program, batch.batch, &output);
      const bool are_used = is_returned || mode != rules::PriorMode::off;
      EXPECT_EQ(told(output), are_used ? Told{tell(1, FaultStage::scores)} : Told{});
    }
  }
}

TEST_P(CpuFaultyDraws, LocalTransformersOfBothKinds) {
  for (const bool maskgit : {false, true}) {
    for (const bool is_narrow : {false, true}) {
      ModelShape shape;
      shape.has_local_transformer = true;
      shape.maskgit = maskgit;
      if (is_narrow) shape.matrices = ops::Quantization::w8a8;
      const SmallModel model(shape);
      const auto backend = open(SmallModel::state(DType::float32, 2));
      const auto run = [&](std::size_t row, float value) {
        auto hidden = test::random_vector(4 * SmallModel::kDim, 8);
        hidden[row * SmallModel::kDim + 5] = value;
        TestBatch batch;
        for (std::int32_t slot = 0; slot < 2; ++slot) {
          SmallRequest request = SmallRequest::make(slot, 2);
          request.rules.use_local_transformer = true;
          backend->reset_slot({slot, request.rules});
          const auto first = hidden.begin() + slot * 2 * SmallModel::kDim;
          batch.add_vectors(slot, 1, {first, first + SmallModel::kDim});
          batch.add_vectors(slot, 1, {first + SmallModel::kDim, first + 2 * SmallModel::kDim});
          batch.add_draw(slot, 2 * slot, 2 * slot + 1);
        }
        step::StepOutput output;
        test::run_program(*backend, model.picks, batch.batch, &output);
        return output;
      };
      const step::StepOutput sound = run(2, 0.0F);
      EXPECT_EQ(told(sound), Told{});
      for (const std::size_t row : {2U, 3U}) {
        for (const float value : {kInfinity, NAN, 1e30F}) {
          const step::StepOutput got = run(row, value);
          EXPECT_EQ(told(got), Told{tell(2, FaultStage::local_logits)}) << maskgit << value;
          for (std::size_t c = 0; c < SmallModel::kCodebooks; ++c)
            EXPECT_EQ(got.codes[c], sound.codes[c]);
        }
      }
    }
  }
}

// Three requests, of which the second may bring a context of huge numbers; then sound ones in the
// same slots and blocks.
class Rounds {
 public:
  Rounds(std::unique_ptr<ops::Backend> backend, const SmallModel& model, bool picks)
      : backend_(std::move(backend)),
        picks_(picks),
        encoder_(backend_->compile(model.encoder, {100, 0})),
        prefill_(backend_->compile(model.prefill, {100, 0})),
        decode_(backend_->compile(model.decode, {6, 3})) {}

  // Returns the codes of every step, request by request.
  std::vector<std::vector<std::int32_t>> run(bool is_faulty) {
    TestBatch text;
    TestBatch context;
    std::vector<SmallRequest> requests;
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      requests.push_back(SmallRequest::make(slot, 3));
      requests.back().rules.use_local_transformer = picks_;
      backend_->reset_slot({slot, requests.back().rules});
      requests.back().add_text(text);
      requests.back().add_context(context);
    }
    std::vector<float> huge(static_cast<std::size_t>(requests[1].context * SmallModel::kDim),
                            3e38F);
    if (is_faulty) context.batch.segments[2].vectors = huge.data();
    launch(*encoder_, text);
    const Told found = told(launch(*prefill_, context));
    EXPECT_EQ(found.size(), is_faulty ? static_cast<std::size_t>(requests[1].context) : 0U);
    if (is_faulty) {
      const std::int32_t first = context.batch.segments[2].first_row;
      EXPECT_EQ(found.front(), tell(first, FaultStage::self_attention, 0));
    }
    std::vector<std::vector<std::int32_t>> codes(3);
    for (std::int32_t step = 0; step < 5; ++step) {
      TestBatch batch;
      for (const SmallRequest& request : requests) request.add_step(batch, step);
      const step::StepOutput output = launch(*decode_, batch);
      EXPECT_EQ(told(output), is_faulty ? Told{tell(2, FaultStage::self_attention, 1)} : Told{});
      for (std::size_t slot = 0; slot < 3; ++slot) {
        const auto from =
            output.codes.begin() + static_cast<std::ptrdiff_t>(slot) * SmallModel::kCodebooks;
        codes[slot].insert(codes[slot].end(), from, from + SmallModel::kCodebooks);
      }
    }
    return codes;
  }

 private:
  step::StepOutput launch(ops::Executable& executable, const TestBatch& batch) {
    executable.launch(batch.batch);
    return test::run_queued(*backend_);
  }

  std::unique_ptr<ops::Backend> backend_;
  const bool picks_;
  std::unique_ptr<ops::Executable> encoder_, prefill_, decode_;
};

TEST_P(CpuFaultyDraws, NeitherCompanyNorSuccessorsNotice) {
  ModelShape heads;
  ModelShape places;
  places.has_local_transformer = true;
  ModelShape passes = places;
  passes.maskgit = true;
  for (const ModelShape& shape : {heads, places, passes}) {
    const SmallModel model(shape);
    const bool picks = shape.has_local_transformer;
    for (const DType cache : {DType::float32, DType::bfloat16, DType::float16, DType::int8}) {
      Rounds fresh(open(SmallModel::state(cache, 3)), model, picks);
      const auto expected = fresh.run(false);
      Rounds rounds(open(SmallModel::state(cache, 3)), model, picks);
      const auto beside = rounds.run(true);
      EXPECT_EQ(beside[0], expected[0]) << name_of(cache);
      EXPECT_EQ(beside[2], expected[2]) << name_of(cache);
      EXPECT_EQ(rounds.run(false), expected) << name_of(cache);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, CpuFaultyDraws, testing::Values("reference"), test::isa_name);
INSTANTIATE_TEST_SUITE_P(Levels, CpuFaultyDraws, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
