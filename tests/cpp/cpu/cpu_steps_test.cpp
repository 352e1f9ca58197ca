// Runs whole requests step by step on both backends: codes, ends and focuses are equal, activations
// are close.
#include <gtest/gtest.h>

#include "cpu_model.h"

namespace ttsrt {
namespace {

using test::ModelShape;
using test::Pair;
using test::PairExecutable;
using test::SmallModel;
using test::SmallRequest;
using test::TestBatch;

class CpuSteps : public test::CpuIsaTest {};

void expect_equal_draws(const step::StepOutput& expected, const step::StepOutput& got,
                        const std::string& what) {
  EXPECT_EQ(got.codes, expected.codes) << what;
  ASSERT_EQ(got.draws.size(), expected.draws.size()) << what;
  for (std::size_t d = 0; d < got.draws.size(); ++d) {
    EXPECT_EQ(got.draws[d].slot, expected.draws[d].slot) << what;
    EXPECT_EQ(got.draws[d].end_frame, expected.draws[d].end_frame) << what;
    EXPECT_EQ(got.draws[d].focus, expected.draws[d].focus) << what;
  }
  ASSERT_EQ(got.scores.size(), expected.scores.size()) << what;
  EXPECT_LE(test::distance(expected.scores.data(), got.scores.data(),
                           static_cast<std::int64_t>(got.scores.size())),
            1e-2F)
      << what;
}

void run_requests(const std::string& isa, const ModelShape& shape, DType cache_dtype,
                  const std::vector<SmallRequest>& requests, std::int32_t steps, float tolerance) {
  const auto slots = static_cast<std::int32_t>(requests.size());
  const SmallModel model(shape);
  Pair pair(isa, 2, SmallModel::state(cache_dtype, slots));
  PairExecutable encoder(pair, model.encoder, test::traced(100));
  PairExecutable prefill(pair, model.prefill, test::traced(100));
  PairExecutable decode(pair, model.decode, test::traced(2 * slots, slots));
  TestBatch text;
  TestBatch context;
  for (const SmallRequest& request : requests) {
    step::SlotReset reset;
    reset.slot = request.slot;
    reset.rules = request.rules;
    pair.reset_slot(reset);
    request.add_text(text);
    request.add_context(context);
  }
  encoder.run(text.batch, tolerance, "encoder");
  prefill.run(context.batch, tolerance, "prefill");
  for (std::int32_t step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    TestBatch batch;
    for (const SmallRequest& request : requests) request.add_step(batch, step);
    const std::string what = "step " + std::to_string(step);
    decode.run(batch.batch, tolerance, what);
    expect_equal_draws(decode.expected, decode.got, what);
  }
}

std::vector<SmallRequest> varied_requests() {
  std::vector<SmallRequest> requests;
  for (std::int32_t slot = 0; slot < 3; ++slot) requests.push_back(SmallRequest::make(slot, 3));
  auto& prior = requests[0].rules.prior;
  prior.mode = rules::PriorMode::nemo;
  prior.estimate_layers = 3;
  prior.apply_layers = 2;
  prior.track_finish = true;
  requests[0].rules.keep_scores = true;
  requests[1].is_guided = false;
  requests[1].rules.prior.mode = rules::PriorMode::window;
  requests[1].rules.prior.estimate_layers = 2;
  requests[1].rules.prior.apply_layers = 3;
  requests[1].rules.prior.end_after = 4;
  requests[2].rules.sampler.temperature = 0.7F;
  requests[2].rules.sampler.top_k = 9;
  return requests;
}

TEST_P(CpuSteps, IndependentHeadsAndPriors) {
  run_requests(isa(), {}, DType::float32, varied_requests(), 24, 3e-5F);
}

TEST_P(CpuSteps, PenaltiesOrdersAndOtherEnds) {
  using rules::Processor;
  std::vector<SmallRequest> requests = varied_requests();
  for (SmallRequest& request : requests) {
    auto& sampler = request.rules.sampler;
    sampler.repetition_penalty = 1.6F;
    sampler.num_seen_first = 1;
    sampler.seen_first[0] = 3;
    request.rules.keeps_end = true;
    request.rules.num_stop_ids = 1;
    request.rules.stop_ids[0] = 5;
    request.rules.guidance = rules::Guidance::extrapolate;
  }
  rules::SamplerRules& drawn = requests[2].rules.sampler;
  drawn.top_p = 0.9F;
  drawn.forgets_first = true;
  const Processor order[] = {Processor::temperature, Processor::top_k, Processor::top_p,
                             Processor::repetition_penalty};
  std::fill(std::begin(drawn.order), std::end(drawn.order), Processor::none);
  std::copy(std::begin(order), std::end(order), drawn.order);
  run_requests(isa(), {}, DType::float32, requests, 12, 3e-5F);
}

TEST_P(CpuSteps, NarrowCaches) {
  for (const DType dtype : {DType::bfloat16, DType::float16})
    run_requests(isa(), {}, dtype, varied_requests(), 6, 6e-3F);
  run_requests(isa(), {}, DType::int8, varied_requests(), 6, 2e-2F);
}

// The CPU widens float16 weights; a GPU rounds the inputs of their products to float16.
float float16_tolerance(const std::string& backend) {
  return backend == test::kCuda ? 2e-3F : 5e-5F;
}

TEST_P(CpuSteps, NarrowWeights) {
  ModelShape shape;
  shape.dtype = DType::float16;
  run_requests(isa(), shape, DType::float32, varied_requests(), 8, float16_tolerance(isa()));
  shape.dtype = DType::bfloat16;
  run_requests(isa(), shape, DType::float32, varied_requests(), 2, 2e-2F);
}

// When the sums of the two backends differ in their last bits, an input can round to another
// integer, so the backends agree for only a few steps.
TEST_P(CpuSteps, QuantizedWeights) {
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    ModelShape shape;
    shape.matrices = kind;
    SCOPED_TRACE(kind.name());
    run_requests(isa(), shape, DType::float32, varied_requests(), 2, 4e-2F);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuSteps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

// Some requests use the local transformer and some do not, greedy and sampled.
class CpuPicks : public test::CpuIsaTest {};

std::vector<SmallRequest> picking_requests() {
  std::vector<SmallRequest> requests = varied_requests();
  requests.push_back(SmallRequest::make(3, 4));
  for (SmallRequest& request : requests) {
    for (std::int32_t branch = 0; branch < 2; ++branch)
      request.blocks[branch] = SmallRequest::make(request.slot, 4).blocks[branch];
  }
  for (const std::size_t i : {0U, 1U, 2U}) requests[i].rules.use_local_transformer = true;
  requests[1].rules.sampler.temperature = 0.9F;
  requests[1].rules.sampler.top_p = 0.8F;
  requests[2].rules.sampler.min_p = 0.05F;
  return requests;
}

TEST_P(CpuPicks, Autoregressive) {
  for (const std::int32_t width : {24, 14}) {
    for (const DType dtype : {DType::float32, DType::float16}) {
      const ModelShape shape{dtype, true, false, width};
      const float tolerance = dtype == DType::float16 ? float16_tolerance(isa()) : 5e-5F;
      run_requests(isa(), shape, DType::float32, picking_requests(), 8, tolerance);
    }
  }
}

TEST_P(CpuPicks, MaskGit) {
  using Sampling = rules::MaskGitSampling;
  for (const Sampling sampling :
       {Sampling::standard, Sampling::causal, Sampling::purity, Sampling::purity_causal}) {
    std::vector<SmallRequest> requests = picking_requests();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      requests[i].rules.sampler.confidence_temperature = 0.6F;
      auto& maskgit = requests[i].rules.maskgit;
      maskgit.sampling = sampling;
      maskgit.steps = 2 + static_cast<std::int32_t>(i);
      for (std::int32_t pass = 0; pass < maskgit.steps; ++pass)
        maskgit.num_unmasked[pass] = pass * 4 / maskgit.steps;
      maskgit.dynamic_cfg_scale = i == 2;
      maskgit.noise_scale = i == 1 ? 0.5F : 0.0F;
    }
    const ModelShape shape{DType::float32, true, true, sampling == Sampling::standard ? 24 : 14};
    run_requests(isa(), shape, DType::float32, requests, 6, 5e-5F);
  }
}

TEST_P(CpuPicks, QuantizedWeights) {
  using ops::Quantization;
  for (const bool maskgit : {false, true}) {
    std::vector<SmallRequest> requests = picking_requests();
    for (SmallRequest& request : requests) {
      request.rules.maskgit.steps = 2;
      request.rules.maskgit.num_unmasked[1] = 2;
    }
    for (const test::WeightKind& kind :
         {test::WeightKind(Quantization::w8a16), test::WeightKind(Quantization::w4a16, 32),
          test::WeightKind(Quantization::w8a8), test::WeightKind(Quantization::w4a8, 64)}) {
      ModelShape shape{DType::float32, true, maskgit, 14};
      shape.matrices = kind;
      SCOPED_TRACE(kind.name());
      run_requests(isa(), shape, DType::float32, requests, 1, 4e-2F);
    }
  }
}

TEST_P(CpuPicks, SkippedWhereNoDrawUsesIt) {
  std::vector<SmallRequest> requests = picking_requests();
  for (SmallRequest& request : requests) request.rules.use_local_transformer = false;
  run_requests(isa(), {DType::float32, true, false, 24}, DType::float32, requests, 3, 3e-5F);
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuPicks, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
