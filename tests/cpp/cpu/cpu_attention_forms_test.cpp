// Self-attention with grouped queries, ropes and scales on the CPU: against the reference, and with
// the same bits whatever the launch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "cpu_support.h"
#include "support/rope_table.h"

namespace ttsrt {
namespace {

using test::Pair;
using test::PairExecutable;
using test::TestBatch;

class CpuAttentionForms : public test::CpuIsaTest {};

struct Form {
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t rotated;
  float scale;

  std::int64_t width() const { return std::int64_t{heads + 2 * kv_heads} * head_dim; }
  std::int64_t out_width() const { return std::int64_t{heads} * head_dim; }
};

constexpr Form kForms[] = {{8, 2, 8, 8, 0.0F},    // groups of 4
                           {9, 1, 20, 10, 0.3F},  // one head of keys for all, half of it turned
                           {3, 3, 80, 32, 0.0F},  // no groups, part of it turned
                           {4, 2, 64, 0, 0.5F}};  // no rope
// Of 64 and 128 dimensions, which GPUs attend to on tensor cores if the cache is bfloat16.
constexpr Form kWideForms[] = {{8, 1, 64, 64, 0.0F}, {6, 2, 128, 128, 0.0F}, {4, 4, 64, 32, 0.0F}};
constexpr DType kCacheTypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8};

constexpr std::int32_t kTableBlocks = 64;  // from which sequences of several rows take theirs
constexpr std::int32_t kMostOthers = 70;   // sequences of one row in a launch

ops::StateSpec state_of(const Form& form, DType cache_dtype) {
  ops::StateSpec spec = test::small_state();
  spec.cache_dtype = cache_dtype;
  spec.cache_heads = form.kv_heads;
  spec.cache_head_dim = form.head_dim;
  spec.num_blocks = kTableBlocks + kMostOthers;
  return spec;
}

// Turned keys may round to the other neighbour where the cache is narrow.
float tolerance_of(const Form& form, DType cache_dtype) {
  if (cache_dtype == DType::float32 || form.rotated == 0) return 2e-5F;
  return cache_dtype == DType::int8 ? 2e-2F : 4e-3F;
}

struct FormProgram {
  test::TestRope rope;
  ops::Program program;
  ops::BufferId out = ops::kNoBuffer;

