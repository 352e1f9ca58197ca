// The ops of vocoders with a source on every instruction set and GPU against the reference, and
// their bits in windows, in any company and with any number of threads.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu_support.h"
#include "support/rate_models.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kHop = 24;  // samples of a row
constexpr std::int32_t kHarmonics = 3;
constexpr std::int32_t kFrames = 6;  // of a row
constexpr std::int32_t kHalo = 8;    // rows: more than any op here sees
constexpr std::int32_t kMaxRows = 80;

// Rows [pitch, noise, phases] to samples: a source, its reflected transform, a layer that is longer
// than the rows, snakes of all columns, and the way back.
struct SourceModel {
  explicit SourceModel(DType dtype) {
    spec.slots = 5;
    spec.rows = {{kMaxRows + 1, 2, false}};
    const ops::BufferId input = add("input", kWidth, 1, 1);
    ops::EmbedRows embed;
    embed.out = input;
    program.ops.emplace_back(embed);
    const ops::BufferId pitch = add("pitch", 1, 1, 1);
    const ops::BufferId noise = add("noise", kHop + kHarmonics, 1, 1);
    const ops::BufferId rows = add("source rows", kHop, 1, 1);
    convolve(input, pitch, 3, 1, DType::float32, ops::Activate::elu).scale = 150.0F;
    convolve(input, noise, 1, 1, DType::float32);
    ops::HarmonicSource source;
    source.pitch = pitch;
    source.noise = noise;
    source.out = rows;
    source.weight = keep(test::make_vector(kHarmonics, 1));
    source.bias = keep(test::make_vector(1, 2));
    source.halo = 1;
    source.sample_rate = 4000.0F;
    program.ops.emplace_back(source);
    const ops::BufferId samples = add("samples", 1, kHop, kHop);
    program.ops.emplace_back(ops::SplitRows{rows, samples});
    const ops::BufferId bins = add("bins", 18, kFrames, kFrames - 1);
    ops::TimeConv& transform = convolve(samples, bins, 16, kHop / kFrames, DType::float32);
    transform.before = 8;
    transform.padding = ops::Padding::reflect;
    write_layer(input, bins, dtype);
    program.ops.emplace_back(ops::PolarSpectrum{bins, bins_out, 2.0F, true});
    const ops::BufferId frames = add("frames", 16, kFrames, kFrames - 1);
    convolve(bins_out, frames, 1, 1, DType::float32);
    const ops::BufferId sound = add("sound", kHop / kFrames, kFrames, kFrames - 1);
    program.ops.emplace_back(
        ops::OverlapAdd{frames, sound, keep(test::make_vector(16, 3, 0.5F, 1.0F)), 8});
    program.ops.emplace_back(ops::FadeIn{sound, keep(test::make_vector(3 * kHop, 4))});
    program.ops.emplace_back(ops::EmitRows{sound});
    program.name = "source model";
  }

  static constexpr std::int32_t kWidth = 5;
  ops::Program program;
  ops::StateSpec spec;

 private:
  ops::BufferId add(const char* name, std::int64_t width, std::int32_t rate, std::int32_t beyond) {
    return program.add(name, width, ops::RowSpace::rows, rate, beyond);
  }
  const TestWeight& keep(TestWeight weight) {
    weights_.push_back(std::make_unique<TestWeight>(std::move(weight)));
    return *weights_.back();
  }

  ops::TimeConv& convolve(ops::BufferId x, ops::BufferId out, std::int32_t kernel,
                          std::int32_t stride, DType dtype,
                          ops::Activate activate = ops::Activate::none) {
    const std::int64_t width = program.activations[static_cast<std::size_t>(x)].width;
    const std::int64_t outputs = program.activations[static_cast<std::size_t>(out)].width;
    ops::TimeConv op;
    op.x = x;
    op.out = out;
    op.weight = keep(test::make_panel(outputs, kernel * width, dtype, 10 + weights_.size(), 0.3F));
    op.bias = keep(test::make_vector(outputs, 10 + weights_.size()));
    op.kernel = kernel;
    op.before = (kernel - 1) / 2;
    op.stride = stride;
    op.activate = activate;
    program.ops.emplace_back(op);
    return std::get<ops::TimeConv>(program.ops.back());
  }

  // Upsamples the rows, adds one in front, and adds what becomes of it to the bins.
  void write_layer(ops::BufferId input, ops::BufferId bins, DType dtype) {
    constexpr std::int32_t kChannels = 20;
    const ops::BufferId flat = add("flat", kFrames * kChannels, 1, 1);
    convolve(input, flat, 3, 1, dtype);
    const ops::BufferId up = add("up", kChannels, kFrames, kFrames);
    program.ops.emplace_back(ops::SplitRows{flat, up});
    const ops::BufferId longer = add("longer", kChannels, kFrames, kFrames - 1);
    program.ops.emplace_back(ops::ShiftRows{up, longer, 1});
    const ops::BufferId activated = add("activated", kChannels, kFrames, kFrames - 1);
    const TestWeight& alpha = keep(test::make_vector(kChannels, 5, 0.5F, 1.0F));
    program.ops.emplace_back(ops::HalfSnake{longer, activated, alpha});
    bins_out = add("bins out", 18, kFrames, kFrames - 1);
    ops::TimeConv& last = convolve(activated, bins_out, 5, 1, dtype);
    last.addend = bins;
    program.ops.emplace_back(
        ops::HalfSnake{bins_out, bins_out, keep(test::make_vector(18, 6, 0.5F, 1.0F))});
  }

