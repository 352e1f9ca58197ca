// Attention of single rows, which a GPU spreads over clusters of thread blocks if they are few, and
// gives to small blocks if they are many: the results have the bits of whole sequences.
#include <gtest/gtest.h>

#include <cstring>

#include "cuda/cuda_backend.h"
#include "support/backend.h"
#include "support/weights.h"

namespace ttsrt {
namespace {

constexpr std::int32_t kLengths[] = {300, 1, 16, 17, 255, 256, 257, 33, 511, 513, 15, 600};
constexpr std::int32_t kSequences = 12;
constexpr std::int32_t kSlots = 112;  // slot s has sequence s % kSequences and shares its blocks
constexpr std::int32_t kBlocks = 38;  // of the longest sequence

struct Heads {
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int64_t width() const { return std::int64_t{heads + 2 * kv_heads} * head_dim; }
  std::int64_t out_width() const { return std::int64_t{heads} * head_dim; }
};

class CudaAttendSpread : public testing::TestWithParam<Heads> {
 protected:
  void SetUp() override {
    if (!can_use_cuda()) GTEST_SKIP() << list_cuda_devices().front().reason;
    const Heads& of = GetParam();
    ops::StateSpec spec = test::small_state(kSlots);
    spec.cache_dtype = DType::bfloat16;
    spec.cache_layers = 1;
    spec.cache_heads = of.kv_heads;
    spec.cache_head_dim = of.head_dim;
    spec.num_blocks = kSequences * kBlocks;
    spec.max_positions = kBlocks * ops::kBlockSize;
    backend->create_state(spec);
    ops::Program program;
    ops::SelfAttention attention;
    attention.qkv = test::add_input(program, of.width());
    attention.out = out = program.add("out", of.out_width());
    attention.heads = of.heads;
    attention.kv_heads = of.kv_heads;
    attention.head_dim = of.head_dim;
    attention.cache_layer = 0;
    attention.causal = true;
    program.ops.emplace_back(attention);
    ops::ProgramLimits limits;
    limits.max_rows = kBlocks * ops::kBlockSize;
    executable = backend->compile(program, limits);
    for (std::int32_t s = 0; s < kSequences; ++s)
      values_of_sequences.push_back(test::random_vector(
          static_cast<std::size_t>(kLengths[s] * of.width()), static_cast<std::uint64_t>(s) + 10));
  }

  // Adds rows [first, end) of a slot's sequence.
  void add(test::TestBatch& batch, std::int32_t slot, std::int32_t first) const {
    const std::int32_t sequence = slot % kSequences;
    const std::int32_t end = kLengths[sequence];
    const auto& values = values_of_sequences[static_cast<std::size_t>(sequence)];
    batch
        .add_vectors(slot, end - first, {values.begin() + first * GetParam().width(), values.end()})
        .position = first;
    std::vector<std::int32_t> table;
    for (std::int32_t b = 0; b < kBlocks; ++b)
      table.push_back(sequence + (b * 5 % kBlocks) * kSequences);
    batch.set_blocks(table);
  }

  std::vector<float> run(const test::TestBatch& batch) {
    executable->launch(batch.batch);
    test::run_queued(*backend);
    return test::values_of(*executable, out, batch.batch.rows * GetParam().out_width());
  }

  // Runs the sequences whole; returns their last rows.
  std::vector<float> last_rows() {
    std::vector<float> last;
    for (std::int32_t s = 0; s < kSequences; ++s) {
      test::TestBatch batch;
      add(batch, s, 0);
      const std::vector<float> got = run(batch);
      last.insert(last.end(), got.end() - static_cast<std::ptrdiff_t>(GetParam().out_width()),
                  got.end());
    }
    return last;
  }

  std::vector<std::vector<float>> values_of_sequences;
  std::unique_ptr<ops::Backend> backend = can_use_cuda() ? make_cuda_backend(0) : nullptr;
  std::unique_ptr<ops::Executable> executable;
  ops::BufferId out = 0;
};

TEST_P(CudaAttendSpread, HasTheBitsOfWholeSequences) {
  const auto width = static_cast<std::size_t>(GetParam().out_width());
  const std::vector<float> last = last_rows();
  constexpr std::int32_t kRows[] = {1, 2, 3, 4, 5, 6, 8, 12};
  for (const std::int32_t rows : kRows) {
    for (std::int32_t first = 0; first + rows <= kSequences; first += rows) {
      test::TestBatch batch;
      for (std::int32_t s = first; s < first + rows; ++s) add(batch, s, kLengths[s] - 1);
      const std::vector<float> got = run(batch);
      EXPECT_EQ(std::memcmp(got.data(), last.data() + static_cast<std::size_t>(first) * width,
                            got.size() * sizeof(float)),
                0)
          << rows << " rows from " << first;
    }
  }
}

// With heads of 64 that share no keys, launches of 64 rows have blocks of 2 warps, and those of 112
// rows blocks of 2 warps with fewer registers.
TEST_P(CudaAttendSpread, ManyRowsHaveTheBitsOfWholeSequences) {
  const auto width = static_cast<std::size_t>(GetParam().out_width());
  const std::vector<float> last = last_rows();
  for (const std::int32_t rows : {64, kSlots}) {
    test::TestBatch batch;
    for (std::int32_t s = 0; s < rows; ++s) add(batch, s, kLengths[s % kSequences] - 1);
    const std::vector<float> got = run(batch);
    for (std::int32_t s = 0; s < rows; ++s) {
      const auto row = static_cast<std::size_t>(s);
      EXPECT_EQ(std::memcmp(got.data() + row * width, last.data() + row % kSequences * width,
                            width * sizeof(float)),
                0)
          << "row " << s << " of " << rows;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, CudaAttendSpread,
                         testing::Values(Heads{12, 12, 64}, Heads{16, 16, 64}, Heads{32, 4, 64},
                                         Heads{6, 2, 64}, Heads{32, 8, 128}, Heads{2, 2, 128}));

}  // namespace
}  // namespace ttsrt
