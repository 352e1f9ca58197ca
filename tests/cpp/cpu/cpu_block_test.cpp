// Steps of block diffusion decide on the CPU what they decide on the reference.
#include <gtest/gtest.h>

#include "cpu_support.h"
#include "support/blocks.h"

namespace ttsrt {
namespace {

class CpuBlock : public test::CpuIsaTest {
 protected:
  void expect_equal_steps(const rules::SlotRules& rules, std::int32_t rows, bool is_guided) {
    const test::BlockPrograms programs;
    for (const std::int32_t threads : {1, 3}) {
      test::Pair pair(isa(), threads, test::small_state());
      test::PairExecutable start(pair, programs.start, test::traced(2, 0));
      test::PairExecutable blocks(pair, programs.blocks, test::traced(2 * rows, 1));
      pair.reset_slot({2, rules});
      start.run(test::start_rows(2, 60).batch, 0.0F, "start");
      for (std::uint64_t step = 0; step < 12; ++step) {
        blocks.run(test::block_rows(2, rows, step, is_guided).batch, 1e-5F, "blocks");
        EXPECT_EQ(blocks.got.codes, blocks.expected.codes) << "step " << step;
        ASSERT_EQ(blocks.got.draws.size(), 1U);
        const step::DrawOutput& got = blocks.got.draws[0];
        const step::DrawOutput& expected = blocks.expected.draws.at(0);
        EXPECT_EQ(got.has_codes, expected.has_codes) << "step " << step;
        EXPECT_EQ(got.final_rows, expected.final_rows) << "step " << step;
        EXPECT_EQ(got.end_frame, expected.end_frame) << "step " << step;
      }
    }
  }
};

TEST_P(CpuBlock, GreedyAndGuided) {
  expect_equal_steps(test::block_rules(3), test::kBlockPlaces, true);
}

TEST_P(CpuBlock, DrawnWithNoiseAndWithoutGuidance) {
  rules::SlotRules rules = test::block_rules(4);
  rules.cfg_scale = 1.0F;
  rules.sampler.temperature = 0.8F;
  rules.sampler.seed = 5;
  rules.block.noise = 1.0F;
  rules.block.early = 2.0F;
  expect_equal_steps(rules, test::kBlockPlaces, false);
  expect_equal_steps(rules, 2, false);
  expect_equal_steps(rules, 1, false);
}

TEST_P(CpuBlock, RowsThatAreNotFiniteAreTold) {
  const test::BlockPrograms programs;
  test::Pair pair(isa(), 2, test::small_state());
  test::PairExecutable start(pair, programs.start, test::traced(2, 0));
  test::PairExecutable blocks(pair, programs.blocks, test::traced(8, 1));
  pair.reset_slot({2, test::block_rules(1)});
  start.run(test::start_rows(2, 60).batch, 0.0F, "start");
  const test::TestBatch first = test::block_rows(2, 4, 1);  // decides all places
  blocks.cpu->launch(first.batch);
  blocks.oracle->launch(first.batch);
  test::run_queued(*pair.cpu);
  test::run_queued(*pair.oracle);
  test::TestBatch batch;
  batch.add_vectors(2, 4, std::vector<float>(4 * 16, INFINITY));
  batch.add_draw(2, 0);
  batch.batch.draws.back().rows = 4;
  blocks.cpu->launch(batch.batch);
  blocks.oracle->launch(batch.batch);
  const step::StepOutput got = test::run_queued(*pair.cpu);
  const step::StepOutput expected = test::run_queued(*pair.oracle);
  ASSERT_EQ(got.faults.size(), 1U);  // the row that is kept for the next block
  ASSERT_EQ(expected.faults.size(), 1U);
  for (const step::Fault& fault : {got.faults[0], expected.faults[0]}) {
    EXPECT_EQ(fault.row, 3);
    EXPECT_EQ(fault.stage, step::FaultStage::kept_rows);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CpuBlock, testing::ValuesIn(test::native_backends()),
                         test::isa_name);

}  // namespace
}  // namespace ttsrt
