// The ops with rates on every instruction set and GPU against the reference, and their bits in any
// chunks and any company.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu_support.h"
#include "support/rate_models.h"

namespace ttsrt {
namespace {

using test::RateDecoder;
using test::TestBatch;
using test::TestWeight;

constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16};

class CpuRateOps : public test::CpuIsaTest {
 protected:
  // Items of these lengths, given as vectors of this width, in slots of their own.
  static TestBatch items(std::int64_t width, float scale = 1.0F,
                         const std::vector<std::int32_t>& lengths = {7, 1, 30}) {
    TestBatch batch;
    for (std::size_t slot = 0; slot < lengths.size(); ++slot) {
      const auto count = static_cast<std::size_t>(lengths[slot] * width);
      batch.add_vectors(static_cast<std::int32_t>(slot), lengths[slot],
                        test::random_vector(count, 7 * slot + 3, scale));
    }
    return batch;
  }

  void compare(const ops::Program& program, const TestBatch& batch, float tolerance,
               const std::string& what, ops::StateSpec spec = {}) {
    spec.slots = 4;
    for (const bool is_traced : {true, false}) {
      test::Pair pair(isa(), 3, spec);
      ops::ProgramLimits limits = test::traced(64);
      limits.trace = is_traced;
      test::PairExecutable both(pair, program, limits);
      if (is_traced) {
        both.run(batch.batch, tolerance, what);
        continue;
      }
      both.oracle->launch(batch.batch);
      both.cpu->launch(batch.batch);
      const step::StepOutput expected = test::run_queued(*pair.oracle);
      const step::StepOutput got = test::run_queued(*pair.cpu);
      ASSERT_EQ(expected.rows.size(), got.rows.size());
      for (std::size_t i = 0; i < got.rows.size(); ++i) {
        ASSERT_EQ(expected.rows[i].width, got.rows[i].width);
        ASSERT_EQ(expected.rows[i].values.size(), got.rows[i].values.size());
        EXPECT_LE(test::distance(expected.rows[i].values.data(), got.rows[i].values.data(),
                                 static_cast<std::int64_t>(got.rows[i].values.size())),
                  tolerance)
            << what << ", untraced";
      }
    }
  }
};

struct ConvCase {
  std::int64_t width, outputs;
  std::int32_t rate, kernel, dilation, stride, before;
  ops::Padding padding = ops::Padding::zeros;
};

TEST_P(CpuRateOps, ConvolveOverTimeAsTheReference) {
  const ConvCase cases[] = {
      {27, 27, 5, 3, 1, 1, 2},
      {13, 40, 3, 7, 5, 1, 30},
      {48, 16, 1, 11, 3, 1, 30},
      {130, 20, 1, 11, 1, 1, 10},  // taps in several spans
      {13, 1, 8, 3, 1, 1, 2},
      {27, 54, 1, 1, 1, 1, 0},
      {24, 33, 4, 5, 1, 1, 2, ops::Padding::replicate},
      {13, 26, 8, 16, 1, 8, 4, ops::Padding::replicate},
      {26, 13, 4, 4, 2, 2, 3},
  };
  std::vector<std::unique_ptr<TestWeight>> weights;
  for (const ConvCase& of : cases) {
    for (const DType dtype : kTypes) {
      ops::Program program;
      const ops::BufferId x = test::add_rate_input(program, of.width, of.rate);
      const std::int32_t rate = of.rate / of.stride;
      const ops::BufferId out = program.add("out", of.outputs, ops::RowSpace::rows, rate);
      const ops::BufferId other = program.add("other", of.outputs, ops::RowSpace::rows, rate);
      weights.push_back(std::make_unique<TestWeight>(
          test::make_panel(of.outputs, of.kernel * of.width, dtype, 3, 0.1F)));
      const TestWeight& weight = *weights.back();
      weights.push_back(std::make_unique<TestWeight>(test::make_vector(of.outputs, 4)));
      ops::TimeConv op{x,           out,       weight,    *weights.back(), of.kernel,
                       of.dilation, of.stride, of.before, of.padding};
      program.ops.emplace_back(op);
      op.out = other;
      op.addend = out;
      op.scale = 0.25F;
      op.bias = {};
      program.ops.emplace_back(op);
      op.addend = ops::kNoBuffer;
      op.accumulate = true;
      program.ops.emplace_back(op);
      program.ops.emplace_back(ops::EmitRows{other});
      compare(program, items(of.width * of.rate), test::tolerance_of(dtype, isa()),
              std::string(name_of(dtype)) + " " + std::to_string(of.width) + " to " +
                  std::to_string(of.outputs));
    }
  }
}

TEST_P(CpuRateOps, ActivateAsTheReference) {
  for (const std::int64_t width : {1, 2, 13, 27, 32, 54, 80}) {
    for (const float scale : {1.0F, 5000.0F}) {
      ops::Program program;
      const ops::BufferId x = test::add_rate_input(program, width, 3);
      const ops::BufferId snaked = program.add("snaked", width, ops::RowSpace::rows, 3);
      const TestWeight alpha = test::make_vector(std::max<std::int64_t>(width / 2, 1), 8, 0.5F, 1);
      if (width > 1) program.ops.emplace_back(ops::HalfSnake{x, snaked, alpha});
      program.ops.emplace_back(ops::HalfSnake{x, x});
      program.ops.emplace_back(ops::Clamp{x, -0.001F, 0.25F});
      program.ops.emplace_back(ops::EmitRows{width > 1 ? snaked : x});
      compare(program, items(width * 3, scale), 1e-6F, "snakes of " + std::to_string(width));
    }
  }
}

// The squares of sines are accurate by themselves, not only beside large inputs.
TEST_P(CpuRateOps, SquareSinesOfLargeAngles) {
  ops::Program program;
  const ops::BufferId x = test::add_input(program, 2);
  const ops::BufferId out = program.add("out", 2);
  const TestWeight alpha("alpha", 1, 1, DType::float32, ops::Layout::dense, {1.0F});
  program.ops.emplace_back(ops::HalfSnake{x, out, alpha});
  std::vector<float> values(2 * 4000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = test::random_value(5, i) * (i < 4000 ? 20.0F : 1e4F);
  TestBatch batch;
  batch.add_vectors(0, 4000, values);
  const auto backend = test::open_native(isa(), 2);
  ops::StateSpec spec;
  spec.slots = 1;
  backend->create_state(spec);
  const auto run = test::run_program(*backend, program, batch.batch);
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const double sine = std::sin(static_cast<double>(values[i]));
    const double got = static_cast<double>(run->activation(out)[i]) - values[i];
    EXPECT_NEAR(got, sine * sine, 3e-7 + 6.1e-8 * std::fabs(values[i])) << values[i];
  }
}

TEST_P(CpuRateOps, QuantizeAsTheReference) {
  ops::Program program;
  const ops::BufferId x = test::add_input(program, 12);
  const ops::BufferId codes = program.add("codes", 3);
  program.ops.emplace_back(ops::QuantizeRows{x, codes, {8, 7, 6, 5}});
  program.ops.emplace_back(ops::EmitRows{codes});
  compare(program, items(12, 3.0F), 0.0F, "codes");
}

TEST_P(CpuRateOps, DecodeAsTheReference) {
  for (const DType dtype : kTypes) {
    const RateDecoder decoder(dtype);
    TestBatch batch;
    batch.add_ids(0, 5, step::Input::codes, RateDecoder::codes(5, 1));
    batch.add_ids(2, 1, step::Input::codes, RateDecoder::codes(1, 2));
    batch.add_ids(1, 17, step::Input::codes, RateDecoder::codes(17, 3));
    compare(decoder.program, batch,
            dtype == DType::bfloat16 ? 2e-2F : 2.0F * test::tolerance_of(dtype, isa()),
            std::string("decoder ") + name_of(dtype), decoder.spec);
  }
}

// Decodes sequences of frames in chunks; each chunk of all sequences is one launch.
std::vector<std::vector<float>> decode(const std::string& isa, std::int32_t threads,
                                       const RateDecoder& decoder,
                                       const std::vector<std::vector<std::int32_t>>& chunks) {
  const auto backend = test::open_native(isa, threads);
  backend->create_state(decoder.spec);
  ops::ProgramLimits limits;
  limits.max_rows = 64;
  const auto executable = backend->compile(decoder.program, limits);
  std::vector<std::vector<float>> sounds(chunks.size());
  for (std::size_t chunk = 0;; ++chunk) {
    TestBatch batch;
    std::vector<std::size_t> of;
    for (std::size_t slot = 0; slot < chunks.size(); ++slot) {
      if (chunk >= chunks[slot].size()) continue;
      std::int32_t position = 0;
      std::int32_t frames = 0;
      for (std::size_t i = 0; i < chunks[slot].size(); ++i) {
        position += i < chunk ? chunks[slot][i] : 0;
        frames += chunks[slot][i];
      }
      const auto codes = RateDecoder::codes(frames, slot);
      step::Segment& segment = batch.add_ids(
          static_cast<std::int32_t>(slot), chunks[slot][chunk], step::Input::codes,
          {codes.begin() + position * 4, codes.begin() + (position + chunks[slot][chunk]) * 4});
      segment.position = position;
      of.push_back(slot);
    }
    if (of.empty()) return sounds;
    executable->launch(batch.batch);
    const step::StepOutput output = test::run_queued(*backend);
    std::size_t at = 0;
    for (std::size_t i = 0; i < of.size(); ++i) {
      const auto count =
          static_cast<std::size_t>(batch.batch.segments[i].rows * RateDecoder::kRate);
      const auto begin = output.rows.at(0).values.begin() + static_cast<std::ptrdiff_t>(at);
      sounds[of[i]].insert(sounds[of[i]].end(), begin, begin + static_cast<std::ptrdiff_t>(count));
      at += count;
    }
  }
}

void expect_same(const std::vector<float>& expected, const std::vector<float>& got,
                 const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0) << what;
}

