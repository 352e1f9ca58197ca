// What the suites on a GPU do before the first launch, which needs no device: every plugin is made
// from its fields through both adapters, gets all its tensors and says the shapes of its outputs.
#include "plugin_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "common/op.h"
#include "cpu/cpu_model.h"
#include "gpu_suite.h"
#include "item_model.h"

namespace ttsrt::plugins::test {
namespace {

using ttsrt::test::ModelShape;
using ttsrt::test::SmallModel;

class PluginPrograms : public testing::TestWithParam<PluginSetup> {
 protected:
  // The kinds of a Program's plugins, for launches of one row and of the most.
  std::set<std::string> kinds_of(const ops::Program& program, const ops::StateSpec& spec) {
    PluginSetup setup = GetParam();
    setup.mode = cuda::DeviceMemory::Mode::count;
    cuda::DeviceSlots slots(spec, setup.mode);
    cuda::DeviceWeights weights(setup.mode);
    const PluginProgram made(program, ttsrt::test::traced(40), slots, weights, setup);
    const std::vector<std::string> kinds = made.configure(40);
    EXPECT_EQ(made.configure(1), kinds);
    EXPECT_THROW(made.configure(41), Error);
    return {kinds.begin(), kinds.end()};
  }
};

ops::Program kept_rows() {
  ops::Program program;
  program.ops.emplace_back(ops::StoreContext{ttsrt::test::add_input(program, 16)});
  return program;
}

TEST_P(PluginPrograms, AreMadeOfEveryPlugin) {
  std::set<std::string> all = kinds_of(kept_rows(), ttsrt::test::small_state());
  const ItemModel items;
  all.merge(kinds_of(items.evaluation, ItemModel::state()));
  for (const bool is_maskgit : {false, true}) {
    for (const DType dtype : {DType::float32, DType::float16}) {
      const SmallModel model({dtype, true, is_maskgit, 14});
      for (const ops::Program* program : {&model.encoder, &model.prefill, &model.decode})
        all.merge(kinds_of(*program, SmallModel::state(dtype, 4)));
    }
  }
  std::set<std::string> expected;
  for (const Kind& kind : kinds()) expected.insert(kind.name);
  if (GetParam().is_captured) expected.erase("ClearScores");  // BeginLaunch does it
  EXPECT_EQ(all, expected);
}

TEST_P(PluginPrograms, RefuseTypesThatThePluginsDoNotTake) {
  const SmallModel model(ModelShape{});
  for (const DType dtype : {DType::bfloat16, DType::int8})
    EXPECT_THROW(kinds_of(model.decode, SmallModel::state(dtype, 4)), Error);
  const SmallModel narrow(ModelShape{DType::bfloat16, true});
  EXPECT_THROW(kinds_of(narrow.decode, SmallModel::state(DType::float32, 4)), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Both, PluginPrograms, testing::ValuesIn(plugin_setups()), name_of_setup);

}  // namespace
}  // namespace ttsrt::plugins::test
