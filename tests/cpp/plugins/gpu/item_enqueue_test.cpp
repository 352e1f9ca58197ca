// The plugins of whole items on a GPU, through both adapters: a small evaluation of a flow against
// the reference, and with the bits of the CUDA backend's kernels in company and alone.
#include <gtest/gtest.h>

#include "gpu_suite.h"
#include "item_model.h"

namespace ttsrt::plugins::test {
namespace {

using ttsrt::test::PairExecutable;
using ttsrt::test::TestBatch;

class PluginItemsOnGpu : public OnGpu {
 protected:
  static void run(Pair& pair, const ops::Program& program, const TestBatch& batch, float tolerance,
                  const char* what) {
    PairExecutable(pair, program, ttsrt::test::traced(512)).run(batch.batch, tolerance, what);
  }

  // What an evaluation reads: schedules, arrays and states of the slots.
  static void fill(Pair& pair) {
    for (std::int32_t slot = 0; slot < 3; ++slot) {
      rules::SlotRules rules;
      rules.flow_scale = 1.5F + 0.25F * static_cast<float>(slot);
      pair.reset_slot({slot, rules});
    }
    ops::Program schedule;
    const ops::BufferId rows = ttsrt::test::add_input(schedule, ItemModel::kSchedule);
    schedule.ops.emplace_back(ops::StoreSchedule{rows});
    TestBatch batch;
    batch.add_vectors(0, 64, ttsrt::test::random_vector(64 * ItemModel::kSchedule, 5, 0.5F));
    batch.set_blocks({0, 1, 2, 3});
    run(pair, schedule, batch, 0.0F, "schedule");
    ops::Program states;
    states.ops.emplace_back(ops::StoreContext{ttsrt::test::add_input(states, ItemModel::kBins)});
    run(pair, states, ItemModel::items(ItemModel::kBins, 49, 1), 0.0F, "states");
    const std::int32_t widths[] = {ItemModel::kBins, ItemModel::kBins, 1, ItemModel::kWidth};
    for (std::int32_t array = 0; array < 4; ++array) {
      ops::Program save;
      const ops::BufferId x = ttsrt::test::add_input(save, widths[array]);
      save.ops.emplace_back(ops::SaveRows{x, array, 0});
      const auto seed = 60 + static_cast<std::uint64_t>(array);
      run(pair, save, ItemModel::items(widths[array], seed), 0.0F, "arrays");
    }
  }
};

TEST_P(PluginItemsOnGpu, EvaluatesAFlowAsTheReference) {
  for (const DType dtype : {DType::float32, DType::float16}) {
    for (const bool has_head_norms : {false, true}) {
      const ItemModel model(dtype, has_head_norms);
      Pair pair = pairs()(ItemModel::state());
      fill(pair);
      const float tolerance = dtype == DType::float32 ? 5e-5F : 2e-3F;
      run(pair, model.evaluation, ItemModel::items(ItemModel::kBins, 80), tolerance, "first step");
      run(pair, model.evaluation, ItemModel::items(ItemModel::kBins, 81), tolerance, "second step");
      ops::Program reading;  // the states that the steps left
      const ops::BufferId state = reading.add("state", ItemModel::kBins);
      ops::EmbedRows embed;
      embed.out = state;
      reading.ops.emplace_back(embed);
      TestBatch batch;
      const std::int32_t lengths[] = {33, 1, 150};
      for (std::int32_t slot = 0; slot < 3; ++slot)
        batch.add(slot, lengths[slot], step::Input::kept_rows);
      run(pair, reading, batch, tolerance, "states");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(cuda, PluginItemsOnGpu, testing::ValuesIn(plugin_setups()), name_of_setup);

}  // namespace
}  // namespace ttsrt::plugins::test
