// Few rows of picks run in one launch (cuda/places.h), many in a launch per op: a request alone has
// the codes and logits that it has in a crowd, bit for bit, and those of the plain form.
#include "cuda/place_lowering.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/cpu_support.h"
#include "cuda/cuda_backend.h"
#include "model/block.h"
#include "ops/program.h"
#include "ops/reference/reference_backend.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt::cuda {
namespace {

using test::TestWeight;

constexpr std::int32_t kPlaces = 6;
constexpr std::int32_t kVocab = 121;
constexpr std::int32_t kWidth = 64;
constexpr std::int32_t kHeads = 4;
constexpr std::int32_t kCrowd = 9;
constexpr std::int32_t kSteps = 3;
constexpr std::size_t kRow = std::size_t{kPlaces} * kVocab;  // logits of a row
static_assert(kCrowd > kMostPlaceRows);

class Picks {
 public:
  Picks() {
    op.codebooks = kPlaces;
    op.vocab = kVocab;
    op.dim = kWidth;
    op.positions = keep(test::make_dense(kPlaces + 2, kWidth, DType::float32, 1, 0.5F));
    op.code_tables = keep(test::make_dense(kPlaces * kVocab, kWidth, DType::bfloat16, 2));
    op.head_biases = keep(test::make_vector(kPlaces * kVocab, 5, 0.5F));
    for (std::uint64_t i = 0; i < 2; ++i) add_layer(10 + 10 * i);
    for (std::uint64_t i = 0; i < kPlaces; ++i)
      op.head_weights.push_back(
          keep(test::make_panel(kVocab, kWidth, DType::bfloat16, 100 + i, 0.4F)));
    model::StackConfig config;
    config.layers = static_cast<std::int32_t>(stack_.layers.size());
    config.dim = kWidth;
    config.ffn_dim = 4 * kWidth;
    config.heads = kHeads;
    config.is_causal = true;
    op.network = model::write_nested("local_transformer", config, stack_);
  }

  ops::PickCodes op;

 private:
  const ops::Weight& keep(TestWeight weight) {
    kept_.push_back(std::move(weight));
    return kept_.back();
  }

  void add_layer(std::uint64_t seed) {
    const auto panel = [this](std::int64_t rows, std::int64_t cols, std::uint64_t of) {
      return keep(test::make_panel(rows, cols, DType::bfloat16, of, 0.3F));
    };
    model::LayerWeights layer;
    layer.self_norm = keep(test::make_vector(kWidth, seed, 0.3F, 1.0F));
    layer.self_qkv = panel(std::int64_t{3} * kWidth, kWidth, seed + 1);
    layer.self_out = panel(kWidth, kWidth, seed + 2);
    layer.ffn_norm = keep(test::make_vector(kWidth, seed + 3, 0.3F, 1.0F));
    layer.ffn_in = panel(std::int64_t{4} * kWidth, kWidth, seed + 4);
    layer.ffn_out = panel(kWidth, std::int64_t{4} * kWidth, seed + 5);
    stack_.layers.push_back(layer);
  }

  model::StackWeights stack_;
  std::vector<TestWeight> kept_;
};

rules::SlotRules rules_of(std::int32_t request) {
  rules::SlotRules rules;
  rules.cfg_scale = 2.0F + 0.1F * static_cast<float>(request);
  rules.use_local_transformer = true;
  rules.sampler.temperature = request == 1 ? 0.0F : 0.8F;
  rules.sampler.top_k = request == 2 ? 0 : 20 + request;
  rules.sampler.top_p = request == 3 ? 0.9F : 1.0F;
  rules.sampler.seed = 31 + static_cast<std::uint64_t>(request);
  rules.eos_id = kVocab - 3;
  rules.codebooks = kPlaces;
  rules.forbidden[rules.num_forbidden++] = 7;
  rules.forbidden[rules.num_forbidden++] = kVocab - 1;
  return rules;
}

// The requests of a run, and what is changed for all of them.
struct Company {
  Company(std::vector<std::int32_t> ids, bool has_guidance)
      : requests(std::move(ids)), is_guided(has_guidance) {}

