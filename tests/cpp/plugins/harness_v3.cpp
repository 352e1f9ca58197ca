// TensorRT 11 as the tests need it, over plugins/v3.
#include "harness.h"
#include "their_values.h"
#include "v3/adapter.h"

namespace ttsrt::plugins::test {
namespace {

using nvinfer1::PluginCapabilityType;
using nvinfer1::TensorRTPhase;

nvinfer1::IPluginCreatorV3One& creator_of(const std::string& kind) {
  for (nvinfer1::IPluginCreatorInterface* creator : v3::creators()) {
    auto& one = dynamic_cast<nvinfer1::IPluginCreatorV3One&>(*creator);
    if (one.getPluginName() == kind) return one;
  }
  throw InternalError("no creator of " + kind);
}

class PluginOfV3 final : public Plugin {
 public:
  explicit PluginOfV3(nvinfer1::IPluginV3* plugin) : plugin_(plugin) {}

  std::string name() const override { return core().getPluginName(); }
  std::string version() const override { return core().getPluginVersion(); }
  std::string name_space() const override { return core().getPluginNamespace(); }
  std::unique_ptr<Plugin> clone() const override { return wrap(plugin_->clone()); }
  Fields stored() const override { return fields_of("stored", runtime().getFieldsToSerialize()); }
  std::unique_ptr<Plugin> from_plan() const override {
    return wrap(creator_of(name()).createPlugin("again", runtime().getFieldsToSerialize(),
                                                TensorRTPhase::kRUNTIME));
  }

  std::vector<Type> output_types(std::size_t inputs) const override {
    std::vector<nvinfer1::DataType> in(inputs), out(outputs());
    if (build().getOutputDataTypes(out.data(), static_cast<std::int32_t>(out.size()), in.data(),
                                   static_cast<std::int32_t>(inputs)) != 0)
      return {};
    std::vector<Type> types;
    for (const nvinfer1::DataType type : out) types.push_back(our_type(type));
    return types;
  }
  std::vector<Dims> output_dims(const std::vector<Dims>& inputs) const override {
    Expressions builder;
    const auto in = builder.inputs(inputs);
    std::vector<nvinfer1::DimsExprs> out(outputs());
    if (build().getOutputShapes(in.data(), static_cast<std::int32_t>(in.size()), nullptr, 0,
                                out.data(), static_cast<std::int32_t>(out.size()), builder) != 0)
      return {};
    std::vector<Dims> dims;
    for (const nvinfer1::DimsExprs& of : out) dims.push_back(Expressions::values(of));
    return dims;
  }
  bool takes(std::int32_t position, const std::vector<Offered>& all,
             std::size_t inputs) const override {
    std::vector<nvinfer1::DynamicPluginTensorDesc> descs;
    for (const nvinfer1::PluginTensorDesc& desc : offered(all)) descs.push_back({desc, {}, {}});
    return build().supportsFormatCombination(position, descs.data(),
                                             static_cast<std::int32_t>(inputs),
                                             static_cast<std::int32_t>(all.size() - inputs));
  }
  bool takes_unknown_type(std::size_t inputs, std::size_t outputs) const override {
    std::vector<nvinfer1::DynamicPluginTensorDesc> descs(inputs + outputs);
    descs.front().desc.type = nvinfer1::DataType::kINT8;
    return build().supportsFormatCombination(0, descs.data(), static_cast<std::int32_t>(inputs),
                                             static_cast<std::int32_t>(outputs));
  }
  std::size_t workspace_bytes() const override {
    return build().getWorkspaceSize(nullptr, 0, nullptr, 0);
  }
  std::int32_t configure(const std::vector<Dims>& inputs, bool has_range) const override {
    const auto in = ranges(inputs, has_range);
    const std::int32_t built =
        build().configurePlugin(in.data(), static_cast<std::int32_t>(in.size()), nullptr, 0);
    std::vector<nvinfer1::PluginTensorDesc> descs;
    for (const auto& desc : in) descs.push_back(desc.desc);
    const std::int32_t ran =
        runtime().onShapeChange(descs.data(), static_cast<std::int32_t>(in.size()), nullptr, 0);
    if (built != ran) throw InternalError("the phases judge shapes differently");
    return built;
  }
  using Plugin::enqueue;
  std::int32_t enqueue(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                       void* workspace, cudaStream_t stream) const override {
    std::unique_ptr<nvinfer1::IPluginV3> attached(runtime().attachToContext(nullptr));
    const auto in = described(inputs);
    const auto out = described(outputs);
    return runtime_of(*attached).enqueue(in.data(), out.data(), readable(inputs).data(),
                                         writable(outputs).data(), workspace, stream);
  }

  static std::unique_ptr<Plugin> wrap(nvinfer1::IPluginV3* plugin) {
    return plugin == nullptr ? nullptr : std::make_unique<PluginOfV3>(plugin);
  }

 private:
  static nvinfer1::IPluginV3OneRuntime& runtime_of(nvinfer1::IPluginV3& plugin) {
    return *static_cast<nvinfer1::IPluginV3OneRuntime*>(
        plugin.getCapabilityInterface(PluginCapabilityType::kRUNTIME));
  }
  nvinfer1::IPluginV3OneCore& core() const {
    return *static_cast<nvinfer1::IPluginV3OneCore*>(
        plugin_->getCapabilityInterface(PluginCapabilityType::kCORE));
  }
  nvinfer1::v_1_0::IPluginV3OneBuild& build() const {
    return *static_cast<nvinfer1::v_1_0::IPluginV3OneBuild*>(
        plugin_->getCapabilityInterface(PluginCapabilityType::kBUILD));
  }
  nvinfer1::IPluginV3OneRuntime& runtime() const { return runtime_of(*plugin_); }
  std::size_t outputs() const { return static_cast<std::size_t>(build().getNbOutputs()); }

  std::unique_ptr<nvinfer1::IPluginV3> plugin_;
};

class HarnessOfV3 final : public Harness {
 public:
  const char* name() const override { return "v3"; }
  bool refuses_shapes_early() const override { return true; }
  std::vector<std::string> creators() const override {
    std::vector<std::string> names;
    for (nvinfer1::IPluginCreatorInterface* creator : v3::creators())
      names.emplace_back(dynamic_cast<nvinfer1::IPluginCreatorV3One&>(*creator).getPluginName());
    return names;
  }
  FieldNames field_names(const std::string& kind) const override {
    return our_names(*creator_of(kind).getFieldNames());
  }
  std::unique_ptr<Plugin> make(const std::string& kind, const Fields& fields) const override {
    TheirFields theirs(fields);
    return PluginOfV3::wrap(
        creator_of(kind).createPlugin("test", theirs.get(), TensorRTPhase::kBUILD));
  }
  std::unique_ptr<Plugin> make_with_half(const std::string& kind,
                                         const std::string& field) const override {
    TheirFields theirs({});
    theirs.add_half(field);
    return PluginOfV3::wrap(
        creator_of(kind).createPlugin("test", theirs.get(), TensorRTPhase::kBUILD));
  }
};

}  // namespace

const Harness& v3_harness() {
  static const HarnessOfV3 harness;
  return harness;
}

}  // namespace ttsrt::plugins::test
