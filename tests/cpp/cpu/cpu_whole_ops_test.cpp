// The ops of whole items on every instruction set and GPU against the reference, and their bits
// whatever else is in the launch.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu_support.h"
#include "support/errors.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kBins = 20;
constexpr std::int32_t kWidth = 64;
constexpr std::int32_t kMaxFrames = 160;
constexpr std::int32_t kSchedule = 3 * kWidth;
constexpr std::int32_t kTextLen = 7;

ops::StateSpec state_of() {
  ops::StateSpec spec;
  spec.slots = 4;
  spec.num_blocks = 6;
  spec.dim = kBins;
  spec.max_context_rows = kMaxFrames;
  spec.max_text_len = 32;
  spec.schedule_width = kSchedule;
  spec.rows = {{kMaxFrames, kBins, false},
               {kMaxFrames, kBins, false},
               {kMaxFrames, 1, false},
               {kMaxFrames, kWidth, true}};
  return spec;
}

// Rows 0 to 63 of the schedule, through the op that keeps them.
struct Schedule {
  Schedule() {
    const ops::BufferId x = test::add_input(program, kSchedule);
    program.ops.emplace_back(ops::StoreSchedule{x});
    batch.add_vectors(0, 64, test::random_vector(64 * kSchedule, 5, 0.5F));
    batch.set_blocks({0, 1, 2, 3});
  }

  ops::Program program;
  TestBatch batch;
};

class CpuWholeOps : public test::CpuIsaTest {
 protected:
  CpuWholeOps() : pair_(isa(), 3, state_of()) {
    for (std::int32_t slot = 0; slot < 4; ++slot) {
      rules::SlotRules rules;
      rules.flow_scale = 1.5F + 0.25F * static_cast<float>(slot);
      rules.text_len = kTextLen;
      pair_.reset_slot({slot, rules});
    }
    fill_schedule();
  }

  void fill_schedule() {
    const Schedule schedule;
    test::PairExecutable(pair_, schedule.program, test::traced(64))
        .run(schedule.batch.batch, 0.0F, "schedule");
  }

  // Items of several lengths; the first and the third have two branches.
  static TestBatch items(std::int64_t width, std::uint64_t seed, std::int32_t branches = 2) {
    TestBatch batch;
    const std::int32_t lengths[] = {33, 1, 150};
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      const std::int32_t rows = lengths[slot];
      for (std::int32_t branch = 0; branch < (slot == 1 ? 1 : branches); ++branch) {
        const auto count = static_cast<std::size_t>(rows * width);
        step::Segment& segment = batch.add_vectors(
            slot, rows,
            test::random_vector(count, seed + static_cast<std::uint64_t>(2 * slot + branch)));
        segment.branch = branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
        segment.schedule_row = 3 + 17 * slot;
        segment.step_size = 0.1F * static_cast<float>(slot + 1);
        segment.ends_step = slot != 2;
        segment.is_last = slot == 0;
      }
    }
    return batch;
  }

  void compare(const ops::Program& program, const TestBatch& batch, float tolerance,
               const std::string& what) {
    test::PairExecutable(pair_, program, test::traced(512)).run(batch.batch, tolerance, what);
  }

  test::Pair pair_;
};

TEST_P(CpuWholeOps, ConvolveGroupsAsTheReference) {
  const std::int32_t outputs = 96;
  const TestWeight bias = test::make_vector(outputs, 4);
  std::vector<TestWeight> weights;  // at one address each
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    const TestWeight& weight =
        weights.emplace_back(test::make_panel(outputs, 9 * kWidth / 2, dtype, 3, 0.05F));
    for (const bool has_many_rows : {false, true}) {
      ops::Program program;
      program.has_many_rows = has_many_rows;
      const ops::BufferId x = test::add_input(program, kWidth);
      const ops::BufferId out = program.add("out", outputs);
      program.ops.emplace_back(
          ops::GroupedConv{x, out, weight, bias, 2, 9, ops::Activate::mish, false});
      program.ops.emplace_back(
          ops::GroupedConv{x, out, weight, bias, 2, 9, ops::Activate::none, true});
      compare(program, items(kWidth, 10), test::tolerance_of(dtype, isa()),
              std::string("grouped ") + name_of(dtype));
    }
  }
}

