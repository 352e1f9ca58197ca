// Self-attention with grouped queries, ropes and scales on the CPU: against the reference, and with
// the same bits whatever the launch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "cpu_attention_cases.h"
#include "support/sanitizers.h"

namespace ttsrt {
namespace {

using test::Form;
using test::FormProgram;
using test::kForms;
using test::kMostOthers;
using test::kTableBlocks;
using test::kWideForms;
using test::rows_of;
using test::state_of;
using test::TestBatch;

class CpuAttentionForms : public test::CpuIsaTest {};

constexpr DType kCacheTypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8};

TEST_P(CpuAttentionForms, PagedAsTheReference) {
  const test::PairOpener open = test::native_pairs(isa(), 3);
  for (const DType dtype : kCacheTypes) {
    for (const Form& form : kForms) test::expect_as_the_reference(open, form, dtype);
  }
  for (const Form& form : kWideForms) test::expect_as_the_reference(open, form, DType::bfloat16);
}

TEST_P(CpuAttentionForms, SegmentsAsTheReference) {
  for (const Form& form : kForms)
    test::expect_segments_as_the_reference(test::native_pairs(isa(), 2), form);
}

TEST_P(CpuAttentionForms, ScoresAsTheReferenceAndNothingElseChanges) {
  for (const Form& form : kForms) {
    for (const DType dtype : {DType::float32, DType::int8})
      test::expect_scores(test::native_pairs(isa(), 3), form, dtype);
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
    std::vector<std::int32_t> pieces = {kRows, 1, 2, 3, 8, 17, 64, 128};
    if (test::kSanitized) pieces = {kRows, 3, 17};
    for (const std::int32_t piece : pieces) {
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