  std::vector<std::int32_t> requests;
  bool is_guided = false;
  std::int32_t not_finite = -1;  // the request whose rows are infinite
  float min_p = 0.0F;
  std::vector<std::int32_t> forced;  // codes of all, or none
  std::int32_t max_draws = kCrowd + 1;
  bool is_profiled = false;
};

struct Picked {
  std::vector<std::int32_t> codes;  // [steps, requests, kPlaces]
  std::vector<float> logits;        // of the last step, by rows
  std::size_t faults = 0;
  std::vector<StageTimes> stages;

  const float* row(std::size_t index) const { return logits.data() + index * kRow; }
  std::int32_t code(std::size_t step, std::size_t request, std::size_t place) const {
    return codes[(step * (codes.size() / kSteps / kPlaces) + request) * kPlaces + place];
  }
};

std::vector<float> hidden_of(std::int32_t request, std::int32_t branch) {
  const auto seed = static_cast<std::uint64_t>(500 + std::int64_t{2} * request + branch);
  return test::random_vector(kWidth, seed, 2.0F);
}

void add_requests(const Company& company, ops::Backend& backend, test::TestBatch& batch) {
  const auto count = static_cast<std::int32_t>(company.requests.size());
  for (std::int32_t branch = 0; branch < (company.is_guided ? 2 : 1); ++branch) {
    for (const std::int32_t request : company.requests) {
      std::vector<float> hidden = hidden_of(request, branch);
      if (request == company.not_finite) hidden[3] = HUGE_VALF;
      step::Segment& segment = batch.add_vectors(request, 1, hidden);
      segment.branch = branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
    }
  }
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int32_t request = company.requests[static_cast<std::size_t>(i)];
    rules::SlotRules rules = rules_of(request);
    rules.sampler.min_p = company.min_p;
    backend.reset_slot({request, rules});
    batch.add_draw(request, i, company.is_guided ? count + i : -1);
    if (!company.forced.empty()) batch.batch.draws.back().forced = company.forced.data();
  }
}

Picked picked_by(ops::Backend& backend, const Company& company) {
  const Picks picks;
  ops::StateSpec spec;
  spec.slots = kCrowd;
  spec.codebooks = kPlaces;
  spec.max_text_len = 1;
  backend.create_state(spec);
  test::TestBatch batch;
  add_requests(company, backend, batch);
  ops::Program program;
  ops::PickCodes op = picks.op;
  op.hidden = test::add_input(program, kWidth);
  op.pick_logits = program.add("pick_logits", std::int64_t{kPlaces} * kVocab);
  program.ops.emplace_back(op);
  program.ops.emplace_back(ops::FinishStep{kPlaces, 1});
  ops::ProgramLimits limits;
  limits.max_rows = batch.batch.rows;
  limits.max_draws = company.max_draws;
  limits.profile = company.is_profiled;
  const auto executable = backend.compile(program, limits);
  Picked picked;
  for (std::int32_t step = 0; step < kSteps; ++step) {
    executable->launch(batch.batch);
    const step::StepOutput output = test::run_queued(backend);
    picked.codes.insert(picked.codes.end(), output.codes.begin(), output.codes.end());
    picked.faults += output.faults.size();
  }
  picked.logits = test::values_of(*executable, op.pick_logits, batch.batch.rows * kPlaces * kVocab);
  picked.stages = executable->stage_times();
  return picked;
}

Picked run_on_gpu(const Company& company) { return picked_by(*make_cuda_backend(0), company); }

std::vector<std::int32_t> everyone() {
  std::vector<std::int32_t> all;
  for (std::int32_t request = 0; request < kCrowd; ++request) all.push_back(request);
  return all;
}

bool has_same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

class Places : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
  }
};