TEST_P(CpuWholeOps, ConvolveColumnsAndNormaliseThemAsTheReference) {
  ops::Program program;
  const std::int32_t width = 75;  // no whole vectors
  const ops::BufferId x = test::add_input(program, width);
  const ops::BufferId y = program.add("y", width);
  const ops::BufferId sums = program.add("sums", width);
  const TestWeight weight("conv", 7, width, DType::float32, ops::Layout::dense,
                          test::random_vector(7 * 75, 6));
  const TestWeight bias = test::make_vector(width, 7);
  program.ops.emplace_back(ops::DepthwiseConv{x, y, weight, bias});
  const TestWeight gamma = test::make_vector(width, 8);
  const TestWeight beta = test::make_vector(width, 9);
  program.ops.emplace_back(ops::ResponseNorm{y, sums, gamma, beta});
  ops::ProgramLimits limits = test::traced(512);
  test::PairExecutable run(pair_, program, limits);
  const TestBatch batch = items(width, 20);
  run.oracle->launch(batch.batch);
  run.cpu->launch(batch.batch);
  test::run_queued(*pair_.oracle);
  test::run_queued(*pair_.cpu);
  EXPECT_LE(test::distance(run.oracle->activation(y), run.cpu->activation(y),
                           std::int64_t{batch.batch.rows} * width),
            2e-5F);
}

TEST_P(CpuWholeOps, ModulateByTheRowsOfTheirSchedule) {
  ops::Program program;
  const ops::BufferId x = test::add_input(program, kWidth);
  const ops::BufferId normed = program.add("normed", kWidth);
  const ops::BufferId branch = program.add("branch", kWidth);
  const TestWeight weight = test::make_panel(kWidth, kWidth, DType::float32, 3);
  const TestWeight bias = test::make_vector(kWidth, 4);
  program.ops.emplace_back(ops::ModulatedNorm{x, normed, kWidth, 0, 1e-6F});
  program.ops.emplace_back(ops::Linear{normed, branch, weight, bias});
  program.ops.emplace_back(ops::AddModulated{branch, x, 2 * kWidth});
  compare(program, items(kWidth, 30), 2e-5F, "modulation");
  // The same ops as one stage, as without a trace.
  ops::ProgramLimits limits = test::traced(512);
  limits.trace = false;
  test::PairExecutable fused(pair_, program, limits);
  const TestBatch batch = items(kWidth, 30);
  fused.oracle->launch(batch.batch);
  fused.cpu->launch(batch.batch);
  test::run_queued(*pair_.oracle);
  test::run_queued(*pair_.cpu);
  EXPECT_LE(test::distance(fused.oracle->activation(x), fused.cpu->activation(x),
                           std::int64_t{batch.batch.rows} * kWidth),
            2e-5F);
}

TEST_P(CpuWholeOps, KeepRowsByFrameAndBranch) {
  ops::Program saving;
  const ops::BufferId x = test::add_input(saving, kWidth + 3);
  saving.ops.emplace_back(ops::SaveRows{x, 3, 2});
  compare(saving, items(kWidth + 3, 40), 0.0F, "save");
  ops::Program loading;
  test::add_input(loading, kWidth);
  const ops::BufferId out = loading.add("out", kWidth);
  loading.ops.emplace_back(ops::LoadRows{out, 3});
  compare(loading, items(kWidth, 41), 0.0F, "load");
}

TEST_P(CpuWholeOps, IntegrateBothBranches) {
  ops::Program storing;
  storing.ops.emplace_back(ops::StoreContext{test::add_input(storing, kBins)});
  compare(storing, items(kBins, 49, 1), 0.0F, "context");  // which both branches share
  for (const std::int32_t array : {0, 1, 2}) {
    ops::Program program;
    const ops::BufferId x = test::add_input(program, array == 2 ? 1 : kBins);
    program.ops.emplace_back(ops::SaveRows{x, array, 0});
    compare(program, items(array == 2 ? 1 : kBins, 50 + static_cast<std::uint64_t>(array)), 0.0F,
            "start");
  }
  ops::Program program;
  const ops::BufferId velocity = test::add_input(program, kBins);
  program.ops.emplace_back(ops::FlowStep{velocity, 0, 1, 2});
  compare(program, items(kBins, 60), 0.0F, "first step");
  compare(program, items(kBins, 61), 0.0F, "second step");
  ops::Program reading;
  const ops::BufferId state = reading.add("state", kBins);
  const ops::BufferId base = reading.add("base", kBins);
  ops::EmbedRows embed;
  embed.out = state;
  reading.ops.emplace_back(embed);
  reading.ops.emplace_back(ops::LoadRows{base, 0});
  TestBatch batch;
  const std::int32_t lengths[] = {33, 1, 150};
  for (std::int32_t slot = 0; slot < 3; ++slot)
    batch.add(slot, lengths[slot], step::Input::kept_rows);
  compare(reading, batch, 1e-6F, "state");
}

