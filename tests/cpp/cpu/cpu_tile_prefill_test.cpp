// Attention of prefill over tiles, by emulation and, where the processor has tiles, by its own: how
// far it is from the exact sums, and which ops it serves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cpu_attention_cases.h"

namespace ttsrt {
namespace {

using test::Form;
using test::FormProgram;
using test::TestBatch;

constexpr Form kForm = {4, 2, 64, 0, 0.0F};
constexpr std::int32_t kRows = 150;
const char* const kByTiles = "self-attention by tiles";

std::vector<std::string> levels_with_tiles() {
  std::vector<std::string> names = {test::kEmulatedTiles};
  if (cpu::supported_levels().back() == "avx512_amx") names.emplace_back("avx512_amx");
  return names;
}

std::vector<std::int32_t> table() {
  std::vector<std::int32_t> blocks;
  for (std::int32_t b = 0; b < 10; ++b) blocks.push_back(3 * b % 10);
  return blocks;
}

// Compiles a Program for `dtype`, runs kRows rows and tells the names of its stages.
struct Launched {
  std::vector<float> out;
  std::vector<std::string> stages;

  Launched(const std::string& level, const ops::Program& program, ops::BufferId result, DType dtype,
           const std::vector<float>& rows) {
    const auto backend = test::open_native(level, 3);
    backend->create_state(test::state_of(kForm, dtype));
    ops::ProgramLimits limits = test::traced(kRows);
    limits.profile = true;
    const auto executable = backend->compile(program, limits);
    TestBatch batch;
    batch.add_vectors(0, kRows, rows);
    batch.set_blocks(table());
    executable->launch(batch.batch);
    test::run_queued(*backend);
    for (const StageTimes& times : executable->stage_times()) {
      if (times.runs > 0) stages.push_back(times.stage);
    }
    out = test::values_of(*executable, result, kRows * kForm.out_width());
  }

  bool has(const std::string& stage) const {
    return std::find(stages.begin(), stages.end(), stage) != stages.end();
  }
};

// Causal attention over keys and values rounded to bfloat16, in double.
std::vector<double> exact(const std::vector<float>& rows) {
  const std::int64_t width = kForm.width();
  const auto half = [&](std::int64_t row, std::int64_t column) {
    return double{
        test::round_to(DType::bfloat16, rows[static_cast<std::size_t>(row * width + column)])};
  };
  std::vector<double> out(static_cast<std::size_t>(kRows * kForm.out_width()));
  const std::int32_t group = kForm.heads / kForm.kv_heads;
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t head = 0; head < kForm.heads; ++head) {
      const std::int64_t keys = (kForm.heads + head / group) * std::int64_t{kForm.head_dim};
      const std::int64_t values = keys + std::int64_t{kForm.kv_heads} * kForm.head_dim;
      std::vector<double> shares;
      double sum = 0.0;
      for (std::int64_t at = 0; at <= row; ++at) {
        double score = 0.0;
        for (std::int64_t d = 0; d < kForm.head_dim; ++d)
          score += double{rows[static_cast<std::size_t>(row * width + head * kForm.head_dim + d)]} *
                   half(at, keys + d);
        shares.push_back(std::exp(score / std::sqrt(static_cast<double>(kForm.head_dim))));
        sum += shares.back();
      }
      for (std::int64_t d = 0; d < kForm.head_dim; ++d) {
        double& to =
            out[static_cast<std::size_t>(row * kForm.out_width() + head * kForm.head_dim + d)];
        for (std::int64_t at = 0; at <= row; ++at)
          to += shares[static_cast<std::size_t>(at)] / sum * half(at, values + d);
      }
    }
  }
  return out;
}

double farthest(const std::vector<float>& got, const std::vector<double>& expected) {
  double most = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    most = std::max(most, std::fabs(got[i] - expected[i]));
    largest = std::max(largest, std::fabs(expected[i]));
  }
  return most / largest;
}

class CpuTilePrefill : public test::CpuIsaTest {};

// Measured by emulation: 3e-6 of the largest output; float32 vectors are within 5e-7.
TEST_P(CpuTilePrefill, IsNearlyAsExactAsFloat32) {
  FormProgram made(kForm, 0, true);
  const std::vector<float> rows =
      test::random_vector(static_cast<std::size_t>(kRows * kForm.width()), 3, 2.0F);
  const std::vector<double> expected = exact(rows);
  const Launched by_tiles(isa(), made.program, made.out, DType::bfloat16, rows);
  const Launched by_vectors("generic", made.program, made.out, DType::bfloat16, rows);
  EXPECT_TRUE(by_tiles.has(kByTiles));
  EXPECT_FALSE(by_vectors.has(kByTiles));
  const double distance = farthest(by_tiles.out, expected);
  RecordProperty("distance_of_tiles", std::to_string(distance));
  RecordProperty("distance_of_vectors", std::to_string(farthest(by_vectors.out, expected)));
  EXPECT_LT(distance, 1e-5) << "vectors: " << farthest(by_vectors.out, expected);
}

TEST_P(CpuTilePrefill, OtherCachesAndScoresAreForVectors) {
  FormProgram made(kForm, 0, true);
  const std::vector<float> rows = test::rows_of(kForm, kRows, 5);
  EXPECT_TRUE(Launched(isa(), made.program, made.out, DType::bfloat16, rows).has(kByTiles));
  EXPECT_FALSE(Launched(isa(), made.program, made.out, DType::float32, rows).has(kByTiles));
  EXPECT_FALSE(Launched(isa(), made.program, made.out, DType::int8, rows).has(kByTiles));
  auto& op = std::get<ops::SelfAttention>(made.program.ops.back());
  op.scores = made.program.add("scores", test::small_state().max_text_len, ops::RowSpace::draws);
  op.score_heads = 1;
  made.program.ops.emplace(made.program.ops.begin() + 1, ops::ClearScores{op.scores});
  EXPECT_FALSE(Launched(isa(), made.program, made.out, DType::bfloat16, rows).has(kByTiles));
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuTilePrefill, testing::ValuesIn(levels_with_tiles()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
