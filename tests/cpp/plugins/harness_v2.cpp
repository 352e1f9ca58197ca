// TensorRT 8.6 as the tests need it, over plugins/v2.
#include "harness.h"
#include "their_values.h"
#include "v2/adapter.h"

namespace ttsrt::plugins::test {
namespace {

nvinfer1::IPluginCreator& creator_of(const std::string& kind) {
  for (nvinfer1::IPluginCreator* creator : v2::creators()) {
    if (creator->getPluginName() == kind) return *creator;
  }
  throw InternalError("no creator of " + kind);
}

struct Destroy {
  void operator()(nvinfer1::IPluginV2DynamicExt* plugin) const { plugin->destroy(); }
};

class PluginOfV2 final : public Plugin {
 public:
  explicit PluginOfV2(nvinfer1::IPluginV2DynamicExt* plugin) : plugin_(plugin) {}

  std::string name() const override { return plugin_->getPluginType(); }
  std::string version() const override { return plugin_->getPluginVersion(); }
  std::string name_space() const override { return plugin_->getPluginNamespace(); }
  std::unique_ptr<Plugin> clone() const override { return wrap(plugin_->clone()); }
  Fields stored() const override {
    const auto stored = bytes();
    return from_bytes("stored", stored.data(), stored.size());
  }
  std::unique_ptr<Plugin> from_plan() const override {
    const auto stored = bytes();
    return wrap(creator_of(name()).deserializePlugin("again", stored.data(), stored.size()));
  }

  std::vector<Type> output_types(std::size_t inputs) const override {
    const std::vector<nvinfer1::DataType> in(inputs);
    std::vector<Type> types;
    for (std::int32_t i = 0; i < plugin_->getNbOutputs(); ++i) {
      types.push_back(
          our_type(plugin_->getOutputDataType(i, in.data(), static_cast<std::int32_t>(inputs))));
    }
    return types;
  }
  std::vector<Dims> output_dims(const std::vector<Dims>& inputs) const override {
    Expressions builder;
    const auto in = builder.inputs(inputs);
    std::vector<Dims> dims;
    for (std::int32_t i = 0; i < plugin_->getNbOutputs(); ++i) {
      const nvinfer1::DimsExprs out =
          plugin_->getOutputDimensions(i, in.data(), static_cast<std::int32_t>(in.size()), builder);
      if (out.nbDims < 0) return {};
      dims.push_back(Expressions::values(out));
    }
    return dims;
  }
  bool takes(std::int32_t position, const std::vector<Offered>& all,
             std::size_t inputs) const override {
    return plugin_->supportsFormatCombination(position, offered(all).data(),
                                              static_cast<std::int32_t>(inputs),
                                              static_cast<std::int32_t>(all.size() - inputs));
  }
  bool takes_unknown_type(std::size_t inputs, std::size_t outputs) const override {
    std::vector<nvinfer1::PluginTensorDesc> descs(inputs + outputs);
    descs.front().type = nvinfer1::DataType::kINT8;
    return plugin_->supportsFormatCombination(0, descs.data(), static_cast<std::int32_t>(inputs),
                                              static_cast<std::int32_t>(outputs));
  }
  std::size_t workspace_bytes() const override {
    return plugin_->getWorkspaceSize(nullptr, 0, nullptr, 0);
  }
  std::int32_t configure(const std::vector<Dims>& inputs, bool has_range) const override {
    const auto in = ranges(inputs, has_range);
    plugin_->configurePlugin(in.data(), static_cast<std::int32_t>(in.size()), nullptr, 0);
    return 0;
  }
  using Plugin::enqueue;
  std::int32_t enqueue(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                       void* workspace, cudaStream_t stream) const override {
    const auto in = described(inputs);
    const auto out = described(outputs);
    return plugin_->enqueue(in.data(), out.data(), readable(inputs).data(),
                            writable(outputs).data(), workspace, stream);
  }

  static std::unique_ptr<Plugin> wrap(nvinfer1::IPluginV2* plugin) {
    if (plugin == nullptr) return nullptr;
    return std::make_unique<PluginOfV2>(&dynamic_cast<nvinfer1::IPluginV2DynamicExt&>(*plugin));
  }

 private:
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> stored(plugin_->getSerializationSize());
    plugin_->serialize(stored.data());
    return stored;
  }

  std::unique_ptr<nvinfer1::IPluginV2DynamicExt, Destroy> plugin_;
};

class HarnessOfV2 final : public Harness {
 public:
  const char* name() const override { return "v2"; }
  bool refuses_shapes_early() const override { return false; }
  std::vector<std::string> creators() const override {
    std::vector<std::string> names;
    for (nvinfer1::IPluginCreator* creator : v2::creators())
      names.emplace_back(creator->getPluginName());
    return names;
  }
  FieldNames field_names(const std::string& kind) const override {
    return our_names(*creator_of(kind).getFieldNames());
  }
  std::unique_ptr<Plugin> make(const std::string& kind, const Fields& fields) const override {
    TheirFields theirs(fields);
    return PluginOfV2::wrap(creator_of(kind).createPlugin("test", theirs.get()));
  }
  std::unique_ptr<Plugin> make_with_half(const std::string& kind,
                                         const std::string& field) const override {
    TheirFields theirs({});
    theirs.add_half(field);
    return PluginOfV2::wrap(creator_of(kind).createPlugin("test", theirs.get()));
  }
};

}  // namespace

const Harness& v2_harness() {
  static const HarnessOfV2 harness;
  return harness;
}

}  // namespace ttsrt::plugins::test