TEST_P(CpuRateOps, GiveTheSameBitsInAnyChunksAndCompany) {
  for (const DType dtype : kTypes) {
    const RateDecoder decoder(dtype);
    const auto whole = decode(isa(), 1, decoder, {{21}, {9}, {1}});
    for (const std::int32_t threads : test::thread_counts(isa())) {
      const std::string what = std::string(name_of(dtype)) + ", threads " + std::to_string(threads);
      const auto chunked = decode(isa(), threads, decoder, {{1, 1, 2, 5, 12}, {4, 1, 1, 3}, {1}});
      const auto alone = decode(isa(), threads, decoder, {{3, 18}});
      for (std::size_t slot = 0; slot < 3; ++slot)
        expect_same(whole[slot], chunked[slot], what + ", chunks of " + std::to_string(slot));
      expect_same(whole[0], alone[0], what + ", alone");
    }
  }
}

// Two segments of one launch that continue each other are as one.
TEST_P(CpuRateOps, ContinueWithinALaunch) {
  const RateDecoder decoder(DType::float32);
  const auto whole = decode(isa(), 2, decoder, {{6}});
  const auto backend = test::open_native(isa(), 2);
  backend->create_state(decoder.spec);
  const auto codes = RateDecoder::codes(6, 0);
  TestBatch batch;
  batch.add_ids(0, 2, step::Input::codes, {codes.begin(), codes.begin() + 8});
  batch.add_ids(0, 4, step::Input::codes, {codes.begin() + 8, codes.end()}).position = 2;
  step::StepOutput output;
  test::run_program(*backend, decoder.program, batch.batch, &output);
  expect_same(whole[0], output.rows.at(0).values, "two segments");
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuRateOps, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
