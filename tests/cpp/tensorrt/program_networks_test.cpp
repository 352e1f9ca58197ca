#include "tensorrt/program_networks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <variant>

#include "ops/uses.h"
#include "support/causal_models.h"
#include "support/codec_models.h"
#include "support/errors.h"
#include "support/flow_models.h"
#include "tensorrt/engine_programs.h"
#include "tensorrt/recording_writer.h"

namespace ttsrt::tensorrt {
namespace {

using test::EnginePrograms;
using test::RecordingWriter;

struct Model {
  const char* name;
  Json config;
};

Json maskgit_config() {
  Json config = ttsrt::test::tiny_config();
  config["model"]["local_transformer"]["kind"] = "maskgit";
  return config;
}

Json first_flow_config() {
  Json model = ttsrt::test::flow_json();
  model["variant"] = "v0";
  model["rope_heads"] = 1;
  return ttsrt::test::flow_config(model);
}

Json other_flow_config() {
  Json model = ttsrt::test::flow_json();
  model["qk_norm"] = true;
  model["long_skip"] = true;
  return ttsrt::test::flow_config(model);
}

// One of every kind of decoder and of flow.
std::vector<Model> models() {
  return {{"magpie", ttsrt::test::tiny_config()},
          {"magpie_memory", ttsrt::test::multi_encoder_config()},
          {"magpie_maskgit", maskgit_config()},
          {"llm", ttsrt::test::llm_config()},
          {"llm_parallel", ttsrt::test::llm_config(ttsrt::test::parallel_stack_json())},
          {"t3", ttsrt::test::t3_config()},
          {"f5", ttsrt::test::flow_config()},
          {"f5_first", first_flow_config()},
          {"f5_other", other_flow_config()}};
}

// The plugin of an op, or nothing for those that are native layers.
struct KindOf {
  std::string operator()(const ops::EmbedRows&) const { return "CodebookEmbed"; }
  std::string operator()(const ops::Unfold& op) const { return op.kernel == 1 ? "" : "Unfold"; }
  std::string operator()(const ops::SelfAttention&) const { return "MaskedAttention"; }
  std::string operator()(const ops::StoreMemory&) const { return "StoreMemory"; }
  std::string operator()(const ops::CrossAttention&) const { return "CrossAttentionPrior"; }
  std::string operator()(const ops::StoreContext&) const { return "StoreContext"; }
  std::string operator()(const ops::UpdatePrior&) const { return "PriorUpdate"; }
  std::string operator()(const ops::SampleCodes&) const { return "GuidedSample"; }
  std::string operator()(const ops::PickCodes&) const { return "LocalTransformer"; }
  std::string operator()(const ops::FinishStep&) const { return "FinishStep"; }
  std::string operator()(const ops::LoadRows&) const { return "LoadRows"; }
  std::string operator()(const ops::ModulatedNorm&) const { return "ModulatedNorm"; }
  std::string operator()(const ops::AddModulated&) const { return "AddModulated"; }
  std::string operator()(const ops::GroupedConv&) const { return "GroupedConv"; }
  std::string operator()(const ops::FlowStep&) const { return "FlowStep"; }
  template <class Other>
  std::string operator()(const Other&) const {
    return "";
  }
};

class ProgramNetworksTest : public testing::TestWithParam<std::tuple<std::size_t, DType, bool>> {
 protected:
  static EnginePrograms programs() {
    const auto [model, dtype, trace] = GetParam();
    return EnginePrograms(models()[model].config, dtype, trace);
  }
};

TEST_P(ProgramNetworksTest, WritesThePluginsOfEveryOpInOrder) {
  const EnginePrograms programs = this->programs();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!refusal(programs.program(i)).empty()) continue;
    const ProgramNetworks networks = programs.networks(i);
    std::vector<std::string> expected;
    for (const ops::Op& op : programs.program(i).ops) {
      const std::string kind = std::visit(KindOf{}, op);
      if (!kind.empty()) expected.push_back(kind);
    }
    std::vector<std::string> got;
    RecordingWriter writer;
    networks.write(writer);
    EXPECT_TRUE(writer.is_sound);
    for (const RecordingWriter::Plugin& plugin : writer.plugins) got.push_back(plugin.kind);
    EXPECT_EQ(got, expected) << programs.program(i).name;
    EXPECT_EQ(writer.products, std::count_if(programs.program(i).ops.begin(),
                                             programs.program(i).ops.end(), [](const ops::Op& op) {
                                               return std::holds_alternative<ops::Linear>(op);
                                             }));
  }
}

