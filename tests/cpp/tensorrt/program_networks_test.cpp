#include "tensorrt/program_networks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <variant>

#include "ops/uses.h"
#include "support/causal_models.h"
#include "support/errors.h"
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

// One of every kind of decoder.
std::vector<Model> models() {
  return {{"magpie", ttsrt::test::tiny_config()},
          {"magpie_memory", ttsrt::test::multi_encoder_config()},
          {"magpie_maskgit", maskgit_config()},
          {"llm", ttsrt::test::llm_config()},
          {"llm_parallel", ttsrt::test::llm_config(ttsrt::test::parallel_stack_json())},
          {"t3", ttsrt::test::t3_config()}};
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
    ASSERT_EQ(refusal(programs.program(i)), "") << programs.program(i).name;
    const ProgramNetworks networks = programs.networks(i);
    std::vector<std::string> expected;
    for (const ops::Op& op : programs.program(i).ops) {
      const std::string kind = std::visit(KindOf{}, op);
      if (!kind.empty()) expected.push_back(kind);
    }
    std::vector<std::string> got;
    std::int32_t products = 0;
    for (std::int32_t part = 0; part < networks.num_parts(); ++part) {
      RecordingWriter writer;
      networks.write(part, writer);
      EXPECT_TRUE(writer.is_sound);
      products += writer.products;
      for (const RecordingWriter::Plugin& plugin : writer.plugins) got.push_back(plugin.kind);
    }
    EXPECT_EQ(got, expected) << programs.program(i).name;
    EXPECT_EQ(products, std::count_if(programs.program(i).ops.begin(),
                                      programs.program(i).ops.end(), [](const ops::Op& op) {
                                        return std::holds_alternative<ops::Linear>(op);
                                      }));
  }
}

// Plans are found by the names of Programs.
TEST_P(ProgramNetworksTest, NamesAreUnique) {
  const EnginePrograms programs = this->programs();
  std::set<std::string> names;
  for (std::size_t i = 0; i < programs.size(); ++i) names.insert(programs.program(i).name);
  EXPECT_EQ(names.size(), programs.size());
}

TEST_P(ProgramNetworksTest, HandsOneTokenThroughAllPluginsOfAPart) {
  const EnginePrograms programs = this->programs();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const ProgramNetworks networks = programs.networks(i);
    for (std::int32_t part = 0; part < networks.num_parts(); ++part) {
      RecordingWriter writer;
      networks.write(part, writer);
      if (writer.plugins.empty()) {
        EXPECT_EQ(writer.inputs.count("token_in"), 0U);
        continue;
      }
      TensorId token = writer.inputs.at("token_in");
      for (const RecordingWriter::Plugin& plugin : writer.plugins) {
        EXPECT_EQ(plugin.inputs.at("token"), token) << plugin.kind;
        token = plugin.outputs.back();
      }
      EXPECT_EQ(writer.outputs.at("token_out"), token);
    }
  }
}

// Every activation that a part reads and does not write is an output of an earlier part, with the
// same type and shape; bindings are the inputs and outputs that were written.
TEST_P(ProgramNetworksTest, ActivationsCrossFromPartToPart) {
  const EnginePrograms programs = this->programs();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const ProgramNetworks networks = programs.networks(i);
    std::set<std::int32_t> left;
    for (std::int32_t part = 0; part < networks.num_parts(); ++part) {
      RecordingWriter writer;
      const std::vector<Binding> bindings = networks.write(part, writer);
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
        if (of.space == ops::RowSpace::draws || binding.is_output) continue;
        EXPECT_EQ(left.count(binding.index), 1U) << binding.name;
      }
      for (const Binding& binding : bindings) {
        if (binding.home == Home::activation && binding.is_output) left.insert(binding.index);
      }
    }
    for (const ops::Tap& tap : programs.program(i).taps) {
      const ops::Activation& of =
          programs.program(i).activations[static_cast<std::size_t>(tap.buffer)];
      const bool is_bound = of.space == ops::RowSpace::draws;
      EXPECT_EQ(left.count(tap.buffer), is_bound ? 0U : 1U) << tap.name;
    }
    EXPECT_TRUE(networks.emitted() == ops::kNoBuffer || left.count(networks.emitted()) == 1);
  }
}

TEST_P(ProgramNetworksTest, ProductsInFloat16StandBetweenCasts) {
  const EnginePrograms programs = this->programs();
  const bool is_half = std::get<1>(GetParam()) == DType::float16;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const ProgramNetworks networks = programs.networks(i);
    EXPECT_EQ(networks.uses_float16(), is_half);
    for (std::int32_t part = 0; part < networks.num_parts(); ++part) {
      RecordingWriter writer;
      networks.write(part, writer);
      EXPECT_EQ(writer.casts, is_half ? 2 * writer.products : 0);
    }
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
  programs.networks(programs.find("decode")).write(0, writer);
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

TEST(ProgramNetworks, SaysWhichOpHasNoNetwork) {
  const EnginePrograms programs(ttsrt::test::block_config());
  std::set<std::string> said;
  for (std::size_t i = 0; i < programs.size(); ++i) said.insert(refusal(programs.program(i)));
  EXPECT_EQ(said.count("it has ShiftBlock"), 1U);
  ops::Program many = programs.program(programs.find("prefill"));
  many.has_many_rows = true;
  EXPECT_EQ(refusal(many), "its launches are whole items");
}

}  // namespace
}  // namespace ttsrt::tensorrt
