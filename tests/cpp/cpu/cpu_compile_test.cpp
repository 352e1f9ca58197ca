// Which stages a Program becomes, counted by their labels in a profile: a norm goes into the
// product behind it, and a local transformer takes as many barriers as its products and attentions.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "cpu_model.h"

namespace ttsrt {
namespace {

using test::ModelShape;
using test::SmallModel;
using test::TestBatch;

// Runs of the stages of each label, but for packing, which depends on how many rows a tile takes.
using Runs = std::map<std::string, std::int64_t>;

Runs runs_of(ops::Executable& executable) {
  Runs runs;
  for (const StageTimes& times : executable.stage_times())
    if (times.stage.rfind("pack", 0) != 0) runs[times.stage] += times.runs;
  return runs;
}

std::unique_ptr<ops::Executable> compile(ops::Backend& backend, const ops::Program& program,
                                         bool trace = false) {
  ops::ProgramLimits limits;
  limits.max_rows = 8;
  limits.max_draws = 4;
  limits.trace = trace;
  limits.profile = true;
  return backend.compile(program, limits);
}

Runs runs_of_norm_and_product(bool trace) {
  const test::TestWeight norm = test::make_norm(16, 1);
  const test::TestWeight weight = test::make_panel(32, 16, DType::float32, 2);
  ops::Program program;
  const ops::BufferId x = test::add_input(program, 16);
  const ops::BufferId normed = program.add("normed", 16);
  const ops::BufferId out = program.add("out", 32);
  program.ops.emplace_back(ops::Norm{x, normed, norm, 1e-5F});
  program.ops.emplace_back(ops::Linear{normed, out, weight, {}});
  const auto backend = make_cpu_backend({2, ""});
  backend->create_state(test::small_state());
  const auto executable = compile(*backend, program, trace);
  TestBatch batch;
  batch.add_vectors(0, 2, test::random_vector(32, 3));
  executable->launch(batch.batch);
  test::run_queued(*backend);
  return runs_of(*executable);
}

TEST(CpuCompile, ANormGoesIntoTheProductBehindIt) {
  EXPECT_EQ(runs_of_norm_and_product(false), (Runs{{"embed", 1}, {"linear 32 x 16 float32", 1}}));
  EXPECT_EQ(runs_of_norm_and_product(true),
            (Runs{{"embed", 1}, {"layer norm", 1}, {"linear 32 x 16 float32", 1}}));
}

// One guided draw of the local transformer alone.
Runs runs_of_picks(const ModelShape& shape, std::int32_t passes, bool trace = false) {
  const SmallModel model(shape);
  const auto backend = make_cpu_backend({2, ""});
  backend->create_state(SmallModel::state(DType::float32, 1));
  const auto executable = compile(*backend, model.picks, trace);
  step::SlotReset reset;
  reset.rules = test::SmallRequest::make(0, 1).rules;
  reset.rules.use_local_transformer = true;
  reset.rules.maskgit.steps = std::max(passes, 1);
  backend->reset_slot(reset);
  TestBatch batch;
  for (std::uint64_t branch = 0; branch < 2; ++branch)
    batch.add_vectors(0, 1, test::random_vector(SmallModel::kDim, branch));
  batch.add_draw(0, 0, 1);
  executable->launch(batch.batch);
  test::run_queued(*backend);
  return runs_of(*executable);
}

// Each code takes the in-projection, five stages of each layer (both norms, GELU and the residual
// additions inside of products), a head and a draw.
TEST(CpuCompile, AutoregressivePicksOfAnyDepth) {
  constexpr std::int64_t kCodes = SmallModel::kCodebooks;
  for (const std::int32_t layers : {1, 2, 3}) {
    for (const bool trace : {false, true}) {
      ModelShape shape{DType::float32, true, false, 14};
      shape.local_layers = layers;
      EXPECT_EQ(runs_of_picks(shape, 0, trace),
                (Runs{{"embed", 1},
                      {"local: clear kept logits", 1},
                      {"local: first input", 1},
                      {"local: linear 14 x 24 float32", kCodes},
                      {"local: linear 42 x 14 float32", kCodes * layers},
                      {"local: attention", kCodes * layers},
                      {"local: linear 14 x 14 float32", kCodes * layers},
                      {"local: linear 56 x 14 float32", kCodes * layers},
                      {"local: linear 14 x 56 float32", kCodes * layers},
                      {"local: linear 37 x 14 float32", kCodes},
                      {"local: draw and embed", kCodes},
                      {"finish step", 1}}));
    }
  }
}

TEST(CpuCompile, MaskGitPicksOfAnyDepth) {
  constexpr std::int64_t kPasses = 3;
  for (const std::int32_t layers : {1, 2, 3}) {
    ModelShape shape{DType::float32, true, true, 14};
    shape.local_layers = layers;
    EXPECT_EQ(runs_of_picks(shape, kPasses),
              (Runs{{"embed", 1},
                    {"local: clear kept logits", 1},
                    {"local: fix codes", kPasses},
                    {"local: linear 14 x 24 float32", kPasses},
                    {"local: positions", kPasses},
                    {"local: linear 42 x 14 float32", kPasses * layers},
                    {"local: attention", kPasses * layers},
                    {"local: linear 14 x 14 float32", kPasses * layers},
                    {"local: linear 56 x 14 float32", kPasses * layers},
                    {"local: linear 14 x 56 float32", kPasses * layers},
                    {"local: linear 37 x 14 float32", kPasses * SmallModel::kCodebooks},
                    {"local: guess codes", kPasses},
                    {"finish step", 1}}));
  }
}

// A final norm is read by the heads, which are no ops of the nested Program: it keeps its stage.
TEST(CpuCompile, TheOutputOfANestedProgramIsKept) {
  ModelShape shape{DType::float32, true, false, 14};
  shape.local_norm_out = true;
  EXPECT_EQ(runs_of_picks(shape, 0).at("layer norm"), SmallModel::kCodebooks);
}

}  // namespace
}  // namespace ttsrt