// Of a flow, one evaluation is networks, and what stands before and behind it is not.
TEST_P(ProgramNetworksTest, OfferedAreDecodersAndEvaluationsOfFlows) {
  const EnginePrograms programs = this->programs();
  const bool is_flow = std::string(models()[std::get<0>(GetParam())].name).rfind("f5", 0) == 0;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const std::string& name = programs.program(i).name;
    EXPECT_EQ(refusal(programs.program(i)).empty(), !is_flow || name == "flow") << name;
  }
}

// Plans are found by the names of Programs.
TEST_P(ProgramNetworksTest, NamesAreUnique) {
  const EnginePrograms programs = this->programs();
  std::set<std::string> names;
  for (std::size_t i = 0; i < programs.size(); ++i) names.insert(programs.program(i).name);
  EXPECT_EQ(names.size(), programs.size());
}

TEST_P(ProgramNetworksTest, HandsOneTokenThroughAllPlugins) {
  const EnginePrograms programs = this->programs();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!refusal(programs.program(i)).empty()) continue;
    const ProgramNetworks networks = programs.networks(i);
    RecordingWriter writer;
    networks.write(writer);
    ASSERT_FALSE(writer.plugins.empty()) << programs.program(i).name;
    TensorId token = writer.inputs.at("token_in");
    for (const RecordingWriter::Plugin& plugin : writer.plugins) {
      EXPECT_EQ(plugin.inputs.at("token"), token) << plugin.kind;
      token = plugin.outputs.back();
    }
    EXPECT_EQ(writer.outputs.at("token_out"), token);
  }
}

// Bindings are the inputs and outputs that were written; of activations, what a trace keeps and
// what comes back leaves the network, and nothing else does.
TEST_P(ProgramNetworksTest, LeavesWhatOthersRead) {
  const EnginePrograms programs = this->programs();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!refusal(programs.program(i)).empty()) continue;
    const ProgramNetworks networks = programs.networks(i);
    std::set<std::int32_t> left;
    RecordingWriter writer;
    const std::vector<Binding> bindings = networks.write(writer);
    EXPECT_EQ(bindings.size(), writer.inputs.size() + writer.outputs.size());
    for (const Binding& binding : bindings) {
      const auto& known = binding.is_output ? writer.outputs : writer.inputs;
      ASSERT_EQ(known.count(binding.name), 1U) << binding.name;
      const NetworkText::Tensor& tensor =
          writer.text.tensors()[static_cast<std::size_t>(known.at(binding.name))];
      EXPECT_EQ(tensor.dims, binding.dims) << binding.name;
      EXPECT_EQ(tensor.type, binding.type) << binding.name;
      if (binding.home != Home::activation) continue;
      const ops::Activation& of =
          programs.program(i).activations[static_cast<std::size_t>(binding.index)];
      EXPECT_EQ(of.space == ops::RowSpace::draws, !binding.is_output) << binding.name;
      if (binding.is_output) left.insert(binding.index);
    }
    std::set<std::int32_t> expected;
    for (const ops::Tap& tap : programs.program(i).taps) {
      const ops::Activation& of =
          programs.program(i).activations[static_cast<std::size_t>(tap.buffer)];
      if (of.space != ops::RowSpace::draws) expected.insert(tap.buffer);
    }
    if (networks.emitted() != ops::kNoBuffer) expected.insert(networks.emitted());
    EXPECT_EQ(left, expected) << programs.program(i).name;
  }
}

