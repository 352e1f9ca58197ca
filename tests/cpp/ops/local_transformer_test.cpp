// Compares PickCodes with NeMo's local transformer: local_transformer_goldens.json has the codes
// and raw logits that it gave for the same hashed weights and the same random numbers
// (make_local_transformer_goldens.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/block.h"
#include "ops/reference/reference_backend.h"
#include "rules/maskgit.h"
#include "support/backend.h"
#include "support/weights.h"
#include "ttsrt/error.h"

namespace ttsrt::ops {
namespace {

using test::TestWeight;

constexpr std::int32_t kCodebooks = 3;
constexpr std::int32_t kFrames = 2;
constexpr std::int32_t kPicks = kCodebooks * kFrames;
constexpr std::int32_t kVocab = 32;
constexpr std::int32_t kCodes = 24;
constexpr std::int32_t kDim = 16;
constexpr std::int32_t kWidth = 8;
constexpr std::int32_t kStep = 5;

// The weights of make_local_transformer_goldens.py.
class Fixture {
 public:
  Fixture() {
    op.codebooks = kPicks;
    op.vocab = kVocab;
    op.dim = kDim;
    op.mask_id = kCodes + 4;
    op.positions = keep(test::make_dense(kPicks + 2, kWidth, DType::float32, 1, 0.5F));
    op.code_tables = keep(test::make_dense(kPicks * kVocab, kDim, DType::float32, 2));
    op.in_proj = keep(test::make_panel(kWidth, kDim, DType::float32, 3, 0.5F));
    op.in_proj_bias = keep(test::make_vector(kWidth, 4, 0.2F));
    op.head_biases = keep(test::make_vector(kPicks * kVocab, 5, 0.5F));
    for (std::uint64_t i = 0; i < 2; ++i) add_layer(10 + 10 * i);
    op.network = network(true);
    for (std::uint64_t i = 0; i < kPicks; ++i) {
      op.head_weights.push_back(
          keep(test::make_panel(kVocab, kWidth, DType::float32, 100 + i, 0.8F)));
    }
  }

  // The layers, causal for autoregressive picks.
  NestedProgram network(bool is_causal) const {
    model::StackConfig config;
    config.layers = static_cast<std::int32_t>(weights_.layers.size());
    config.dim = kWidth;
    config.ffn_dim = 4 * kWidth;
    config.heads = 2;
    config.is_causal = is_causal;
    return model::write_nested("local_transformer", config, weights_);
  }

  PickCodes op;

 private:
  const Weight& keep(TestWeight weight) {
    kept_.push_back(std::move(weight));
    return kept_.back();
  }

  void add_layer(std::uint64_t seed) {
    model::LayerWeights layer;
    layer.self_norm = keep(test::make_vector(kWidth, seed, 0.3F, 1.0F));
    layer.self_qkv = keep(test::make_panel(3 * kWidth, kWidth, DType::float32, seed + 1, 0.8F));
    layer.self_out = keep(test::make_panel(kWidth, kWidth, DType::float32, seed + 2, 0.8F));
    layer.ffn_norm = keep(test::make_vector(kWidth, seed + 3, 0.3F, 1.0F));
    layer.ffn_in = keep(test::make_panel(4 * kWidth, kWidth, DType::float32, seed + 4, 0.8F));
    layer.ffn_out = keep(test::make_panel(kWidth, 4 * kWidth, DType::float32, seed + 5, 0.4F));
    weights_.layers.push_back(layer);
  }