  FormProgram(const Form& form, std::int32_t cache_layer, bool is_causal)
      : rope(600, form.rotated) {
    ops::SelfAttention op;
    op.qkv = test::add_input(program, form.width());
    op.out = out = program.add("out", form.out_width());
    op.heads = form.heads;
    op.kv_heads = form.kv_heads;
    op.head_dim = form.head_dim;
    op.cache_layer = cache_layer;
    op.causal = is_causal;
    op.scale = form.scale;
    op.rope = rope.weight();
    program.ops.emplace_back(op);
  }
};

std::vector<float> rows_of(const Form& form, std::int32_t rows, std::uint64_t seed) {
  return test::random_vector(static_cast<std::size_t>(rows * form.width()), seed);
}

// Scattered blocks, prefill in pieces and single rows, both branches.
void expect_as_the_reference(const std::string& isa, const Form& form, DType dtype) {
  const std::vector<std::int32_t> tables[3] = {
      {7, 2, 19, 4, 28}, {0, 11, 3, 9, 1}, {5, 6, 8, 10, 29}};
  FormProgram made(form, 1, true);
  Pair pair(isa, 3, state_of(form, dtype));
  PairExecutable both(pair, made.program, test::traced(60));
  std::int32_t position[3] = {0, 0, 0};
  std::uint64_t seed = 0;
  for (const std::vector<std::int32_t>& counts :
       {std::vector<std::int32_t>{13, 4, 30}, {1, 1, 1}, {9, 1, 17}, {1, 1, 1}}) {
    TestBatch batch;
    for (std::size_t s = 0; s < 3; ++s) {
      auto& segment = batch.add_vectors(static_cast<std::int32_t>(s % 2), counts[s],
                                        rows_of(form, counts[s], ++seed));
      segment.branch = s == 2 ? step::Branch::unconditional : step::Branch::conditional;
      segment.position = position[s];
      batch.set_blocks(tables[s]);
      position[s] += counts[s];
    }
    both.run(
        batch.batch, tolerance_of(form, dtype),
        std::to_string(form.heads) + " heads, type " + std::to_string(static_cast<int>(dtype)));
  }
}

TEST_P(CpuAttentionForms, PagedAsTheReference) {
  for (const DType dtype : kCacheTypes) {
    for (const Form& form : kForms) expect_as_the_reference(isa(), form, dtype);
  }
  for (const Form& form : kWideForms) expect_as_the_reference(isa(), form, DType::bfloat16);
}

TEST_P(CpuAttentionForms, SegmentsAsTheReference) {
  for (const Form& form : kForms) {
    for (const bool is_causal : {true, false}) {
      FormProgram made(form, -1, is_causal);
      Pair pair(isa(), 2, test::small_state());
      PairExecutable both(pair, made.program, test::traced(100));
      std::uint64_t seed = 40;
      for (const std::vector<std::int32_t>& counts :
           {std::vector<std::int32_t>{1, 1}, {16, 17, 40}, {5}}) {
        TestBatch batch;
        for (const std::int32_t rows : counts)
          batch.add_vectors(0, rows, rows_of(form, rows, ++seed)).position = 3;
        both.run(batch.batch, 2e-5F, std::to_string(form.heads) + " heads");
      }
    }
  }
}

// A sequence in one launch, in pieces and row by row, alone and beside others.
void expect_same_bits(const std::string& isa, const Form& form, DType cache_dtype) {
  constexpr std::int32_t kRows = 200;
  FormProgram made(form, 0, true);
  std::vector<std::int32_t> table;
  for (std::int32_t b = 0; b < 13; ++b) table.push_back(b * 3 % kTableBlocks);
  const std::vector<float> vectors = rows_of(form, kRows, 6);
  std::vector<float> whole;
  for (const std::int32_t threads : test::thread_counts(isa)) {
    const auto backend = test::open_native(isa, threads);
    backend->create_state(state_of(form, cache_dtype));
    const auto executable = backend->compile(made.program, test::traced(kRows + 5));
    for (const std::int32_t piece : {kRows, 1, 2, 3, 8, 17, 64, 128}) {
      for (std::int32_t first = 0; first < kRows; first += piece) {
        const std::int32_t rows = std::min(piece, kRows - first);
        // Sequences of one row each: few, or a crowd.
        const std::int32_t others = first == 51 ? kMostOthers : first % 4;
        TestBatch batch;
        for (std::int32_t other = 0; other < others; ++other) {
          batch.add_vectors(1, 1, rows_of(form, 1, 8));
          batch.set_blocks({kTableBlocks + other});
        }
        const auto begin = vectors.begin() + first * form.width();
        batch.add_vectors(0, rows, std::vector<float>(begin, begin + rows * form.width()))
            .position = first;
        batch.set_blocks(table);
        executable->launch(batch.batch);
        test::run_queued(*backend);
        const float* got = executable->activation(made.out) + others * form.out_width();
        if (whole.empty()) whole.assign(got, got + kRows * form.out_width());
        ASSERT_EQ(std::memcmp(got, whole.data() + first * form.out_width(),
                              static_cast<std::size_t>(rows * form.out_width()) * sizeof(float)),
                  0)
            << form.heads << " heads, pieces of " << piece << " at " << first << ", " << threads
            << " threads";
      }
    }
  }
}

TEST_P(CpuAttentionForms, SameBitsWhateverTheLaunch) {
  for (const Form& form : kForms) expect_same_bits(isa(), form, DType::float32);
}

TEST_P(CpuAttentionForms, SameBitsOverNarrowCaches) {
  expect_same_bits(isa(), kForms[0], DType::int8);
  expect_same_bits(isa(), kForms[1], DType::bfloat16);
}

TEST_P(CpuAttentionForms, SameBitsOfWideHeads) {
  for (const Form& form : kWideForms) expect_same_bits(isa(), form, DType::bfloat16);
}

// Rows of a launch do not see what comes behind them.
TEST_P(CpuAttentionForms, RowsBeforeOneThatIsNotFiniteKeepTheirBits) {
  constexpr std::int32_t kRows = 40;
  constexpr std::int32_t kBroken = 21;
  for (const Form& form : kWideForms) {
    FormProgram made(form, 0, true);
    const auto backend = test::open_native(isa(), 2);
    backend->create_state(state_of(form, DType::bfloat16));
    const auto executable = backend->compile(made.program, test::traced(kRows));
    const auto outs_of = [&](const std::vector<float>& rows) {
      TestBatch batch;
      batch.add_vectors(0, kRows, rows);
      batch.set_blocks({3, 1, 2});
      executable->launch(batch.batch);
      test::run_queued(*backend);
      const float* out = executable->activation(made.out);
      return std::vector<float>(out, out + kRows * form.out_width());
    };
    std::vector<float> rows = rows_of(form, kRows, 7);
    const std::vector<float> finite = outs_of(rows);
    const std::int64_t values = form.width() - std::int64_t{form.kv_heads} * form.head_dim;
    rows[static_cast<std::size_t>(kBroken * form.width() + values)] = NAN;
    const std::vector<float> broken = outs_of(rows);
    const auto before = static_cast<std::size_t>(kBroken * form.out_width());
    EXPECT_EQ(std::memcmp(finite.data(), broken.data(), before * sizeof(float)), 0);
    EXPECT_TRUE(std::isnan(broken[before])) << form.heads << " heads";
  }
}

// A step of four draws, of which two read their scores, one of them guided.
TestBatch scored_step(const Form& form, std::uint64_t seed) {
  TestBatch batch;
  for (std::int32_t row = 0; row < 5; ++row) {
    auto& segment = batch.add_vectors(std::min(row, 3), 1, rows_of(form, 1, ++seed));
    if (row == 4) segment.branch = step::Branch::unconditional;
    segment.position = 25 + row;
    batch.set_blocks({2 * row, 40 + row});
    if (row < 4) batch.add_draw(row, row, row == 3 ? 4 : -1);
  }
  return batch;
}

void fill_cache(const Form& form, PairExecutable& both) {
  TestBatch prefill;
  for (std::int32_t row = 0; row < 5; ++row) {
    prefill.add_vectors(std::min(row, 3), 30, rows_of(form, 30, 90U + static_cast<unsigned>(row)));
    prefill.set_blocks({2 * row, 40 + row});
  }
  both.run(prefill.batch, 2e-2F, "prefill");
}

// Every head that adds to the scores is attended once more; nothing else may change by that.
TEST_P(CpuAttentionForms, ScoresAsTheReferenceAndNothingElseChanges) {
  for (const Form& form : kForms) {
    for (const DType dtype : {DType::float32, DType::int8}) {
      std::vector<float> outs[2];
      for (const bool is_scored : {false, true}) {
        FormProgram made(form, 1, true);
        ops::StateSpec spec = state_of(form, dtype);
        spec.slots = 4;
        auto& op = std::get<ops::SelfAttention>(made.program.ops.back());
        if (is_scored) {
          op.scores = made.program.add("scores", spec.max_text_len, ops::RowSpace::draws);
          op.score_heads = 1U | (std::uint64_t{1} << (form.heads - 1));
          op.score_share = 0.5F;
          made.program.ops.emplace(made.program.ops.begin() + 1, ops::ClearScores{op.scores});
        }
        Pair pair(isa(), 3, spec);
        for (const std::int32_t slot : {1, 3}) {
          step::SlotReset reset{slot, {}};
          reset.rules.text_len = 17 + slot;
          reset.rules.analyzer = {slot == 1, 6};
          reset.rules.keep_scores = slot == 3;
          pair.reset_slot(reset);
        }
        PairExecutable both(pair, made.program, test::traced(150));
        fill_cache(form, both);
        const TestBatch batch = scored_step(form, 50);
        both.run(batch.batch, tolerance_of(form, dtype), "scores");
        const float* out = both.cpu->activation(made.out);
        outs[is_scored ? 1 : 0].assign(out, out + 5 * form.out_width());
      }
      EXPECT_EQ(std::memcmp(outs[0].data(), outs[1].data(), outs[0].size() * sizeof(float)), 0);
    }
  }
}

TEST_P(CpuAttentionForms, FormsThatDoNotFitAreRefused) {
  const auto refuses = [this](auto change) {
    FormProgram made(kForms[0], 0, true);
    change(std::get<ops::SelfAttention>(made.program.ops.back()));
    const auto backend = test::open_native(isa(), 1);
    backend->create_state(state_of(kForms[0], DType::float32));
    EXPECT_THROW(backend->compile(made.program, test::traced(4)), InternalError);
  };
  refuses([](ops::SelfAttention& op) { op.kv_heads = 3; });
  refuses([](ops::SelfAttention& op) { op.kv_heads = 4; });
  refuses([](ops::SelfAttention& op) { op.rope.cols = 10; });
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuAttentionForms, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