// In an engine of float16, some products of a flow are float32.
TEST_P(ProgramNetworksTest, ProductsInFloat16StandBetweenCasts) {
  const EnginePrograms programs = this->programs();
  const bool is_half = std::get<1>(GetParam()) == DType::float16;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!refusal(programs.program(i)).empty()) continue;
    const ProgramNetworks networks = programs.networks(i);
    EXPECT_EQ(networks.uses_float16(), is_half);
    const std::vector<ops::Op>& ops = programs.program(i).ops;
    const auto halves = std::count_if(ops.begin(), ops.end(), [](const ops::Op& op) {
      const auto* linear = std::get_if<ops::Linear>(&op);
      return linear != nullptr && linear->weight.dtype == DType::float16;
    });
    RecordingWriter writer;
    networks.write(writer);
    EXPECT_EQ(writer.casts, 2 * halves);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProgramNetworksTest,
                         testing::Combine(testing::Range(std::size_t{0}, models().size()),
                                          testing::Values(DType::float32, DType::float16),
                                          testing::Bool()),
                         [](const auto& info) {
                           return std::string(models()[std::get<0>(info.param)].name) + "_" +
                                  name_of(std::get<1>(info.param)) +
                                  (std::get<2>(info.param) ? "_trace" : "");
                         });

TEST(ProgramNetworks, BindsStateOnceAndByLayer) {
  const EnginePrograms programs(ttsrt::test::tiny_config());
  RecordingWriter writer;
  programs.networks(programs.find("decode")).write(writer);
  for (const char* name :
       {"rows", "launch", "vectors", "faults", "slot_rules", "slot_states", "visit_counts",
        "last_codes", "seen_codes", "context_rows", "sampled", "likeliest", "alignment", "results",
        "memory", "head_scores", "heads_done", "cache.0", "cache.1"})
    EXPECT_EQ(writer.inputs.count(name), 1U) << name;
}

TEST(ProgramNetworks, ScoresAreClearedAsALaunchBeginsAndNotByAPlugin) {
  const EnginePrograms programs(ttsrt::test::tiny_config());
  const ProgramNetworks decode = programs.networks(programs.find("decode"));
  const auto& scores =
      decode.program().activations[static_cast<std::size_t>(decode.cleared_scores())];
  EXPECT_EQ(scores.space, ops::RowSpace::draws);
  EXPECT_TRUE(decode.has_single_rows());
  EXPECT_FALSE(programs.networks(programs.find("prefill")).has_single_rows());
}

// Nothing of a plan depends on how many blocks the pool has, as long as one sequence fits.
TEST(ProgramNetworks, TextDependsOnLimitsAndNotOnTheSizeOfThePool) {
  const EnginePrograms programs(ttsrt::test::llm_config());
  const std::size_t decode = programs.find("decode");
  ops::StateSpec state = programs.state();
  const std::string text = programs.networks(decode).text();
  state.num_blocks += 5;
  EXPECT_EQ(ProgramNetworks(programs.program(decode), programs.limits(decode), state).text(), text);
  ops::ProgramLimits limits = programs.limits(decode);
  limits.max_rows += 1;
  EXPECT_NE(ProgramNetworks(programs.program(decode), limits, state).text(), text);
  state.slots += 1;
  EXPECT_NE(ProgramNetworks(programs.program(decode), programs.limits(decode), state).text(), text);
}

