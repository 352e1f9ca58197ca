// Both adapters and all plugins: creators, fields, shapes, formats, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <ostream>
#include <set>

#include "common/op.h"
#include "harness.h"
#include "recorder.h"
#include "reports.h"
#include "samples.h"

namespace ttsrt::plugins::test {
namespace {

struct Case {
  const Harness* harness;
  const Sample* sample;
};

std::string label_of(const testing::TestParamInfo<Case>& info) {
  return std::string(info.param.harness->name()) + "_" + info.param.sample->kind + "_" +
         info.param.sample->label;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Harness* harness : {&v2_harness(), &v3_harness()}) {
    for (const Sample& sample : samples()) all.push_back({harness, &sample});
  }
  return all;
}

std::vector<Dims> dims_of(const std::vector<PortRow>& ports) {
  std::vector<Dims> dims;
  for (const PortRow& port : ports) dims.push_back(port.dims);
  return dims;
}

std::vector<Offered> offered(const Sample& sample) {
  std::vector<Offered> all;
  for (const PortRow& port : sample.inputs) all.push_back({port.type});
  for (const PortRow& port : sample.outputs) all.push_back({port.type});
  return all;
}

// Tensors at addresses that no test reads.
std::vector<Tensor> tensors(const std::vector<PortRow>& ports, std::uintptr_t base) {
  std::vector<Tensor> all;
  for (const PortRow& port : ports) {
    all.push_back({port.dims, reinterpret_cast<void*>(base)});
    base += 0x10000;
  }
  return all;
}

class PluginAdapter : public testing::TestWithParam<Case> {
 protected:
  const Harness& harness() const { return *GetParam().harness; }
  const Sample& sample() const { return *GetParam().sample; }
  std::unique_ptr<Plugin> made() const { return harness().make(sample().kind, sample().fields); }
  // Every attribute of the sample, and the defaults of all others.
  Fields all_fields() const { return kind_of(sample().kind).make(sample().fields)->fields(); }

  Reports reports_;
};

TEST_P(PluginAdapter, HasNameVersionAndNamespace) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  EXPECT_EQ(plugin->name(), sample().kind);
  EXPECT_EQ(plugin->version(), "1");
  EXPECT_EQ(plugin->name_space(), "ttsrt_rt");
  EXPECT_EQ(plugin->clone()->name(), sample().kind);
}

TEST_P(PluginAdapter, NamesEveryField) {
  std::set<std::string> names;
  for (const FieldName& name : harness().field_names(sample().kind)) names.insert(name.name);
  for (const Field& field : all_fields()) EXPECT_EQ(names.count(field.name), 1) << field.name;
}

TEST_P(PluginAdapter, ComesFromAPlanWithTheSameFields) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  const auto again = plugin->from_plan();
  ASSERT_NE(again, nullptr) << reports_.last();
  const auto twice = again->from_plan();
  ASSERT_NE(twice, nullptr) << reports_.last();
  EXPECT_EQ(plugin->stored(), all_fields());
  EXPECT_EQ(plugin->clone()->stored(), all_fields());
  EXPECT_EQ(again->stored(), all_fields());
  EXPECT_EQ(twice->stored(), all_fields());
  const auto dims = dims_of(sample().inputs);
  EXPECT_EQ(again->output_dims(dims), plugin->output_dims(dims));
  EXPECT_EQ(twice->output_dims(dims), plugin->output_dims(dims));
  EXPECT_EQ(again->workspace_bytes(), plugin->workspace_bytes());
}

TEST_P(PluginAdapter, GivesTheShapesOfTheTable) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  EXPECT_EQ(plugin->output_dims(dims_of(sample().inputs)), dims_of(sample().outputs));
  std::vector<Type> types;
  for (const PortRow& port : sample().outputs) types.push_back(port.type);
  EXPECT_EQ(plugin->output_types(sample().inputs.size()), types);
  EXPECT_EQ(plugin->workspace_bytes() > 0, sample().needs_workspace);
}