TEST_P(CpuWholeOps, ClearAndStretchTheText) {
  ops::Program program;
  const ops::BufferId x = test::add_input(program, kWidth);
  const ops::BufferId out = program.add("out", kWidth);
  program.ops.emplace_back(ops::ClearFiller{x});
  program.ops.emplace_back(ops::StretchText{x, out});
  TestBatch batch;
  batch.add_vectors(0, 33, test::random_vector(33 * kWidth, 70));
  batch.add_vectors(2, 150, test::random_vector(150 * kWidth, 71)).branch =
      step::Branch::unconditional;
  compare(program, batch, 0.0F, "text");
}

TEST_P(CpuWholeOps, EndInSound) {
  ops::Program program;
  const std::int32_t frame = 32;
  const ops::BufferId x = test::add_input(program, frame + 2);
  const ops::BufferId spectrum = program.add("spectrum", frame + 2);
  const ops::BufferId frames = program.add("frames", frame);
  const ops::BufferId samples = program.add("samples", frame / 4);
  const TestWeight matrix = test::make_panel(frame, frame + 2, DType::float32, 3);
  const TestWeight window("window", 1, frame, DType::float32, ops::Layout::dense,
                          test::random_vector(32, 4, 0.4F, 0.5F));
  program.ops.emplace_back(ops::PolarSpectrum{x, spectrum, 1.5F});
  program.ops.emplace_back(ops::Linear{spectrum, frames, matrix, {}});
  program.ops.emplace_back(ops::OverlapAdd{frames, samples, window, frame / 2});
  program.ops.emplace_back(ops::EmitRows{samples});
  test::PairExecutable run(pair_, program, test::traced(512));
  const TestBatch batch = items(frame + 2, 80);
  run.run(batch.batch, 1e-5F, "sound");
  ASSERT_EQ(run.got.rows.size(), 1U);
  ASSERT_EQ(run.expected.rows.size(), 1U);
  ASSERT_EQ(run.got.rows[0].values.size(), run.expected.rows[0].values.size());
  EXPECT_EQ(run.got.rows[0].width, frame / 4);
}

TEST_P(CpuWholeOps, ActivateAsTheReference) {
  for (const ops::Activate activate : {ops::Activate::gelu, ops::Activate::mish}) {
    ops::Program program;
    const ops::BufferId x = test::add_input(program, kWidth);
    const ops::BufferId out = program.add("out", kWidth);
    const TestWeight weight = test::make_panel(kWidth, kWidth, DType::float32, 3, 2.0F);
    const TestWeight bias = test::make_vector(kWidth, 4);
    program.ops.emplace_back(ops::Linear{x, out, weight, bias, activate});
    compare(program, items(kWidth, 90), 1e-6F, "activation");
  }
}

TEST_P(CpuWholeOps, TellOfRowsThatAreNotFinite) {
  ops::Program program;
  const ops::BufferId velocity = test::add_input(program, kBins);
  program.ops.emplace_back(ops::SaveRows{velocity, 0, 0});
  program.ops.emplace_back(ops::FlowStep{velocity, 0, 1, 2});
  TestBatch batch;
  std::vector<float> values = test::random_vector(2 * kBins, 95);
  values[kBins + 3] = INFINITY;
  batch.add_vectors(0, 2, values).step_size = 1.0F;
  test::PairExecutable run(pair_, program, test::traced(4));
  run.oracle->launch(batch.batch);
  run.cpu->launch(batch.batch);
  for (ops::Backend* backend : {pair_.oracle.get(), pair_.cpu.get()}) {
    const step::StepOutput output = test::run_queued(*backend);
    ASSERT_EQ(output.faults.size(), 1U);
    EXPECT_EQ(output.faults[0].row, 1);
    EXPECT_EQ(output.faults[0].stage, step::FaultStage::item_rows);
  }
}

