// Each plugin of an op, run on a GPU through both adapters, against the reference: rows, attention,
// memories, and what is found not to be finite. Tolerances are relative to the largest value of a
// tensor.
#include <gtest/gtest.h>

#include <limits>

#include "cpu/cpu_attention_cases.h"
#include "cpu/cpu_op_cases.h"
#include "gpu_suite.h"
#include "support/faults.h"

namespace ttsrt::plugins::test {
namespace {

using ttsrt::test::PairExecutable;
using ttsrt::test::TestBatch;

constexpr DType kTypes[] = {DType::float32, DType::float16};

class PluginOpsOnGpu : public OnGpu {};

TEST_P(PluginOpsOnGpu, EmbedsAndKeepsRows) {
  for (const DType dtype : kTypes) ttsrt::test::expect_embeddings(pairs(), dtype);
}

TEST_P(PluginOpsOnGpu, Unfolds) { ttsrt::test::expect_unfolds(pairs()); }

TEST_P(PluginOpsOnGpu, AttendsOverTheCache) {
  for (const DType dtype : kTypes) {
    ttsrt::test::expect_paged_attention(pairs(), dtype);
    for (const ttsrt::test::Form& form : ttsrt::test::kForms)
      ttsrt::test::expect_as_the_reference(pairs(), form, dtype);
    for (const ttsrt::test::Form& form : ttsrt::test::kWideForms)
      ttsrt::test::expect_as_the_reference(pairs(), form, dtype);
  }
}

TEST_P(PluginOpsOnGpu, AttendsWithinSegments) {
  ttsrt::test::expect_segment_attention(pairs());
  for (const ttsrt::test::Form& form : ttsrt::test::kForms)
    ttsrt::test::expect_segments_as_the_reference(pairs(), form);
}

TEST_P(PluginOpsOnGpu, AddsScoresOfHeads) {
  for (const ttsrt::test::Form& form : ttsrt::test::kForms) {
    for (const DType dtype : kTypes) ttsrt::test::expect_scores(pairs(), form, dtype);
  }
}

// Memories of text and of context in three layers, of slots with different lengths; rows of an
// unconditional branch, and rows with and without a prior.
TEST_P(PluginOpsOnGpu, StoresMemoriesAndAttendsToThem) {
  for (const DType dtype : kTypes) {
    for (const ops::Memory memory : {ops::Memory::text, ops::Memory::context}) {
      ops::StateSpec spec = ttsrt::test::small_state();
      spec.cache_dtype = dtype;
      Pair pair = pairs()(spec);
      ops::Program store;
      ops::Program attend;
      const ops::BufferId kv = ttsrt::test::add_input(store, 32);
      const ops::BufferId q = ttsrt::test::add_input(attend, 16);
      for (std::int32_t layer = 0; layer < 3; ++layer) {
        store.ops.emplace_back(ops::StoreMemory{kv, layer, memory});
        attend.ops.emplace_back(
            ops::CrossAttention{q, attend.add("out", 16), ops::kNoBuffer, 2, 8, layer, memory});
      }
      TestBatch rows;
      TestBatch queries;
      for (std::int32_t slot = 0; slot < 3; ++slot) {
        step::SlotReset reset{slot, {}};
        reset.rules.text_len = 5 + 8 * slot;
        reset.rules.context_len = 18 - 8 * slot;
        pair.reset_slot(reset);
        const std::int32_t length =
            memory == ops::Memory::text ? reset.rules.text_len : reset.rules.context_len;
        const auto seed = static_cast<std::uint64_t>(slot);
        const auto values = static_cast<std::size_t>(length) * 32;
        rows.add_vectors(slot, length, ttsrt::test::random_vector(values, seed));
        queries.add_vectors(slot, 2, ttsrt::test::random_vector(32, seed + 10, 2.0F)).apply_prior =
            slot == 1;
        queries.add_vectors(slot, 1, ttsrt::test::random_vector(16, seed + 20)).branch =
            step::Branch::unconditional;
      }
      PairExecutable stored(pair, store, ttsrt::test::traced(60));
      PairExecutable attended(pair, attend, ttsrt::test::traced(20));
      stored.run(rows.batch, 0.0F, "memories");
      attended.run(queries.batch, 2e-5F, "queries");
    }
  }
}

// Rows with infinity or NaN are told by row, op and stage, and the rows beside them are as before.
TEST_P(PluginOpsOnGpu, TellsRowsThatAreNotFinite) {
  ops::Program program;
  const ops::BufferId x = ttsrt::test::add_input(program, 48);
  const ops::BufferId out = program.add("out", 16);
  program.ops.emplace_back(ops::SelfAttention{x, out, 2, 8, 1, true});
  program.ops.emplace_back(ops::StoreContext{out});
  program.ops.emplace_back(ops::SampleCodes{x, ops::kNoBuffer, 4, 12});
  program.ops.emplace_back(ops::FinishStep{4, 1});
  Pair pair = pairs()(ttsrt::test::small_state());
  for (std::int32_t slot = 0; slot < 3; ++slot) {
    step::SlotReset reset{slot, {}};
    reset.rules.codebooks = 4;
    reset.rules.eos_id = 11;
    pair.reset_slot(reset);
  }
  PairExecutable both(pair, program, ttsrt::test::traced(8));
  for (std::int32_t broken = -1; broken < 3; ++broken) {
    TestBatch batch;
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      std::vector<float> row = ttsrt::test::random_vector(48, static_cast<std::uint64_t>(slot));
      if (slot == broken) row[20] = std::numeric_limits<float>::infinity();
      auto& segment = batch.add_vectors(slot, 1, row);
      segment.position = broken + 1;
      batch.set_blocks({slot});
      batch.add_draw(slot, slot);
    }
    both.oracle->launch(batch.batch);
    both.cpu->launch(batch.batch);
    const step::StepOutput expected = ttsrt::test::run_queued(*pair.oracle);
    const step::StepOutput got = ttsrt::test::run_queued(*pair.cpu);
    EXPECT_EQ(ttsrt::test::told(got), ttsrt::test::told(expected));
    EXPECT_EQ(got.faults.empty(), broken < 0);
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      if (slot == broken) continue;
      const auto at = [slot](const step::StepOutput& of) {
        return std::vector<std::int32_t>(of.codes.begin() + 4 * slot,
                                         of.codes.begin() + 4 * slot + 4);
      };
      EXPECT_EQ(at(got), at(expected)) << "slot " << slot;
    }
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      step::SlotReset reset{slot, {}};
      reset.rules.codebooks = 4;
      reset.rules.eos_id = 11;
      pair.reset_slot(reset);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(cuda, PluginOpsOnGpu, testing::ValuesIn(plugin_setups()), name_of_setup);

}  // namespace
}  // namespace ttsrt::plugins::test