TEST_P(PluginAdapter, TakesTheTypesOfTheTableAndNoOthers) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  const std::size_t inputs = sample().inputs.size();
  for (std::size_t at = 0; at < inputs + sample().outputs.size(); ++at) {
    std::vector<Offered> all = offered(sample());
    const auto position = static_cast<std::int32_t>(at);
    const Type type = all[at].type;
    for (const Type other : {Type::int32, Type::float32, Type::float16}) {
      all[at].type = other;
      EXPECT_EQ(plugin->takes(position, all, inputs), other == type) << at;
    }
    all[at] = {type, false};
    EXPECT_FALSE(plugin->takes(position, all, inputs)) << at;
  }
  EXPECT_FALSE(plugin->takes_unknown_type(inputs, sample().outputs.size()));
}

TEST_P(PluginAdapter, RefusesOtherShapesByName) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  const auto dims = dims_of(sample().inputs);
  EXPECT_EQ(plugin->configure(dims), 0) << reports_.last();
  EXPECT_EQ(plugin->configure(dims, false), 0) << reports_.last();
  EXPECT_EQ(reports_.count(), 0);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::string& name = sample().inputs[i].name;
    if (name == "rows") continue;  // its only extent is free
    std::vector<Dims> wrong = dims;
    wrong[i].back() += 1;
    const std::int32_t status = plugin->configure(wrong);
    EXPECT_EQ(status != 0, harness().refuses_shapes_early()) << name;
    EXPECT_NE(reports_.last().find(sample().kind), std::string::npos) << reports_.last();
    EXPECT_NE(reports_.last().find("got " + text_of(wrong[i])), std::string::npos)
        << reports_.last();
  }
}

TEST_P(PluginAdapter, RefusesAnotherNumberOfTensors) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  auto dims = dims_of(sample().inputs);
  dims.pop_back();
  EXPECT_TRUE(plugin->output_dims(dims).empty());
  EXPECT_NE(reports_.last().find("inputs, got"), std::string::npos) << reports_.last();
}

TEST_P(PluginAdapter, RefusesMoreRowsThanItsLaunchHas) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  std::vector<Dims> dims = dims_of(sample().inputs);
  bool has_rows = false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i].front() != kRows) continue;
    dims[i].front() = 9;
    has_rows = true;
  }
  ASSERT_TRUE(has_rows);
  EXPECT_EQ(plugin->configure(dims) != 0, harness().refuses_shapes_early());
  EXPECT_NE(reports_.last().find("at most 8 rows"), std::string::npos) << reports_.last();
}