  ops::BufferId bins_out = ops::kNoBuffer;
  std::vector<std::unique_ptr<TestWeight>> weights_;
};

// The rows of an item, with one row beyond it that nothing may read. A GPU says of given rows that
// they are not finite.
std::vector<float> item(const std::string& isa, std::int32_t rows, std::uint64_t seed) {
  std::vector<float> values =
      test::random_vector(static_cast<std::size_t>(rows) * SourceModel::kWidth, seed);
  values.resize(values.size() + SourceModel::kWidth, isa == test::kCuda ? 1e30F : NAN);
  return values;
}

class CpuSourceOps : public test::CpuIsaTest {};

TEST_P(CpuSourceOps, ComputeAsTheReference) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    const SourceModel model(dtype);
    test::Pair pair(isa(), 3, model.spec);
    test::PairExecutable both(pair, model.program, test::traced(kMaxRows));
    TestBatch batch;
    for (const std::int32_t rows : {7, 1, 30})
      batch.add_vectors(rows % 3, rows + 1, item(isa(), rows, static_cast<std::uint64_t>(rows)));
    const bool is_rounded = dtype == DType::float16 && isa() == test::kCuda;
    const float tolerance = dtype == DType::bfloat16 ? 2e-2F : is_rounded ? 4e-3F : 5e-5F;
    both.run(batch.batch, tolerance, name_of(dtype));
    EXPECT_TRUE(both.got.faults.empty());
  }
}

// Windows of these sizes, with a halo on both sides.
std::vector<float> in_windows(const std::string& isa, std::int32_t threads,
                              const SourceModel& model, std::int32_t rows, std::int32_t window) {
  const auto backend = test::open_native(isa, threads);
  backend->create_state(model.spec);
  ops::ProgramLimits limits;
  limits.max_rows = kMaxRows;
  const auto executable = backend->compile(model.program, limits);
  const std::vector<float> all = item(isa, rows, 9);
  std::vector<float> sound;
  for (std::int32_t begin = 0; begin < rows; begin += window) {
    const std::int32_t end = std::min(rows, begin + window);
    const std::int32_t first = std::max(0, begin - kHalo);
    const std::int32_t last = std::min(rows, end + kHalo);
    TestBatch batch;
    const auto from = all.begin() + std::ptrdiff_t{first} * SourceModel::kWidth;
    batch
        .add_vectors(1, last - first + 1,
                     {from, from + std::ptrdiff_t{last - first + 1} * SourceModel::kWidth})
        .position = first;
    executable->launch(batch.batch);
    const step::StepOutput output = test::run_queued(*backend);
    const float* values = output.rows.at(0).values.data();
    sound.insert(sound.end(), values + std::ptrdiff_t{begin - first} * kHop,
                 values + std::ptrdiff_t{end - first} * kHop);
  }
  return sound;
}

TEST_P(CpuSourceOps, GiveTheSameBitsInWindowsAndByAnyThreads) {
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const SourceModel model(dtype);
    const std::vector<float> whole = in_windows(isa(), 1, model, 50, 50);
    ASSERT_EQ(whole.size(), 50U * kHop);
    for (const std::int32_t threads : test::thread_counts(isa())) {
      for (const std::int32_t window : {7, 19, 50}) {
        const std::vector<float> got = in_windows(isa(), threads, model, 50, window);
        ASSERT_EQ(got.size(), whole.size());
        EXPECT_EQ(std::memcmp(got.data(), whole.data(), got.size() * sizeof(float)), 0)
            << name_of(dtype) << ", windows of " << window << ", threads " << threads;
      }
    }
  }
}

// Items of a launch with others of other lengths.
TEST_P(CpuSourceOps, GiveAnItemTheSameBitsInAnyCompany) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    const SourceModel model(dtype);
    const auto run = [&](const std::vector<std::int32_t>& items) {
      const auto backend = test::open_native(isa(), 2);
      backend->create_state(model.spec);
      ops::ProgramLimits limits;
      limits.max_rows = kMaxRows;
      const auto executable = backend->compile(model.program, limits);
      TestBatch batch;
      for (std::size_t i = 0; i < items.size(); ++i)
        batch.add_vectors(static_cast<std::int32_t>(i), items[i] + 1,
                          item(isa(), items[i], static_cast<std::uint64_t>(items[i])));
      executable->launch(batch.batch);
      const std::vector<float> values = test::run_queued(*backend).rows.at(0).values;
      std::vector<std::vector<float>> sounds;
      for (std::size_t i = 0; i < items.size(); ++i) {
        const auto begin =
            values.begin() + std::ptrdiff_t{batch.batch.segments[i].first_row} * kHop;
        sounds.emplace_back(begin, begin + std::ptrdiff_t{items[i]} * kHop);
      }
      return sounds;
    };
    const std::vector<std::int32_t> items = {7, 1, 30, 2, 11};
    const auto together = run(items);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::vector<float> alone = run({items[i]})[0];
      ASSERT_EQ(alone.size(), together[i].size());
      EXPECT_EQ(std::memcmp(alone.data(), together[i].data(), alone.size() * sizeof(float)), 0)
          << name_of(dtype) << ", " << items[i] << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuSourceOps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
