// Attention over the rows of whole items: norms of heads, ropes of some heads and narrow keys,
// against the reference, and with the same bits whatever else is in the launch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "cpu_support.h"
#include "support/rope_table.h"

namespace ttsrt {
namespace {

using test::TestBatch;
using test::TestWeight;

struct Form {
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t rope_heads;  // -1: no rope
  bool has_norms;

  std::int64_t width() const { return std::int64_t{heads + 2 * kv_heads} * head_dim; }
  std::int64_t out_width() const { return std::int64_t{heads} * head_dim; }
};

constexpr Form kForms[] = {{2, 2, 64, 0, false}, {3, 3, 64, 1, false}, {4, 2, 32, 0, true},
                           {2, 1, 128, 1, true}, {2, 2, 20, 1, false}, {3, 3, 64, -1, true}};
constexpr DType kTypes[] = {DType::float32, DType::bfloat16, DType::float16};
constexpr std::int32_t kLengths[] = {20, 1, 140, 5};

struct FormProgram {
  test::TestRope rope;
  TestWeight q_norm, k_norm;
  ops::Program program;
  ops::BufferId out = ops::kNoBuffer;

  FormProgram(const Form& form, DType dtype)
      : rope(200, form.head_dim),
        q_norm(test::make_norm(form.out_width(), 3)),
        k_norm(test::make_norm(std::int64_t{form.kv_heads} * form.head_dim, 4)) {
    program.has_many_rows = true;
    ops::SelfAttention op;
    op.qkv = test::add_input(program, form.width());
    op.out = out = program.add("out", form.out_width());
    op.heads = form.heads;
    op.kv_heads = form.kv_heads;
    op.head_dim = form.head_dim;
    op.causal = false;
    op.segment_dtype = dtype;
    if (form.rope_heads >= 0) {
      op.rope = rope.weight();
      op.rope_heads = form.rope_heads;
    }
    if (form.has_norms) {
      op.q_norm = q_norm;
      op.k_norm = k_norm;
    }
    program.ops.emplace_back(op);
  }
};

std::vector<float> rows_of(const Form& form, std::size_t item) {
  return test::random_vector(static_cast<std::size_t>(kLengths[item] * form.width()), 10 + item,
                             2.0F);
}

TestBatch crowd_of(const Form& form) {
  TestBatch batch;
  for (std::size_t i = 0; i < std::size(kLengths); ++i)
    batch.add_vectors(static_cast<std::int32_t>(i % 3), kLengths[i], rows_of(form, i));
  return batch;
}

class CpuItemAttention : public test::CpuIsaTest {
 protected:
  // Programs and their weights stay as long as the backends, which know weights by their addresses.
  const FormProgram& program_of(const Form& form, DType dtype) {
    return programs_.emplace_back(form, dtype);
  }

  std::deque<FormProgram> programs_;
  test::Pair pair_{isa(), 3, test::small_state()};
};

TEST_P(CpuItemAttention, IsThatOfTheReference) {
  for (const Form& form : kForms) {
    for (const DType dtype : kTypes) {
      const FormProgram& of = program_of(form, dtype);
      const TestBatch batch = crowd_of(form);
      test::PairExecutable(pair_, of.program, test::traced(512))
          .run(batch.batch, dtype == DType::float32 ? 2e-5F : 1e-2F,
               std::to_string(form.head_dim) + " " + name_of(dtype));
    }
  }
}

TEST_P(CpuItemAttention, GivesAnItemTheSameBitsAloneAndInACrowd) {
  for (const Form& form : kForms) {
    for (const DType dtype : kTypes) {
      const FormProgram& of = program_of(form, dtype);
      const ops::ProgramLimits limits = test::traced(512);
      const auto executable = pair_.cpu->compile(of.program, limits);
      const TestBatch crowd = crowd_of(form);
      executable->launch(crowd.batch);
      test::run_queued(*pair_.cpu);
      const std::vector<float> together =
          test::values_of(*executable, of.out, crowd.batch.rows * form.out_width());
      for (std::size_t i = 0; i < std::size(kLengths); ++i) {
        TestBatch alone;
        alone.add_vectors(1, kLengths[i], rows_of(form, i));
        executable->launch(alone.batch);
        test::run_queued(*pair_.cpu);
        const std::vector<float> got =
            test::values_of(*executable, of.out, kLengths[i] * form.out_width());
        const std::int64_t first = crowd.batch.segments[i].first_row * form.out_width();
        EXPECT_EQ(std::memcmp(got.data(), together.data() + first, got.size() * sizeof(float)), 0)
            << form.head_dim << " " << name_of(dtype) << ", " << kLengths[i] << " rows";
      }
    }
  }
}

// NaN of one item stays in it, although a tile of keys is loaded across its end.
TEST_P(CpuItemAttention, KeepsWhatIsNotFiniteInItsItem) {
  for (const DType dtype : kTypes) {
    const Form& form = kForms[0];
    const FormProgram& of = program_of(form, dtype);
    TestBatch batch;
    batch.add_vectors(0, kLengths[0], rows_of(form, 0));
    std::vector<float> faulty = rows_of(form, 2);
    faulty[static_cast<std::size_t>(form.out_width())] = INFINITY;      // a key of row 0
    faulty[static_cast<std::size_t>(2 * form.out_width()) + 64] = NAN;  // a value of another head
    batch.add_vectors(1, kLengths[2], faulty);
    batch.add_vectors(2, kLengths[3], rows_of(form, 3));
    const auto executable = pair_.cpu->compile(of.program, test::traced(512));
    executable->launch(batch.batch);
    test::run_queued(*pair_.cpu);
    const float* out = executable->activation(of.out);
    for (std::int64_t row = 0; row < batch.batch.rows; ++row) {
      const bool is_faulty = row >= kLengths[0] && row < kLengths[0] + kLengths[2];
      EXPECT_EQ(std::isnan(out[row * form.out_width()]), is_faulty) << row;
      EXPECT_EQ(std::isnan(out[row * form.out_width() + 64]), is_faulty) << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuItemAttention, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