TEST_P(PluginAdapter, RunsOnlyWhatComesFromAPlan) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  const auto in = tensors(sample().inputs, 0x1000'0000);
  const auto out = tensors(sample().outputs, 0x2000'0000);
  void* workspace = reinterpret_cast<void*>(std::uintptr_t{0x3000'0000});
  Recorder::clear();
  EXPECT_EQ(plugin->enqueue(in, out, workspace), 0);
  EXPECT_TRUE(Recorder::launches().empty());
  EXPECT_EQ(plugin->from_plan()->enqueue(in, out, workspace), 0) << reports_.last();
  EXPECT_FALSE(Recorder::launches().empty());
}

TEST_P(PluginAdapter, RefusesToRunOtherShapes) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  auto in = tensors(sample().inputs, 0x1000'0000);
  const auto out = tensors(sample().outputs, 0x2000'0000);
  in.back().dims = {2};
  Recorder::clear();
  EXPECT_NE(plugin->from_plan()->enqueue(in, out, nullptr), 0);
  EXPECT_NE(reports_.last().find("token"), std::string::npos) << reports_.last();
  EXPECT_TRUE(Recorder::launches().empty());
}

TEST_P(PluginAdapter, ReportsWhatALauncherThrows) {
  const auto plugin = made();
  ASSERT_NE(plugin, nullptr) << reports_.last();
  const auto in = tensors(sample().inputs, 0x1000'0000);
  const auto out = tensors(sample().outputs, 0x2000'0000);
  Recorder::fail_next("no kernel image");
  EXPECT_NE(plugin->from_plan()->enqueue(in, out, reinterpret_cast<void*>(std::uintptr_t{4096})),
            0);
  EXPECT_NE(reports_.last().find("no kernel image"), std::string::npos) << reports_.last();
  Recorder::clear();
}

TEST_P(PluginAdapter, RefusesUnknownAndMistypedFields) {
  const std::string& kind = sample().kind;
  EXPECT_EQ(harness().make(kind, with(sample().fields, "max_rowz", 1)), nullptr);
  EXPECT_NE(reports_.last().find(kind + ": no field max_rowz: expected one of max_rows"),
            std::string::npos)
      << reports_.last();
  Fields fields = sample().fields;
  fields.front().values = Reals{8.0F};
  EXPECT_EQ(harness().make(kind, fields), nullptr);
  EXPECT_NE(reports_.last().find("max_rows: expected int32, got float32"), std::string::npos)
      << reports_.last();
  EXPECT_EQ(harness().make(kind, with(sample().fields, "max_rows", Numbers{8, 8})), nullptr);
  EXPECT_NE(reports_.last().find("expected one value, got 2"), std::string::npos);
  EXPECT_EQ(harness().make_with_half(kind, "max_rows"), nullptr);
  EXPECT_NE(reports_.last().find("max_rows: expected int32 or float32"), std::string::npos);
  EXPECT_EQ(harness().make(kind, with(sample().fields, "max_rows", 0)), nullptr);
  EXPECT_NE(reports_.last().find("max_rows: expected at least 1, got 0"), std::string::npos);
  EXPECT_EQ(harness().make(kind, with(sample().fields, "max_rows", 1 << 30)), nullptr);
  EXPECT_NE(reports_.last().find("max_rows: expected at most 16777216"), std::string::npos);
  const Fields large = with(with(sample().fields, "max_rows", 1 << 20), "max_blocks", 1 << 20);
  EXPECT_EQ(harness().make(kind, large), nullptr);
  EXPECT_NE(reports_.last().find("tables of a launch: expected at most 2147483647"),
            std::string::npos)
      << reports_.last();
}

// bfloat16 and int8 have numbers as types, and no plugin takes them.
TEST_P(PluginAdapter, RefusesOtherTypesByName) {
  for (const FieldName& field : harness().field_names(sample().kind)) {
    if (field.name.find("_type") == std::string::npos) continue;
    EXPECT_EQ(harness().make(sample().kind, with(sample().fields, field.name, 1)), nullptr);
    EXPECT_NE(reports_.last().find(field.name + ": expected float32 or float16, got bfloat16"),
              std::string::npos)
        << reports_.last();
    EXPECT_EQ(harness().make(sample().kind, with(sample().fields, field.name, 3)), nullptr);
    EXPECT_NE(reports_.last().find("got int8"), std::string::npos) << reports_.last();
    EXPECT_EQ(harness().make(sample().kind, with(sample().fields, field.name, 4)), nullptr);
    EXPECT_NE(reports_.last().find(field.name + ": expected 0 to 3"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PluginAdapter, testing::ValuesIn(cases()), label_of);

class PluginHarness : public testing::TestWithParam<const Harness*> {};

TEST_P(PluginHarness, CreatesEveryKindThatASampleHas) {
  std::set<std::string> sampled;
  for (const Sample& sample : samples()) sampled.insert(sample.kind);
  const auto creators = GetParam()->creators();
  EXPECT_EQ(std::set<std::string>(creators.begin(), creators.end()), sampled);
  EXPECT_EQ(creators.size(), sampled.size());
  EXPECT_EQ(creators.size(), kinds().size());
}

INSTANTIATE_TEST_SUITE_P(Both, PluginHarness, testing::Values(&v2_harness(), &v3_harness()),
                         [](const auto& info) { return std::string(info.param->name()); });

TEST(PluginSamples, SayWhichInputsAreWritten) {
  for (const Sample& sample : samples()) {
    const auto op = kind_of(sample.kind).make(sample.fields);
    const auto& ports = op->signature().inputs();
    ASSERT_EQ(ports.size(), sample.inputs.size()) << sample.kind << " " << sample.label;
    for (std::size_t i = 0; i < ports.size(); ++i) {
      EXPECT_EQ(ports[i].name, sample.inputs[i].name) << sample.kind;
      EXPECT_EQ(ports[i].is_written, sample.inputs[i].is_written)
          << sample.kind << ": " << ports[i].name;
    }
    ASSERT_EQ(op->signature().outputs().size(), sample.outputs.size());
    for (std::size_t i = 0; i < sample.outputs.size(); ++i)
      EXPECT_EQ(op->signature().outputs()[i].name, sample.outputs[i].name) << sample.kind;
  }
}

}  // namespace
}  // namespace ttsrt::plugins::test