  model::StackWeights weights_;
  std::vector<TestWeight> kept_;
};

rules::MaskGitSampling sampling_of(const nlohmann::json& name) {
  if (name.is_null()) return rules::MaskGitSampling::standard;
  if (name == "causal") return rules::MaskGitSampling::causal;
  return name == "purity_default" ? rules::MaskGitSampling::purity
                                  : rules::MaskGitSampling::purity_causal;
}

void set_maskgit(const nlohmann::json& golden, rules::MaskGitRules& rules) {
  rules.steps = golden.at("n_steps").get<std::int32_t>();
  rules.noise_scale = golden.at("noise_scale").get<float>();
  rules.dynamic_cfg_scale = golden.at("dynamic_cfg_scale").get<bool>();
  rules.sampling = sampling_of(golden.at("sampling_type"));
  for (std::int32_t pass = 0; pass < rules.steps; ++pass) {
    const double progress = static_cast<double>(pass) / rules.steps;
    const bool is_linear = rules::unmasks_in_order(rules.sampling);
    const double masked = is_linear ? 1.0 - progress : std::cos(progress * 1.57079632679489661923);
    rules.num_unmasked[pass] = kPicks - static_cast<std::int32_t>(std::ceil(kPicks * masked));
  }
}

rules::SlotRules rules_of(const nlohmann::json& golden, std::int32_t request) {
  rules::SlotRules rules;
  rules.cfg_scale = 2.5F;
  rules.use_local_transformer = true;
  rules.sampler.temperature = golden.at("temperature").get<float>();
  rules.sampler.top_k = 5;
  rules.sampler.seed = 11 + static_cast<std::uint64_t>(request);
  rules.eos_id = kCodes + 1;
  rules.codebooks = kCodebooks;
  rules.frame_stacking = kFrames;
  for (const std::int32_t special : {24, 26, 27, 28, 29, 30, 31})
    rules.forbidden[rules.num_forbidden++] = special;
  if (golden.at("maskgit").get<bool>()) set_maskgit(golden, rules.maskgit);
  return rules;
}

StateSpec state_of() {
  StateSpec spec;
  spec.slots = 2;
  spec.codebooks = kPicks;
  spec.max_text_len = 1;
  return spec;
}

// Advances both slots to the step at which the goldens were recorded.
void advance(Backend& backend, const step::RowBatch& batch, const Fixture& fixture) {
  Program program;
  PickCodes op = fixture.op;
  op.hidden = test::add_input(program, kDim);
  program.ops.emplace_back(op);
  program.ops.emplace_back(FinishStep{kPicks, kFrames});
  for (std::int32_t step = 0; step < kStep; ++step) test::run_program(backend, program, batch);
}

void check_golden(const nlohmann::json& golden, const Fixture& fixture) {
  const bool is_guided = golden.at("guided").get<bool>();
  const std::unique_ptr<Backend> backend = make_reference_backend();
  backend->create_state(state_of());
  test::TestBatch rows;
  const std::vector<float> hidden = test::random_vector(4 * kDim, 6);
  const std::int32_t num_rows = is_guided ? 4 : 2;
  for (std::int32_t row = 0; row < num_rows; ++row) {
    step::Segment& segment = rows.add_vectors(
        row % 2, 1,
        std::vector<float>(hidden.begin() + row * kDim, hidden.begin() + (row + 1) * kDim));
    segment.branch = row < 2 ? step::Branch::conditional : step::Branch::unconditional;
  }
  for (std::int32_t request = 0; request < 2; ++request) {
    backend->reset_slot({request, rules_of(golden, request)});
    rows.add_draw(request, request, is_guided ? request + 2 : -1);
  }
  advance(*backend, rows.batch, fixture);

  Program program;
  PickCodes op = fixture.op;
  op.maskgit = golden.at("maskgit").get<bool>();
  op.network = fixture.network(!op.maskgit);
  op.hidden = test::add_input(program, kDim);
  op.pick_logits = program.add("pick_logits", kPicks * kVocab);
  program.ops.emplace_back(op);
  program.ops.emplace_back(FinishStep{kPicks, kFrames});
  step::StepOutput output;
  const auto executable = test::run_program(*backend, program, rows.batch, &output);
  const auto expected = golden.at("codes").get<std::vector<std::vector<std::int32_t>>>();
  EXPECT_EQ(std::vector<std::int32_t>(output.codes.begin(), output.codes.begin() + kPicks),
            expected[0]);
  EXPECT_EQ(std::vector<std::int32_t>(output.codes.begin() + kPicks, output.codes.end()),
            expected[1]);
  const auto logits = golden.at("logits").get<std::vector<float>>();
  ASSERT_EQ(logits.size(), static_cast<std::size_t>(num_rows) * kPicks * kVocab);
  const float* kept = executable->activation(op.pick_logits);
  for (std::size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(kept[i], logits[i], 2e-5) << i;
}

TEST(LocalTransformer, PicksTheCodesOfTheOriginal) {
  std::ifstream file(TTSRT_TEST_DIR "/ops/local_transformer_goldens.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  ASSERT_EQ(goldens.size(), 11U);
  const Fixture fixture;
  for (const auto& golden : goldens) {
    nlohmann::json name = golden;
    name.erase("logits");
    SCOPED_TRACE(name.dump());
    check_golden(golden, fixture);
  }
}

TEST(LocalTransformer, OnlyDrawsThatAskForItPick) {
  const Fixture fixture;
  const std::unique_ptr<Backend> backend = make_reference_backend();
  backend->create_state(state_of());
  rules::SlotRules rules = rules_of({{"temperature", 0.0F}, {"maskgit", false}}, 0);
  rules.use_local_transformer = false;
  backend->reset_slot({0, rules});
  test::TestBatch rows;
  rows.add_vectors(0, 1, test::random_vector(kDim, 6));
  rows.add_draw(0, 0);
  Program program;
  PickCodes op = fixture.op;
  op.hidden = test::add_input(program, kDim);
  op.pick_logits = program.add("pick_logits", kPicks * kVocab);
  program.ops.emplace_back(op);
  const auto executable = test::run_program(*backend, program, rows.batch);
  EXPECT_EQ(test::values_of(*executable, op.pick_logits, kVocab), std::vector<float>(kVocab, 0.0F));
  program.ops.emplace_back(FinishStep{kPicks, kFrames});
  EXPECT_THROW(test::run_program(*backend, program, rows.batch), InternalError);
}

}  // namespace
}  // namespace ttsrt::ops
