// Infinity and NaN are never hidden, on the reference and on every instruction set: ops hand them
// on in the rows that have them, what is stored and drawn is reported by row, and all other rows
// keep their bits.
#include <gtest/gtest.h>

#include "cpu_support.h"
#include "support/faults.h"

namespace ttsrt {
namespace {

using step::FaultStage;
using test::tell;
using test::TestBatch;
using test::told;
using test::Told;

constexpr float kInfinity = INFINITY;

class CpuFaults : public test::CpuIsaTest {
 protected:
  static std::unique_ptr<ops::Backend> open(const ops::StateSpec& spec) {
    return test::open_backend(GetParam(), spec);
  }
};

// The largest number that each cache holds, and the next one, which becomes infinite.
struct Border {
  DType dtype;
  float largest;
  float above;
};
const Border kBorders[] = {{DType::float32, 0x1.fffffep127F, kInfinity},
                           {DType::bfloat16, 0x1.fefffep127F, 0x1.ffp127F},
                           {DType::float16, 0x1.ffdffep15F, 65520.0F},
                           {DType::int8, 0x1p127F, kInfinity}};

constexpr std::int32_t kHeadDim = 20;  // not a multiple of 16
constexpr std::int32_t kWidth = 2 * kHeadDim;

ops::StateSpec wide_state(DType cache_dtype) {
  ops::StateSpec spec = test::small_state();
  spec.cache_dtype = cache_dtype;
  spec.cache_head_dim = spec.memory_head_dim = kHeadDim;
  return spec;
}

// Rows of queries, keys and values of three sequences, of which `value` stands at `at` in row 1.
TestBatch qkv_batch(std::size_t at, float value) {
  TestBatch batch;
  for (std::int32_t slot = 0; slot < 3; ++slot) {
    auto rows = test::random_vector(3 * kWidth, static_cast<std::uint64_t>(slot) + 1, 0.5F);
    if (slot == 1) rows[at] = value;
    batch.add_vectors(slot, 1, std::move(rows));
    batch.set_blocks({slot});
  }
  return batch;
}

TEST_P(CpuFaults, StoredKeysAndValues) {
  ops::Program program;
  ops::SelfAttention op;
  op.qkv = test::add_input(program, 3 * kWidth);
  op.out = program.add("out", kWidth);
  op.heads = 2;
  op.head_dim = kHeadDim;
  op.cache_layer = 1;
  program.ops.emplace_back(op);
  for (const Border& border : kBorders) {
    const auto backend = open(wide_state(border.dtype));
    const auto run = [&](std::size_t at, float value) {
      const TestBatch batch = qkv_batch(at, value);
      step::StepOutput output;
      const auto executable = test::run_program(*backend, program, batch.batch, &output);
      return std::pair{told(output), test::values_of(*executable, op.out, 3 * kWidth)};
    };
    const auto sound = run(0, 0.0F);
    EXPECT_EQ(sound.first, Told{});
    // The last number of a head, the first of the next, the last of the values.
    for (const std::size_t at : {kWidth + kHeadDim - 1, kWidth + kHeadDim, 3 * kWidth - 1}) {
      for (const float value : {border.above, -border.above, kInfinity, NAN}) {
        const auto found = run(at, value);
        EXPECT_EQ(found.first, Told{tell(1, FaultStage::self_attention, 1)})
            << name_of(border.dtype) << " " << value << " at " << at;
        for (std::size_t i = 0; i < found.second.size(); ++i) {
          if (i / kWidth == 1) continue;
          EXPECT_EQ(found.second[i], sound.second[i]) << i;
        }
      }
      EXPECT_EQ(run(at, border.largest).first, Told{}) << name_of(border.dtype);
      EXPECT_EQ(run(at, -border.largest).first, Told{}) << name_of(border.dtype);
    }
  }
}

TEST_P(CpuFaults, StoredMemoryAndContext) {
  for (const Border& border : kBorders) {
    const auto backend = open(wide_state(border.dtype));
    for (const std::size_t at : {std::size_t{kHeadDim - 1}, std::size_t{2 * kWidth - 1}}) {
      for (const float value : {border.largest, border.above, NAN}) {
        ops::Program program;
        program.ops.emplace_back(
            ops::StoreMemory{test::add_input(program, 2 * kWidth), 2, ops::Memory::context});
        auto rows = test::random_vector(3 * 2 * kWidth, 5);
        rows[2 * kWidth + at] = value;
        TestBatch batch;
        batch.add_vectors(1, 3, rows);
        step::StepOutput output;
        test::run_program(*backend, program, batch.batch, &output);
        const bool is_sound = value == border.largest;
        EXPECT_EQ(told(output), is_sound ? Told{} : Told{tell(1, FaultStage::cross_attention, 2)})
            << name_of(border.dtype) << " " << value;
      }
    }
  }
  ops::Program program;
  const std::int32_t dim = test::small_state().dim;
  program.ops.emplace_back(ops::StoreContext{test::add_input(program, dim)});
  const auto backend = open(test::small_state());
  auto rows = test::random_vector(4 * static_cast<std::size_t>(dim), 6);
  rows[static_cast<std::size_t>(dim)] = NAN;
  rows[3 * static_cast<std::size_t>(dim) - 1] = -kInfinity;
  TestBatch batch;
  batch.add_vectors(2, 4, rows);
  step::StepOutput output;
  test::run_program(*backend, program, batch.batch, &output);
  EXPECT_EQ(told(output), (Told{tell(1, FaultStage::kept_rows), tell(2, FaultStage::kept_rows)}));
}

// Runs a Program over rows of which row 1 may be replaced; returns an activation.
std::vector<float> run_rows(ops::Backend& backend, const ops::Program& program, std::int64_t width,
                            std::int32_t rows, const std::vector<float>& second,
                            ops::BufferId buffer, std::int64_t out_width) {
  auto values = test::random_vector(static_cast<std::size_t>(rows * width), 9);
  if (!second.empty()) std::copy(second.begin(), second.end(), values.begin() + width);
  TestBatch batch;
  batch.add_vectors(0, rows, values);
  const auto executable = test::run_program(backend, program, batch.batch);
  return test::values_of(*executable, buffer, rows * out_width);
}

void expect_only_second(const std::vector<float>& got, const std::vector<float>& sound,
                        std::int64_t width, const std::string& what) {
  ASSERT_EQ(got.size(), sound.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (static_cast<std::int64_t>(i) / width == 1) {
      EXPECT_FALSE(std::isfinite(got[i])) << what << ": " << i;
    } else {
      EXPECT_EQ(got[i], sound[i]) << what << ": " << i;
    }
  }
}

TEST_P(CpuFaults, ProductsHandThemOn) {
  constexpr std::int64_t kInputs = 150;
  constexpr std::int64_t kOutputs = 21;
  for (const test::WeightKind& kind : test::all_kinds()) {
    const test::TestWeight weight = test::make_panel(kOutputs, kInputs, kind, 3);
    ops::Program program;
    const ops::BufferId x = test::add_input(program, kInputs);
    const ops::BufferId out = program.add("out", kOutputs);
    program.ops.emplace_back(ops::Linear{x, out, weight.weight(), {}});
    const auto backend = open(test::small_state());
    for (const std::int32_t rows : {2, 3, 40}) {
      const auto sound = run_rows(*backend, program, kInputs, rows, {}, out, kOutputs);
      for (const float value : {kInfinity, -kInfinity, NAN}) {
        for (const std::size_t at : {std::size_t{0}, std::size_t{kInputs - 1}}) {
          auto second = test::random_vector(kInputs, 10);
          second[at] = value;
          const auto got = run_rows(*backend, program, kInputs, rows, second, out, kOutputs);
          expect_only_second(got, sound, kOutputs, kind.name());
        }
      }
    }
  }
}

TEST_P(CpuFaults, NormsDontTurnHugeRowsIntoZeros) {
  constexpr std::int64_t kDim = 24;
  const test::TestWeight weight = test::make_norm(kDim, 1);
  const test::TestWeight bias = test::make_vector(kDim, 2, 5.0F);
  for (const ops::NormKind kind : {ops::NormKind::layer, ops::NormKind::rms}) {
    ops::Program program;
    const ops::BufferId x = test::add_input(program, kDim);
    const ops::BufferId out = program.add("out", kDim);
    program.ops.emplace_back(ops::Norm{x, out, weight.weight(), 1e-5F, kind, bias.weight()});
    const auto backend = open(test::small_state());
    const auto sound = run_rows(*backend, program, kDim, 3, {}, out, kDim);
    for (const float value : {1e25F, 3e38F, kInfinity, NAN}) {
      auto second = test::random_vector(kDim, 4);
      second[7] = value;
      expect_only_second(run_rows(*backend, program, kDim, 3, second, out, kDim), sound, kDim,
                         "norm of " + std::to_string(value));
    }
    auto large = test::random_vector(kDim, 4);
    large[7] = 1e17F;  // whose square float32 still holds
    for (const float value : run_rows(*backend, program, kDim, 3, large, out, kDim))
      EXPECT_TRUE(std::isfinite(value));
  }
}

// Scores beyond float32 make the row NaN, cached or not, also where a maximum would not see them.
TEST_P(CpuFaults, AttentionHandsScoresOn) {
  for (const std::int32_t layer : {-1, 0}) {
    ops::Program program;
    ops::SelfAttention op;
    op.qkv = test::add_input(program, 3 * kWidth);
    op.out = program.add("out", kWidth);
    op.heads = 2;
    op.head_dim = kHeadDim;
    op.cache_layer = layer;
    program.ops.emplace_back(op);
    const auto backend = open(wide_state(DType::float32));
    for (const float value : {1e30F, -1e30F, NAN}) {
      constexpr std::int32_t kRows = 20;
      auto rows = test::random_vector(kRows * 3 * kWidth, 7, 0.5F);
      float* row = rows.data() + 18 * 3 * kWidth;
      row[3] = value;           // a query of the first head
      row[kWidth + 3] = 1e20F;  // and the key of its own position
      TestBatch batch;
      batch.add_vectors(0, kRows, rows);
      batch.set_blocks({4, 5});
      step::StepOutput output;
      const auto executable = test::run_program(*backend, program, batch.batch, &output);
      EXPECT_EQ(told(output), Told{});  // what is stored is finite
      const auto out = test::values_of(*executable, op.out, kRows * kWidth);
      for (std::int64_t i = 0; i < kRows * kWidth; ++i) {
        const bool is_hit = i / kWidth == 18 && i % kWidth < kHeadDim;
        EXPECT_EQ(std::isfinite(out[static_cast<std::size_t>(i)]), !is_hit) << value << ": " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, CpuFaults, testing::Values("reference"), test::isa_name);
INSTANTIATE_TEST_SUITE_P(Levels, CpuFaults, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
