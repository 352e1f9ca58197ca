// Rows that become known values at the end of an item's last evaluation: whatever their velocity
// is, they do, and the CPU leaves out what nobody reads of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cpu_support.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kBins = 20;
constexpr std::int32_t kWidth = 64;
constexpr std::int32_t kMaxFrames = 160;
constexpr std::int32_t kSchedule = 2 * kWidth;

ops::StateSpec state_of() {
  ops::StateSpec spec;
  spec.slots = 1;
  spec.num_blocks = 1;
  spec.dim = kBins;
  spec.max_context_rows = kMaxFrames;
  spec.schedule_width = kSchedule;
  spec.rows = {{kMaxFrames, kBins, false}, {kMaxFrames, kBins, false}, {kMaxFrames, 1, false}};
  return spec;
}

class CpuSettledRows : public test::CpuIsaTest {
 protected:
  CpuSettledRows() : pair_(isa(), 3, state_of()) {
    pair_.reset_slot({0, {}});
    ops::Program program;
    const ops::BufferId x = test::add_input(program, kSchedule);
    program.ops.emplace_back(ops::StoreSchedule{x});
    TestBatch batch;
    batch.add_vectors(0, 16, test::random_vector(16 * kSchedule, 5, 0.5F));
    batch.set_blocks({0});
    compare(program, batch, "schedule");
  }

  void compare(const ops::Program& program, const TestBatch& batch, const std::string& what) {
    test::PairExecutable(pair_, program, test::traced(64)).run(batch.batch, 0.0F, what);
  }

  test::Pair pair_;
};

// The velocity of such rows may be anything, as it needn't be computed.
TEST_P(CpuSettledRows, TakeFixedRowsWhateverTheirVelocityIs) {
  const auto fill = [this](std::int32_t array, std::int32_t width, std::vector<float> values) {
    ops::Program program;
    const ops::BufferId x = test::add_input(program, width);
    program.ops.emplace_back(ops::SaveRows{x, array, 0});
    TestBatch batch;
    batch.add_vectors(0, 2, std::move(values));
    compare(program, batch, "start");
  };
  fill(0, kBins, test::random_vector(2 * kBins, 1));
  fill(1, kBins, test::random_vector(2 * kBins, 2));
  fill(2, 1, {1.0F, 0.0F});
  ops::Program program;
  const ops::BufferId from = test::add_input(program, kBins);
  const ops::BufferId velocity = program.add("velocity", kBins);
  const TestWeight weight = test::make_panel(kBins, kBins, DType::float32, 3, 1e30F);
  program.ops.emplace_back(ops::Linear{from, velocity, weight, {}});
  program.ops.emplace_back(ops::FlowStep{velocity, 0, 1, 2});
  std::vector<float> values(2 * kBins, 0.0F);
  std::fill_n(values.begin(), kBins, 1e30F);  // of the first row: infinity
  TestBatch batch;
  step::Segment& segment = batch.add_vectors(0, 2, values);
  segment.step_size = 1.0F;
  segment.is_last = true;
  test::PairExecutable run(pair_, program, test::traced(2));
  run.oracle->launch(batch.batch);
  run.cpu->launch(batch.batch);
  EXPECT_TRUE(test::run_queued(*pair_.oracle).faults.empty());
  EXPECT_TRUE(test::run_queued(*pair_.cpu).faults.empty());
  ops::Program reading;
  ops::EmbedRows embed;
  embed.out = reading.add("state", kBins);
  reading.ops.emplace_back(embed);
  TestBatch kept;
  kept.add(0, 2, step::Input::kept_rows);
  compare(reading, kept, "state");
  const auto state = pair_.cpu->compile(reading, test::traced(2));
  state->launch(kept.batch);
  test::run_queued(*pair_.cpu);
  const std::vector<float> fixed = test::random_vector(2 * kBins, 2);
  EXPECT_EQ(test::values_of(*state, embed.out, kBins),
            std::vector<float>(fixed.begin(), fixed.begin() + kBins));
}

// Settled rows keep what they were; the others have the bits that they have beside computed rows.
TEST_P(CpuSettledRows, LeaveSettledRowsOut) {
  std::vector<TestWeight> weights;  // at one address each
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    ops::Program program;
    program.has_many_rows = true;
    const ops::BufferId x = test::add_input(program, kWidth);
    const ops::BufferId normed = program.add("normed", kWidth);
    const ops::BufferId hidden = program.add("hidden", kWidth);
    const ops::BufferId out = program.add("out", kWidth);
    const TestWeight first = test::make_panel(kWidth, kWidth, dtype, 3, 0.2F);
    const TestWeight second = test::make_panel(kWidth, kWidth, dtype, 4, 0.2F);
    weights.insert(weights.end(), {first, second});
    program.settled_begin = static_cast<std::int32_t>(program.ops.size());
    program.ops.emplace_back(ops::ModulatedNorm{x, normed, kWidth, 0, 1e-6F});
    program.ops.emplace_back(ops::Linear{normed, hidden, first, {}});
    program.ops.emplace_back(ops::Linear{hidden, out, second, {}});
    ops::ProgramLimits limits = test::traced(840);
    limits.trace = false;
    const auto executable = pair_.cpu->compile(program, limits);
    constexpr std::int32_t kRows = 420;
    const auto outputs = [&](std::uint64_t seed, std::int32_t settled) {
      TestBatch batch;
      for (const step::Branch branch : {step::Branch::conditional, step::Branch::unconditional}) {
        step::Segment& segment =
            batch.add_vectors(0, kRows, test::random_vector(kRows * kWidth, seed++));
        segment.branch = branch;
        segment.is_last = true;
        segment.settled_rows = settled;
      }
      executable->launch(batch.batch);
      test::run_queued(*pair_.cpu);
      return test::values_of(*executable, out, 2 * kRows * kWidth);
    };
    for (const std::int32_t settled : {33, 300, kRows}) {
      const std::vector<float> before = outputs(1, 0);
      const std::vector<float> partial = outputs(5, settled);
      const std::vector<float> all = outputs(5, 0);
      for (const std::int32_t branch : {0, 1}) {
        const auto row = [&](const std::vector<float>& values, std::int32_t index) {
          const auto begin = values.begin() + (branch * kRows + index) * kWidth;
          return std::vector<float>(begin, begin + kWidth);
        };
        // The CPU leaves out a whole tile of them, however few rows it has.
        if (isa() != test::kCuda && (branch == 0 || settled == kRows)) {
          EXPECT_EQ(row(partial, 0), row(before, 0));
        }
        for (std::int32_t i = settled; i < kRows; ++i)
          ASSERT_EQ(row(partial, i), row(all, i)) << "row " << i << " of branch " << branch;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuSettledRows, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
