// Runs whole requests step by step on both backends: codes, ends and focuses are equal, activations
// are close.
#include <gtest/gtest.h>

#include "cpu_requests.h"

namespace ttsrt {
namespace {

using test::ModelShape;
using test::picking_requests;
using test::run_requests;
using test::SmallRequest;
using test::varied_requests;

class StepsTest : public test::CpuIsaTest {
 protected:
  test::PairOpener pairs() const { return test::native_pairs(isa(), 2); }
};

class CpuSteps : public StepsTest {};

TEST_P(CpuSteps, IndependentHeadsAndPriors) {
  run_requests(pairs(), {}, DType::float32, varied_requests(), 24, 3e-5F);
}

TEST_P(CpuSteps, PenaltiesOrdersAndOtherEnds) {
  run_requests(pairs(), {}, DType::float32, test::penalised_requests(), 12, 3e-5F);
}

TEST_P(CpuSteps, NarrowCaches) {
  for (const DType dtype : {DType::bfloat16, DType::float16})
    run_requests(pairs(), {}, dtype, varied_requests(), 6, 6e-3F);
  run_requests(pairs(), {}, DType::int8, varied_requests(), 6, 2e-2F);
}

// The CPU widens float16 weights; a GPU rounds the inputs of their products to float16.
float float16_tolerance(const std::string& backend) {
  return backend == test::kCuda ? 2e-3F : 5e-5F;
}

TEST_P(CpuSteps, NarrowWeights) {
  ModelShape shape;
  shape.dtype = DType::float16;
  run_requests(pairs(), shape, DType::float32, varied_requests(), 8, float16_tolerance(isa()));
  shape.dtype = DType::bfloat16;
  run_requests(pairs(), shape, DType::float32, varied_requests(), 2, 2e-2F);
}

// When the sums of the two backends differ in their last bits, an input can round to another
// integer, so the backends agree for only a few steps.
TEST_P(CpuSteps, QuantizedWeights) {
  for (const test::WeightKind& kind : test::quantized_kinds()) {
    ModelShape shape;
    shape.matrices = kind;
    SCOPED_TRACE(kind.name());
    run_requests(pairs(), shape, DType::float32, varied_requests(), 2, 4e-2F);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuSteps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

// Some requests use the local transformer and some do not, greedy and sampled.
class CpuPicks : public StepsTest {};

TEST_P(CpuPicks, Autoregressive) {
  for (const std::int32_t width : {24, 14}) {
    for (const DType dtype : {DType::float32, DType::float16}) {
      const ModelShape shape{dtype, true, false, width};
      const float tolerance = dtype == DType::float16 ? float16_tolerance(isa()) : 5e-5F;
      run_requests(pairs(), shape, DType::float32, picking_requests(), 8, tolerance);
    }
  }
}

TEST_P(CpuPicks, MaskGit) {
  using Sampling = rules::MaskGitSampling;
  for (const Sampling sampling :
       {Sampling::standard, Sampling::causal, Sampling::purity, Sampling::purity_causal}) {
    const ModelShape shape{DType::float32, true, true, sampling == Sampling::standard ? 24 : 14};
    run_requests(pairs(), shape, DType::float32, test::masking_requests(sampling), 6, 5e-5F);
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
      run_requests(pairs(), shape, DType::float32, requests, 1, 4e-2F);
    }
  }
}

TEST_P(CpuPicks, SkippedWhereNoDrawUsesIt) {
  std::vector<SmallRequest> requests = picking_requests();
  for (SmallRequest& request : requests) request.rules.use_local_transformer = false;
  run_requests(pairs(), {DType::float32, true, false, 24}, DType::float32, requests, 3, 3e-5F);
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuPicks, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
