// Whole requests whose launches are plugins, step by step on a GPU through both adapters: guidance,
// priors, penalties, draws, local transformers and ends. Codes, ends and focuses are those of the
// reference, activations are close; all are the bits of the CUDA backend.
#include <gtest/gtest.h>

#include "cpu/cpu_requests.h"
#include "gpu_suite.h"

namespace ttsrt::plugins::test {
namespace {

using rules::MaskGitSampling;
using ttsrt::test::masking_requests;
using ttsrt::test::ModelShape;
using ttsrt::test::penalised_requests;
using ttsrt::test::picking_requests;
using ttsrt::test::run_requests;
using ttsrt::test::varied_requests;

// Relative to the largest value of a tensor. A GPU rounds the inputs of float16 products to
// float16.
constexpr float kFloat32 = 5e-5F;
constexpr float kFloat16 = 2e-3F;
constexpr float kFloat16Cache = 6e-3F;

class PluginStepsOnGpu : public OnGpu {};

TEST_P(PluginStepsOnGpu, GuidanceAndPriors) {
  run_requests(pairs(), {}, DType::float32, varied_requests(), 24, kFloat32);
}

TEST_P(PluginStepsOnGpu, PenaltiesOrdersAndOtherEnds) {
  run_requests(pairs(), {}, DType::float32, penalised_requests(), 12, kFloat32);
}

TEST_P(PluginStepsOnGpu, Float16Caches) {
  run_requests(pairs(), {}, DType::float16, varied_requests(), 6, kFloat16Cache);
}

TEST_P(PluginStepsOnGpu, Float16Weights) {
  ModelShape shape;
  shape.dtype = DType::float16;
  run_requests(pairs(), shape, DType::float32, varied_requests(), 8, kFloat16);
}

TEST_P(PluginStepsOnGpu, PicksPlaceAfterPlace) {
  for (const std::int32_t width : {24, 14}) {
    for (const DType dtype : {DType::float32, DType::float16}) {
      const float tolerance = dtype == DType::float16 ? kFloat16 : kFloat32;
      run_requests(pairs(), {dtype, true, false, width}, DType::float32, picking_requests(), 8,
                   tolerance);
    }
  }
}

TEST_P(PluginStepsOnGpu, PicksOfDeepTransformersWithANorm) {
  ModelShape shape{DType::float32, true, false, ttsrt::test::SmallModel::kDim};
  shape.local_layers = 3;
  shape.local_norm_out = true;
  run_requests(pairs(), shape, DType::float32, picking_requests(), 4, kFloat32);
}

TEST_P(PluginStepsOnGpu, PicksInPasses) {
  for (const MaskGitSampling sampling : {MaskGitSampling::standard, MaskGitSampling::causal,
                                         MaskGitSampling::purity, MaskGitSampling::purity_causal}) {
    const std::int32_t width = sampling == MaskGitSampling::standard ? 24 : 14;
    run_requests(pairs(), {DType::float32, true, true, width}, DType::float32,
                 masking_requests(sampling), 6, kFloat32);
  }
  run_requests(pairs(), {DType::float16, true, true, 24}, DType::float32,
               masking_requests(MaskGitSampling::causal), 4, kFloat16);
}

TEST_P(PluginStepsOnGpu, PicksNothingWhereNoDrawAsks) {
  auto requests = picking_requests();
  for (auto& request : requests) request.rules.use_local_transformer = false;
  run_requests(pairs(), {DType::float32, true, false, 24}, DType::float32, requests, 3, kFloat32);
}

TEST_P(PluginStepsOnGpu, BitsAreThoseOfTheBackend) {
  const PairOpener open = pairs_with_backend();
  for (const DType dtype : {DType::float32, DType::float16}) {
    ModelShape shape;
    shape.dtype = dtype;
    run_requests(open, shape, dtype, varied_requests(), 12, 0.0F);
    run_requests(open, {dtype, true, false, 14}, dtype, picking_requests(), 6, 0.0F);
    run_requests(open, {dtype, true, true, 24}, dtype, masking_requests(MaskGitSampling::standard),
                 4, 0.0F);
  }
}

INSTANTIATE_TEST_SUITE_P(cuda, PluginStepsOnGpu, testing::ValuesIn(plugin_setups()), name_of_setup);

}  // namespace
}  // namespace ttsrt::plugins::test
