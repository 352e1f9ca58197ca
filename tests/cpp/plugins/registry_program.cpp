// Registers the plugins in a TensorRT library and makes every one of them, without a GPU:
//   ttsrt_plugin_registry_MAJOR LIBNVINFER PLUGINS
// A program that is compiled with the true headers of one major version, which the TensorRT library
// must have. It builds and runs no engine. Prints what it did; the exit code is 0 if all went well.
#include <NvInferRuntime.h>
#include <NvInferVersion.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/adapt.h"
#include "samples.h"

namespace ttsrt::plugins::test {
namespace {

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

// The fields of a sample as TensorRT takes them.
class TheirFields {
 public:
  explicit TheirFields(const Fields& fields) : kept_(fields) { collected_.assign(kept_); }
  const nvinfer1::PluginFieldCollection* get() const { return collected_.get(); }

 private:
  Fields kept_;
  Collected<nvinfer1::PluginField, nvinfer1::PluginFieldCollection> collected_;
};

nvinfer1::PluginTensorDesc description(const PortRow& port) {
  nvinfer1::PluginTensorDesc desc{};
  desc.dims.nbDims = static_cast<std::int32_t>(port.dims.size());
  for (std::size_t i = 0; i < port.dims.size(); ++i)
    desc.dims.d[i] = static_cast<std::decay_t<decltype(desc.dims.d[0])>>(port.dims[i]);
  desc.type = their_type<nvinfer1::DataType>(port.type);
  desc.format = nvinfer1::TensorFormat::kLINEAR;
  return desc;
}

std::vector<nvinfer1::PluginTensorDesc> descriptions(const Sample& sample) {
  std::vector<nvinfer1::PluginTensorDesc> descs;
  for (const PortRow& port : sample.inputs) descs.push_back(description(port));
  for (const PortRow& port : sample.outputs) descs.push_back(description(port));
  return descs;
}

#if NV_TENSORRT_MAJOR < 10

std::size_t creators(nvinfer1::IPluginRegistry& registry) {
  std::int32_t count = 0;
  registry.getPluginCreatorList(&count);
  return static_cast<std::size_t>(count);
}

struct Destroy {
  void operator()(nvinfer1::IPluginV2* plugin) const { plugin->destroy(); }
};
using Owned = std::unique_ptr<nvinfer1::IPluginV2, Destroy>;

std::vector<char> stored(const nvinfer1::IPluginV2& plugin) {
  std::vector<char> bytes(plugin.getSerializationSize());
  plugin.serialize(bytes.data());
  return bytes;
}

void make(nvinfer1::IPluginRegistry& registry, const Sample& sample) {
  nvinfer1::IPluginCreator* creator =
      registry.getPluginCreator(sample.kind.c_str(), "1", "ttsrt_rt");
  expect(creator != nullptr, "no creator");
  const TheirFields fields(sample.fields);
  const Owned plugin(creator->createPlugin("built", fields.get()));
  expect(plugin != nullptr, "createPlugin gave nothing");
  expect(plugin->getNbOutputs() == static_cast<std::int32_t>(sample.outputs.size()), "outputs");
  auto& dynamic = static_cast<nvinfer1::IPluginV2DynamicExt&>(*plugin);
  const auto descs = descriptions(sample);
  for (std::size_t i = 0; i < descs.size(); ++i) {
    expect(dynamic.supportsFormatCombination(static_cast<std::int32_t>(i), descs.data(),
                                             static_cast<std::int32_t>(sample.inputs.size()),
                                             static_cast<std::int32_t>(sample.outputs.size())),
           "the format of tensor " + std::to_string(i));
  }
  const auto bytes = stored(*plugin);
  const Owned again(creator->deserializePlugin("ran", bytes.data(), bytes.size()));
  expect(again != nullptr, "deserializePlugin gave nothing");
  expect(stored(*again) == bytes, "what is stored of the plugin from the plan");
}

#else

std::size_t creators(nvinfer1::IPluginRegistry& registry) {
  std::int32_t count = 0;
  registry.getAllCreators(&count);
  return static_cast<std::size_t>(count);
}

template <class Capability>
Capability& capability(nvinfer1::IPluginV3& plugin, nvinfer1::PluginCapabilityType type) {
  auto* found = static_cast<Capability*>(plugin.getCapabilityInterface(type));
  expect(found != nullptr, "a capability is missing");
  return *found;
}

void make(nvinfer1::IPluginRegistry& registry, const Sample& sample) {
  nvinfer1::IPluginCreatorInterface* found =
      registry.getCreator(sample.kind.c_str(), "1", "ttsrt_rt");
  expect(found != nullptr, "no creator");
  auto& creator = static_cast<nvinfer1::IPluginCreatorV3One&>(*found);
  const TheirFields fields(sample.fields);
  const std::unique_ptr<nvinfer1::IPluginV3> plugin(
      creator.createPlugin("built", fields.get(), nvinfer1::TensorRTPhase::kBUILD));
  expect(plugin != nullptr, "createPlugin gave nothing");
  auto& build = capability<nvinfer1::v_1_0::IPluginV3OneBuild>(
      *plugin, nvinfer1::PluginCapabilityType::kBUILD);
  expect(build.getNbOutputs() == static_cast<std::int32_t>(sample.outputs.size()), "outputs");
  std::vector<nvinfer1::DynamicPluginTensorDesc> descs;
  for (const auto& desc : descriptions(sample)) {
    descs.emplace_back();
    descs.back().desc = desc;
  }
  for (std::size_t i = 0; i < descs.size(); ++i) {
    expect(build.supportsFormatCombination(static_cast<std::int32_t>(i), descs.data(),
                                           static_cast<std::int32_t>(sample.inputs.size()),
                                           static_cast<std::int32_t>(sample.outputs.size())),
           "the format of tensor " + std::to_string(i));
  }
  auto& runtime =
      capability<nvinfer1::IPluginV3OneRuntime>(*plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
  const std::unique_ptr<nvinfer1::IPluginV3> again(creator.createPlugin(
      "ran", runtime.getFieldsToSerialize(), nvinfer1::TensorRTPhase::kRUNTIME));
  expect(again != nullptr, "createPlugin for the run gave nothing");
  auto& ran =
      capability<nvinfer1::IPluginV3OneRuntime>(*again, nvinfer1::PluginCapabilityType::kRUNTIME);
  expect(fields_of("", ran.getFieldsToSerialize()) == fields_of("", runtime.getFieldsToSerialize()),
         "what is stored of the plugin from the plan");
  const std::unique_ptr<nvinfer1::IPluginV3> attached(ran.attachToContext(nullptr));
  expect(attached != nullptr, "attachToContext gave nothing");
}

#endif

void run(const char* library, const char* plugins) {
  void* tensorrt = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  expect(tensorrt != nullptr, tensorrt == nullptr ? dlerror() : "");
  using Version = std::int32_t (*)();
  const auto version = reinterpret_cast<Version>(dlsym(tensorrt, "getInferLibVersion"));
  expect(version != nullptr, "it has no getInferLibVersion");
  const std::int32_t major = version() / (NV_TENSORRT_MAJOR < 10 ? 1000 : 10000);
  std::printf("TensorRT %d, headers %d.%d.%d\n", version(), NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR,
              NV_TENSORRT_PATCH);
  expect(major == NV_TENSORRT_MAJOR, "the library has another major version");
  using Registry = nvinfer1::IPluginRegistry* (*)();
  const auto get = reinterpret_cast<Registry>(dlsym(tensorrt, "getPluginRegistry"));
  expect(get != nullptr && get() != nullptr, "it has no registry");
  nvinfer1::IPluginRegistry& registry = *get();
  const std::size_t before = creators(registry);
  void* loaded = registry.loadLibrary(plugins);
  expect(loaded != nullptr, "loadLibrary gave nothing");
  std::printf("creators: %zu, with %s: %zu\n", before, plugins, creators(registry));
  for (const Sample& sample : samples()) {
    std::printf("%s, %s: ", sample.kind.c_str(), sample.label.c_str());
    make(registry, sample);
    std::printf("made, stored, made from what is stored\n");
  }
  registry.deregisterLibrary(loaded);
  expect(creators(registry) == before, "creators are left behind");
  std::printf("deregistered\n");
}

}  // namespace
}  // namespace ttsrt::plugins::test

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s LIBNVINFER PLUGINS\n", arguments[0]);
    return 2;
  }
  try {
    ttsrt::plugins::test::run(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failed: %s\n", error.what());
    return 1;
  }
  return 0;
}