// A block of flow: convolution, modulated attention of both branches, gated sums.
struct FlowBlock {
  static constexpr std::int32_t kHeads = 2;
  explicit FlowBlock(DType dtype)
      : conv(test::make_panel(kWidth, 5 * kWidth / 2, dtype, 1, 0.1F)),
        qkv(test::make_panel(3 * kWidth, kWidth, dtype, 2, 0.2F)),
        back(test::make_panel(kWidth, kWidth, dtype, 3, 0.2F)),
        bias(test::make_vector(3 * kWidth, 4)),
        small_bias(test::make_vector(kWidth, 5)),
        norms(test::make_norm(kWidth, 6)) {
    program.has_many_rows = true;
    x = test::add_input(program, kWidth);
    const ops::BufferId normed = program.add("normed", kWidth);
    const ops::BufferId wide = program.add("qkv", 3 * kWidth);
    const ops::BufferId attended = program.add("attended", kWidth);
    program.ops.emplace_back(
        ops::GroupedConv{x, normed, conv, small_bias, 2, 5, ops::Activate::mish, false});
    program.ops.emplace_back(ops::ModulatedNorm{normed, attended, kWidth, 0, 1e-6F});
    program.ops.emplace_back(ops::Linear{attended, wide, qkv, bias});
    ops::SelfAttention attention;
    attention.qkv = wide;
    attention.out = attended;
    attention.heads = kHeads;
    attention.head_dim = kWidth / kHeads;
    attention.causal = false;
    attention.q_norm = norms;
    attention.k_norm = norms;
    attention.segment_dtype = dtype;
    program.ops.emplace_back(attention);
    program.ops.emplace_back(ops::Linear{attended, normed, back, small_bias});
    program.ops.emplace_back(ops::AddModulated{normed, x, 2 * kWidth});
  }
  TestWeight conv, qkv, back, bias, small_bias, norms;
  ops::Program program;
  ops::BufferId x = ops::kNoBuffer;
};

TEST_P(CpuWholeOps, GiveAnItemTheSameBitsAloneAndInACrowd) {
  const FlowBlock blocks[] = {FlowBlock(DType::float32), FlowBlock(DType::bfloat16)};
  for (const FlowBlock& block : blocks) {
    const DType dtype = block.conv.weight().dtype;
    ops::ProgramLimits limits = test::traced(512);
    limits.trace = false;
    limits.max_segments = 8;
    const auto executable = pair_.cpu->compile(block.program, limits);
    const TestBatch crowd = items(kWidth, 100);
    executable->launch(crowd.batch);
    test::run_queued(*pair_.cpu);
    const std::int64_t count = std::int64_t{crowd.batch.rows} * kWidth;
    const std::vector<float> together = test::values_of(*executable, block.x, count);
    for (const step::Segment& segment : crowd.batch.segments) {
      for (const std::int32_t threads : test::thread_counts(isa())) {
        const auto backend = test::open_native(isa(), threads);
        backend->create_state(state_of());
        const Schedule schedule;
        test::run_program(*backend, schedule.program, schedule.batch.batch);
        TestBatch alone;
        step::Segment& own = alone.add(segment.slot, segment.rows, step::Input::vectors);
        own.vectors = segment.vectors;
        own.schedule_row = segment.schedule_row;
        const auto single = backend->compile(block.program, limits);
        single->launch(alone.batch);
        test::run_queued(*backend);
        const std::vector<float> got =
            test::values_of(*single, block.x, std::int64_t{segment.rows} * kWidth);
        EXPECT_EQ(std::memcmp(got.data(), together.data() + segment.first_row * kWidth,
                              got.size() * sizeof(float)),
                  0)
            << name_of(dtype) << ", " << segment.rows << " rows, " << threads << " threads";
      }
    }
    test::PairExecutable both(pair_, block.program, limits);
    both.oracle->launch(crowd.batch);
    both.cpu->launch(crowd.batch);
    test::run_queued(*pair_.oracle);
    test::run_queued(*pair_.cpu);
    EXPECT_LE(
        test::distance(both.oracle->activation(block.x), both.cpu->activation(block.x), count),
        dtype == DType::bfloat16 ? 2e-2F : 2e-5F);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuWholeOps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
