// Local transformers of any depth: both backends agree, and a draw's bits depend neither on the
// draws beside it nor on the number of threads.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu_model.h"

namespace ttsrt {
namespace {

using test::ModelShape;
using test::SmallModel;
using test::TestBatch;

constexpr std::int32_t kSlots = 33;
constexpr std::int32_t kFew = 7;  // where the slow reference runs too
constexpr std::int64_t kLogits = std::int64_t{SmallModel::kCodebooks} * SmallModel::kVocab;

// Every third request is not guided, and every fourth is greedy.
bool is_guided(std::int32_t slot) { return slot % 3 != 1; }

rules::SlotRules rules_of(std::int32_t slot, bool maskgit) {
  rules::SlotRules rules = test::SmallRequest::make(0, 1).rules;
  rules.use_local_transformer = true;
  rules.sampler.seed = 100 + static_cast<std::uint64_t>(slot);
  rules.sampler.temperature = slot % 4 == 0 ? 0.0F : 0.9F;
  rules.sampler.top_k = slot % 2 == 0 ? 0 : 11;
  rules.sampler.confidence_temperature = 0.6F;
  if (!maskgit) return rules;
  rules.maskgit.steps = 1 + slot % 4;
  for (std::int32_t pass = 0; pass < rules.maskgit.steps; ++pass)
    rules.maskgit.num_unmasked[pass] = pass * SmallModel::kCodebooks / rules.maskgit.steps;
  return rules;
}

// The rows of some slots, conditional rows first in each, as the decoder leaves them.
TestBatch batch_of(std::int32_t first, std::int32_t count) {
  TestBatch batch;
  for (std::int32_t slot = first; slot < first + count; ++slot) {
    const std::int32_t row = batch.batch.rows;
    const std::int32_t branches = is_guided(slot) ? 2 : 1;
    for (std::int32_t branch = 0; branch < branches; ++branch) {
      const auto seed = static_cast<std::uint64_t>(std::int64_t{2} * slot + branch);
      batch.add_vectors(slot, 1, test::random_vector(SmallModel::kDim, seed)).branch =
          branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
    }
    batch.add_draw(slot, row, branches > 1 ? row + 1 : -1);
  }
  return batch;
}

ops::BufferId logits_of(const ops::Program& program) {
  for (std::size_t b = 0; b < program.activations.size(); ++b)
    if (program.activations[b].name == "pick_logits") return static_cast<ops::BufferId>(b);
  return ops::kNoBuffer;
}

// Codes and raw logits of each slot of a launch.
using Picked = std::vector<std::vector<float>>;

Picked run_picks(ops::Backend& backend, ops::Executable& executable, const SmallModel& model,
                 bool maskgit, std::int32_t first, std::int32_t count) {
  for (std::int32_t slot = first; slot < first + count; ++slot)
    backend.reset_slot({slot, rules_of(slot, maskgit)});
  const TestBatch batch = batch_of(first, count);
  executable.launch(batch.batch);
  const step::StepOutput output = test::run_queued(backend);
  const float* logits = executable.activation(logits_of(model.picks));
  Picked picked;
  auto code = output.codes.begin();
  for (std::int32_t slot = first; slot < first + count; ++slot) {
    std::vector<float>& of = picked.emplace_back();
    for (std::int32_t i = 0; i < SmallModel::kCodebooks; ++i)
      of.push_back(static_cast<float>(*code++));
    const std::int64_t values = kLogits * (is_guided(slot) ? 2 : 1);
    of.insert(of.end(), logits, logits + values);
    logits += values;
  }
  return picked;
}

void expect_same_alone_and_beside(const std::string& isa, const ModelShape& shape) {
  const SmallModel model(shape);
  Picked whole;
  for (const std::int32_t threads : test::thread_counts(isa)) {
    const auto backend = test::open_native(isa, threads);
    backend->create_state(SmallModel::state(DType::float32, kSlots));
    ops::ProgramLimits limits = test::traced(2 * kSlots, kSlots);
    limits.trace = false;
    const auto executable = backend->compile(model.picks, limits);
    if (whole.empty()) whole = run_picks(*backend, *executable, model, shape.maskgit, 0, kSlots);
    for (const std::int32_t count : {1, 2, 3, 5, 8, 9, 16, kSlots}) {
      for (const std::int32_t first : {0, kSlots - count}) {
        const Picked picked = run_picks(*backend, *executable, model, shape.maskgit, first, count);
        for (std::size_t i = 0; i < picked.size(); ++i) {
          const std::vector<float>& expected = whole[static_cast<std::size_t>(first) + i];
          ASSERT_EQ(picked[i].size(), expected.size());
          EXPECT_EQ(std::memcmp(picked[i].data(), expected.data(), expected.size() * sizeof(float)),
                    0)
              << "slot " << first + static_cast<std::int32_t>(i) << " among " << count << ", "
              << threads << " threads";
        }
      }
    }
  }
}

class CpuLocalAttention : public test::CpuIsaTest {};

void expect_same_at_any_depth(const std::string& isa, bool maskgit) {
  for (const std::int32_t layers : {1, 2, 3}) {
    SCOPED_TRACE(std::to_string(layers) + " layers");
    ModelShape shape{DType::float32, true, maskgit, layers == 2 ? SmallModel::kDim : 14};
    shape.local_layers = layers;
    shape.local_norm_out = layers == 3;
    expect_same_alone_and_beside(isa, shape);
  }
}

void expect_same_in(const std::string& isa, const test::WeightKind& kind) {
  for (const bool maskgit : {false, true}) {
    SCOPED_TRACE(kind.name() + (maskgit ? ", MaskGit" : ""));
    ModelShape shape{kind.dtype, true, maskgit, 14, kind};
    shape.local_layers = 3;
    expect_same_alone_and_beside(isa, shape);
  }
}

TEST_P(CpuLocalAttention, AloneOrInACrowd) { expect_same_at_any_depth(isa(), false); }

TEST_P(CpuLocalAttention, AloneOrInACrowdWithMaskGit) { expect_same_at_any_depth(isa(), true); }

TEST_P(CpuLocalAttention, AloneOrInACrowdInBfloat16) {
  expect_same_in(isa(), test::WeightKind(DType::bfloat16));
}

TEST_P(CpuLocalAttention, AloneOrInACrowdWithInt8Weights) {
  expect_same_in(isa(), test::WeightKind(ops::Quantization::w8a8));
}

TEST_P(CpuLocalAttention, AloneOrInACrowdWithInt4Weights) {
  expect_same_in(isa(), test::WeightKind(ops::Quantization::w4a16, 32));
}

TEST_P(CpuLocalAttention, AgreesWithTheReferenceAtAnyDepth) {
  for (const bool maskgit : {false, true}) {
    for (const std::int32_t layers : {1, 2, 3}) {
      for (const bool has_norm : {false, true}) {
        ModelShape shape{DType::float32, true, maskgit, has_norm ? SmallModel::kDim : 14};
        shape.local_layers = layers;
        shape.local_norm_out = has_norm;
        const SmallModel model(shape);
        test::Pair pair(isa(), 2, SmallModel::state(DType::float32, kSlots));
        test::PairExecutable picks(pair, model.picks, test::traced(2 * kFew, kFew));
        for (std::int32_t slot = 0; slot < kFew; ++slot)
          pair.reset_slot({slot, rules_of(slot, maskgit)});
        const std::string what =
            std::to_string(layers) + (maskgit ? " layers, MaskGit" : " layers");
        picks.run(batch_of(0, kFew).batch, 5e-5F, what);
        EXPECT_EQ(picks.got.codes, picks.expected.codes) << what;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuLocalAttention, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