TEST(ProgramNetworks, RefusesOtherTypesByName) {
  EXPECT_TRUE(ttsrt::test::throws_naming<ConfigError>("float32 or float16, got bfloat16", [] {
    const EnginePrograms programs(ttsrt::test::llm_config(), DType::bfloat16);
    programs.networks(programs.find("decode"));
  }));
  const EnginePrograms programs(ttsrt::test::llm_config());
  const std::size_t decode = programs.find("decode");
  ops::StateSpec state = programs.state();
  state.cache_dtype = DType::int8;
  EXPECT_TRUE(ttsrt::test::throws_naming<ConfigError>(
      "kv_cache_dtype: expected float32 or float16, got int8",
      [&] { ProgramNetworks(programs.program(decode), programs.limits(decode), state); }));
  ops::Program quantized = programs.program(decode);
  for (ops::Op& op : quantized.ops) {
    if (auto* linear = std::get_if<ops::Linear>(&op))
      linear->weight.quantization = ops::Quantization::w8a16;
  }
  EXPECT_TRUE(ttsrt::test::throws_naming<ConfigError>(
      "expected float32 or float16, got w8a16",
      [&] { ProgramNetworks(quantized, programs.limits(decode), programs.state()); }));
}

TEST(ProgramNetworks, BindsWhatAnEvaluationOfAFlowReadsAndKeeps) {
  const EnginePrograms programs(other_flow_config());
  const ProgramNetworks flow = programs.networks(programs.find("flow"));
  RecordingWriter writer;
  for (const Binding& binding : flow.write(writer)) {
    if (binding.home != Home::schedule) continue;
    const Dims dims = {ops::most_blocks(programs.state()) * 16, programs.state().schedule_width};
    EXPECT_EQ(binding.dims, dims);
  }
  for (const char* name : {"vectors", "context_rows", "launch", "faults", "schedule", "array.0",
                           "array.1", "array.2", "array.3"})
    EXPECT_EQ(writer.inputs.count(name), 1U) << name;
  const ops::StateSpec state = programs.state();
  const std::size_t index = programs.find("flow");
  ops::ProgramLimits limits = programs.limits(index);
  limits.max_segments += 2;
  EXPECT_NE(ProgramNetworks(programs.program(index), limits, state).text(), flow.text());
}

TEST(ProgramNetworks, RefusesFlowsOfOtherTypesByName) {
  EXPECT_TRUE(ttsrt::test::throws_naming<ConfigError>("float32 or float16, got bfloat16", [] {
    const EnginePrograms programs(ttsrt::test::flow_config(), DType::bfloat16);
    EXPECT_EQ(refusal(programs.program(programs.find("flow"))), "");
    programs.networks(programs.find("flow"));
  }));
  const EnginePrograms programs(ttsrt::test::flow_config());
  ops::Program narrow = programs.program(programs.find("flow"));
  for (ops::Op& op : narrow.ops) {
    if (auto* attention = std::get_if<ops::SelfAttention>(&op))
      attention->segment_dtype = DType::bfloat16;
  }
  EXPECT_TRUE(ttsrt::test::throws_naming<ConfigError>(
      "expected keys of float32, got bfloat16", [&] { check_types(narrow, programs.state()); }));
}

TEST(ProgramNetworks, RefusesCodecsAndVocoders) {
  for (const Json& config : {ttsrt::test::codec_config(), ttsrt::test::vocoder_config()}) {
    const EnginePrograms programs(config);
    for (std::size_t i = 0; i < programs.size(); ++i)
      EXPECT_NE(refusal(programs.program(i)), "") << programs.program(i).name;
  }
}

TEST(ProgramNetworks, SaysWhichOpHasNoNetwork) {
  const EnginePrograms programs(ttsrt::test::block_config());
  std::set<std::string> said;
  for (std::size_t i = 0; i < programs.size(); ++i) said.insert(refusal(programs.program(i)));
  EXPECT_EQ(said.count("it has ShiftBlock"), 1U);
  ops::Program many = programs.program(programs.find("prefill"));
  many.has_many_rows = true;
  EXPECT_EQ(refusal(many), "its launches are whole items, and no evaluations of a flow");
}

}  // namespace
}  // namespace ttsrt::tensorrt