TEST_P(Places, AloneAsInACrowd) {
  const bool is_guided = GetParam();
  const Picked crowd = run_on_gpu({everyone(), is_guided});
  for (const std::int32_t request : everyone()) {
    const Picked alone = run_on_gpu({{request}, is_guided});
    const auto index = static_cast<std::size_t>(request);
    for (std::size_t branch = 0; branch < (is_guided ? 2U : 1U); ++branch) {
      const float* among = crowd.row(branch * kCrowd + index);
      EXPECT_TRUE(std::equal(among, among + kRow, alone.row(branch), has_same_bits))
          << "request " << request << ", branch " << branch;
    }
    for (std::size_t step = 0; step < kSteps; ++step) {
      for (std::size_t place = 0; place < kPlaces; ++place)
        EXPECT_EQ(alone.code(step, 0, place), crowd.code(step, index, place))
            << "request " << request << ", step " << step << ", place " << place;
    }
  }
}

// Every row sees the same codes on both, so that all logits can be compared.
TEST_P(Places, LogitsAreThoseOfThePlainForm) {
  Company company({0, 3}, GetParam());
  company.forced = {5, 90, 17, 0, 118, 44};
  const Picked expected = picked_by(*ops::make_reference_backend(), company);
  const Picked found = run_on_gpu(company);
  EXPECT_EQ(found.codes, expected.codes);
  ASSERT_EQ(found.logits.size(), expected.logits.size());
  const auto count = static_cast<std::int64_t>(found.logits.size());
  EXPECT_LE(test::distance(expected.logits.data(), found.logits.data(), count), 2e-2F);
}

// A min_p that drops only weights of 0 keeps the draw away from top_k_draw.cuh.
TEST_P(Places, DrawsFromRegistersAreThoseFromMemory) {
  const std::vector<std::int32_t> some = {0, 4, 5};
  for (const std::vector<std::int32_t>& requests : {some, everyone()}) {
    Company company(requests, GetParam());
    const Picked from_registers = run_on_gpu(company);
    company.min_p = 1e-30F;
    EXPECT_EQ(from_registers.codes, run_on_gpu(company).codes);
  }
}

TEST_P(Places, NotFiniteInputsAreFaultsOfTheirOwnRequest) {
  Company company({4, 5}, GetParam());
  const Picked well = run_on_gpu(company);
  company.not_finite = 5;
  const Picked picked = run_on_gpu(company);
  EXPECT_EQ(well.faults, 0U);
  EXPECT_EQ(picked.faults, static_cast<std::size_t>(kSteps));
  for (std::size_t step = 0; step < kSteps; ++step) {
    for (std::size_t place = 0; place < kPlaces; ++place)
      EXPECT_EQ(picked.code(step, 0, place), well.code(step, 0, place));
  }
}

// The host checks forced codes; a kernel must not read behind a table all the same.
TEST_P(Places, ACodeThatNoTableHasIsAFault) {
  for (const std::vector<std::int32_t>& requests : {std::vector<std::int32_t>{3}, everyone()}) {
    Company company(requests, GetParam());
    company.forced = {5, kVocab + 9, 17, -3, 118, 44};
    EXPECT_EQ(run_on_gpu(company).faults, kSteps * requests.size());
  }
}

// Large devices from sm_90 on have room for this model in one launch; the others run launches.
TEST_P(Places, TheStageSaysThatFewRowsRunInOneLaunch) {
  int major = 0;
  int blocks = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, 0);
  Company company({0, 1}, GetParam());
  company.is_profiled = true;
  const Picked picked = run_on_gpu(company);
  std::size_t found = 0;
  for (const StageTimes& stage : picked.stages) {
    if (stage.stage == "picks, few rows in one launch") ++found;
  }
  if (major < 9 || blocks < 100) GTEST_SKIP() << "the device has no room for one launch";
  EXPECT_EQ(found, 1U);
  company.is_profiled = false;
  EXPECT_EQ(picked.codes, run_on_gpu(company).codes);  // in a graph, too
}

INSTANTIATE_TEST_SUITE_P(Guidance, Places, testing::Bool());

}  // namespace
}  // namespace ttsrt::cuda
