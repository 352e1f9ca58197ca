// The bits of a row do not depend on the number of rows, its place among them, or the number of
// threads.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu_model.h"
#include "support/sanitizers.h"

namespace ttsrt {
namespace {

using test::SmallModel;
using test::SmallRequest;
using test::TestBatch;
using test::TestWeight;

constexpr std::int32_t kCounts[] = {1, 2, 3, 8, 9, 12, 16, 17, 25, 64, 129, 512};
constexpr std::int64_t kInputs = 75;
constexpr std::int64_t kOutputs = 16 * 9 + 5;

class CpuExactness : public test::CpuIsaTest {};

// Adds segments of one row each, in slot 0; row `r` of a launch holds vector (r + first) of 512.
std::vector<float> run_rows(ops::Executable& executable, ops::Backend& backend,
                            const std::vector<float>& vectors, std::int32_t first,
                            std::int32_t rows, ops::BufferId out, std::int64_t width) {
  TestBatch batch;
  const auto begin = vectors.begin() + std::int64_t{first} * kInputs;
  batch.add_vectors(0, rows, std::vector<float>(begin, begin + std::int64_t{rows} * kInputs));
  executable.launch(batch.batch);
  test::run_queued(backend);
  return test::values_of(executable, out, rows * width);
}

void expect_same_bits(const std::vector<float>& got, const float* expected,
                      const std::string& what) {
  EXPECT_EQ(std::memcmp(got.data(), expected, got.size() * sizeof(float)), 0) << what;
}

// Weights of the products below; they outlive the Programs.
struct BlockWeights {
  TestWeight norm, norm_bias, in, gated_in, bias, gated_bias, back;
  explicit BlockWeights(const test::WeightKind& kind)
      : norm(test::make_norm(kInputs, 1)),
        norm_bias(test::make_vector(kInputs, 6)),
        in(test::make_panel(kOutputs, kInputs, kind, 2)),
        gated_in(test::make_panel(2 * kOutputs, kInputs, kind, 7)),
        bias(test::make_vector(kOutputs, 3)),
        gated_bias(test::make_vector(2 * kOutputs, 8)),
        back(test::make_panel(kInputs, kOutputs, kind, 4)) {}
};

// A layer norm and a plain feed-forward, or an RMS norm and a gated one beside an addend.
ops::Program feed_forward(const BlockWeights& weights, bool is_gated) {
  ops::Program program;
  const ops::BufferId x = test::add_input(program, kInputs);
  const ops::BufferId y = program.add("normed", kInputs);
  const ops::BufferId h = program.add("hidden", kOutputs);
  if (!is_gated) {
    program.ops.emplace_back(ops::Norm{x, y, weights.norm, 1e-5F});
    program.ops.emplace_back(
        ops::Linear{y, h, weights.in, weights.bias, ops::Activate::gelu_tanh, false});
    program.ops.emplace_back(ops::Linear{h, x, weights.back, {}, ops::Activate::none, true});
    return program;
  }
  const ops::BufferId gates = program.add("gates", 2 * kOutputs);
  const ops::BufferId branch = program.add("branch", kInputs);
  program.ops.emplace_back(
      ops::Norm{x, y, weights.norm, 1e-5F, ops::NormKind::rms, weights.norm_bias});
  program.ops.emplace_back(
      ops::Linear{y, gates, weights.gated_in, weights.gated_bias, ops::Activate::none, false});
  program.ops.emplace_back(ops::Gate{gates, h, ops::Activate::silu});
  program.ops.emplace_back(ops::Linear{h, branch, weights.back, {}, ops::Activate::silu, false});
  program.ops.emplace_back(ops::Linear{h, x, weights.back, {}, ops::Activate::none, true, branch});
  return program;
}

void expect_same_products(const std::string& isa, const test::WeightKind& kind, bool is_gated) {
  const BlockWeights weights(kind);
  const ops::Program program = feed_forward(weights, is_gated);
  const ops::BufferId x = 0;
  const std::vector<float> vectors = test::random_vector(512 * kInputs, 5);
  std::vector<float> whole;
  for (const std::int32_t threads : test::thread_counts(isa)) {
    const auto backend = test::open_native(isa, threads);
    backend->create_state(test::small_state());
    ops::ProgramLimits limits = test::traced(512);
    limits.trace = false;
    const auto executable = backend->compile(program, limits);
    if (whole.empty()) whole = run_rows(*executable, *backend, vectors, 0, 512, x, kInputs);
    for (const std::int32_t rows : kCounts) {
      for (const std::int32_t first : {0, (512 - rows) / 3, 512 - rows}) {
        if (test::kSanitized && first < 512 - rows) continue;  // one place is enough
        const auto got = run_rows(*executable, *backend, vectors, first, rows, x, kInputs);
        expect_same_bits(got, whole.data() + std::int64_t{first} * kInputs,
                         std::to_string(rows) + " rows from " + std::to_string(first) + ", " +
                             std::to_string(threads) + " threads, " + kind.name());
      }
    }
  }
}

TEST_P(CpuExactness, ProductsAndNorms) {
  for (const test::WeightKind& kind : test::all_kinds()) expect_same_products(isa(), kind, false);
}

TEST_P(CpuExactness, GatedProductsAndRmsNorms) {
  for (const test::WeightKind& kind : test::all_kinds()) expect_same_products(isa(), kind, true);
}

// Runs a sequence of 512 positions in one launch, in pieces, and row by row, alone and with another
// sequence.
void expect_same_attention(const std::string& isa, DType cache_dtype, std::int32_t head_dim) {
  const std::int64_t width = std::int64_t{2} * head_dim;
  ops::Program program;
  const ops::BufferId qkv = test::add_input(program, 3 * width);
  const ops::BufferId out = program.add("out", width);
  program.ops.emplace_back(ops::SelfAttention{qkv, out, 2, head_dim, 0, true});
  ops::StateSpec spec = test::small_state();
  spec.cache_dtype = cache_dtype;
  spec.cache_head_dim = head_dim;
  spec.num_blocks = 70;
  std::vector<std::int32_t> table;
  for (std::int32_t b = 0; b < 32; ++b) table.push_back(b * 3 % 64);
  const std::vector<float> vectors =
      test::random_vector(static_cast<std::size_t>(512 * 3 * width), 6);
  std::vector<float> whole(static_cast<std::size_t>(512 * width));
  for (const std::int32_t threads : test::thread_counts(isa)) {
    const auto backend = test::open_native(isa, threads);
    backend->create_state(spec);
    const auto executable = backend->compile(program, test::traced(600));
    for (const std::int32_t piece : {512, 1, 2, 3, 8, 16, 17, 64, 128}) {
      for (std::int32_t first = 0; first < 512; first += piece) {
        const std::int32_t rows = std::min(piece, 512 - first);
        TestBatch batch;
        const std::int32_t others = first % 5;
        if (others > 0) {
          batch.add_vectors(1, others,
                            test::random_vector(static_cast<std::size_t>(others * 3 * width), 8));
          batch.set_blocks({68});
        }
        const auto begin = vectors.begin() + std::int64_t{first} * 3 * width;
        batch.add_vectors(0, rows, std::vector<float>(begin, begin + rows * 3 * width)).position =
            first;
        batch.set_blocks(table);
        executable->launch(batch.batch);
        test::run_queued(*backend);
        const float* got = executable->activation(out) + others * width;
        float* expected = whole.data() + first * width;
        if (threads == 1 && piece == 512) std::copy(got, got + rows * width, expected);
        EXPECT_EQ(
            std::memcmp(got, expected, static_cast<std::size_t>(rows * width) * sizeof(float)), 0)
            << "pieces of " << piece << " at " << first << ", " << threads << " threads";
      }
    }
  }
}

TEST_P(CpuExactness, PagedAttention) { expect_same_attention(isa(), DType::float32, 20); }

TEST_P(CpuExactness, PagedAttentionOverInt8) { expect_same_attention(isa(), DType::int8, 20); }

TEST_P(CpuExactness, PagedAttentionOverBfloat16) {
  expect_same_attention(isa(), DType::bfloat16, 64);
}

TEST_P(CpuExactness, PagedAttentionOverFloat16) {
  expect_same_attention(isa(), DType::float16, 80);
}

// A one-row segment that continues another one reads a key that another thread may be storing at
// the same time: a race unless the launch detects this case. Every launch has new vectors, so that
// a stale key changes the result.
TEST_P(CpuExactness, OneRowSegmentsThatContinue) {
  constexpr std::int64_t kWidth = 8;
  ops::Program program;
  const ops::BufferId qkv = test::add_input(program, 3 * kWidth);
  const ops::BufferId out = program.add("out", kWidth);
  program.ops.emplace_back(ops::SelfAttention{qkv, out, 1, 8, 0, true});
  ops::StateSpec spec = test::small_state();
  spec.cache_heads = 1;
  for (const std::int32_t threads : {2, 3}) {
    const auto backend = test::open_native(isa(), threads);
    backend->create_state(spec);
    const auto executable = backend->compile(program, test::traced(8));
    for (std::uint64_t round = 0; round < 60; ++round) {
      const std::vector<float> vectors = test::random_vector(2 * 3 * kWidth, round);
      std::vector<float> outputs[2];
      for (const bool is_cut : {false, true}) {
        TestBatch batch;
        for (std::int32_t first = 0; first < 2; first += is_cut ? 1 : 2) {
          const std::int32_t rows = is_cut ? 1 : 2;
          const auto begin = vectors.begin() + first * 3 * kWidth;
          batch.add_vectors(0, rows, std::vector<float>(begin, begin + rows * 3 * kWidth))
              .position = 15 + first;  // the second row begins a block
          batch.set_blocks(is_cut ? std::vector<std::int32_t>{3, 5}
                                  : std::vector<std::int32_t>{1, 2});
        }
        executable->launch(batch.batch);
        test::run_queued(*backend);
        outputs[is_cut ? 1 : 0] = test::values_of(*executable, out, 2 * kWidth);
      }
      expect_same_bits(outputs[1], outputs[0].data(),
                       std::to_string(threads) + " threads, round " + std::to_string(round));
    }
  }
}

// Compares guided logits and codes of a request alone and in a batch, over several steps.
std::vector<float> run_crowd(const std::string& isa, const SmallModel& model, DType cache_dtype,
                             std::int32_t threads, std::int32_t others) {
  const auto backend = test::open_native(isa, threads);
  backend->create_state(SmallModel::state(cache_dtype, 4));
  ops::ProgramLimits limits = test::traced(300);
  limits.trace = false;
  const auto encoder = backend->compile(model.encoder, limits);
  const auto prefill = backend->compile(model.prefill, limits);
  const auto decode = backend->compile(model.decode, limits);
  std::vector<SmallRequest> requests;
  for (std::int32_t i = 0; i < others; ++i) requests.push_back(SmallRequest::make(i, 4));
  requests.push_back(SmallRequest::make(3, 4));
  TestBatch text;
  TestBatch context;
  for (SmallRequest& request : requests) {
    request.rules.use_local_transformer = true;
    request.rules.sampler.temperature = 0.8F;
    request.rules.prior.mode = rules::PriorMode::nemo;
    request.rules.prior.estimate_layers = 3;
    request.rules.prior.apply_layers = 3;
    step::SlotReset reset;
    reset.slot = request.slot;
    reset.rules = request.rules;
    backend->reset_slot(reset);
    request.add_text(text);
    request.add_context(context);
  }
  encoder->launch(text.batch);
  prefill->launch(context.batch);
  std::vector<float> seen;
  for (std::int32_t step = 0; step < 6; ++step) {
    TestBatch batch;
    for (const SmallRequest& request : requests) request.add_step(batch, step);
    decode->launch(batch.batch);
    const step::StepOutput output = test::run_queued(*backend);
    for (const std::int32_t code : std::vector<std::int32_t>(
             output.codes.end() - SmallModel::kCodebooks, output.codes.end())) {
      seen.push_back(static_cast<float>(code));
    }
    for (std::size_t b = 0; b < model.decode.activations.size(); ++b) {
      const ops::Activation& activation = model.decode.activations[b];
      if (activation.name != "guided" && activation.name != "scores") continue;
      const float* row =
          decode->activation(static_cast<ops::BufferId>(b)) + others * activation.width;
      seen.insert(seen.end(), row, row + activation.width);
    }
  }
  return seen;
}

void expect_same_in_a_crowd(const std::string& isa, const test::WeightKind& kind,
                            DType cache = DType::bfloat16) {
  const SmallModel model({kind.dtype, true, false, 14, kind});
  const std::vector<float> alone = run_crowd(isa, model, cache, 1, 0);
  for (const std::int32_t threads : test::thread_counts(isa)) {
    for (const std::int32_t others : {0, 1, 3}) {
      const std::vector<float> got = run_crowd(isa, model, cache, threads, others);
      ASSERT_EQ(got.size(), alone.size());
      expect_same_bits(got, alone.data(),
                       kind.name() + ", " + std::to_string(threads) + " threads, " +
                           std::to_string(others) + " others");
    }
  }
}

TEST_P(CpuExactness, AloneOrInACrowd) {
  expect_same_in_a_crowd(isa(), test::WeightKind(DType::float32));
}

TEST_P(CpuExactness, AloneOrInACrowdInBfloat16) {
  expect_same_in_a_crowd(isa(), test::WeightKind(DType::bfloat16));
}

TEST_P(CpuExactness, AloneOrInACrowdOverInt8) {
  expect_same_in_a_crowd(isa(), test::WeightKind(DType::bfloat16), DType::int8);
}

TEST_P(CpuExactness, AloneOrInACrowdWithInt8Weights) {
  expect_same_in_a_crowd(isa(), test::WeightKind(ops::Quantization::w8a16));
  expect_same_in_a_crowd(isa(), test::WeightKind(ops::Quantization::w8a8));
}

TEST_P(CpuExactness, AloneOrInACrowdWithInt4Weights) {
  expect_same_in_a_crowd(isa(), test::WeightKind(ops::Quantization::w4a16, 32));
  expect_same_in_a_crowd(isa(), test::WeightKind(ops::Quantization::w4a8, 64));
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuExactness, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
