#include "tensorrt/driver/registry.h"

#include <stdexcept>

#include "common/adapt.h"
#include "common/op.h"

namespace ttsrt::tensorrt {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;

void load_plugins(nvinfer1::IPluginRegistry& registry, nvinfer1::IPluginRegistry* of_process,
                  const std::string& path) {
  const bool is_loaded =
      registry.loadLibrary(path.c_str()) != nullptr ||
      (of_process != nullptr && of_process->loadLibrary(path.c_str()) != nullptr);
  if (!is_loaded) {
    throw std::runtime_error(path + ": it is no plugin library of TensorRT " +
                             std::to_string(NV_TENSORRT_MAJOR));
  }
}

PluginLayers::~PluginLayers() {
  for (Plugin* plugin : made_) {
#if NV_TENSORRT_MAJOR < 10
    plugin->destroy();
#else
    delete plugin;
#endif
  }
}

nvinfer1::ILayer* PluginLayers::add(const char* kind, const plugins::Fields& fields,
                                    const std::vector<nvinfer1::ITensor*>& inputs) {
  plugins::Collected<PluginField, PluginFieldCollection> collected;
  collected.assign(fields);
  const auto count = static_cast<std::int32_t>(inputs.size());
#if NV_TENSORRT_MAJOR < 10
  nvinfer1::IPluginCreator* creator =
      registry_.getPluginCreator(kind, plugins::kVersion, plugins::kNamespace);
  if (creator == nullptr) return nullptr;
  Plugin* plugin = creator->createPlugin(kind, collected.get());
  if (plugin == nullptr) return nullptr;
  made_.push_back(plugin);
  return network_.addPluginV2(inputs.data(), count, *plugin);
#else
  auto* creator = static_cast<nvinfer1::IPluginCreatorV3One*>(
      registry_.getCreator(kind, plugins::kVersion, plugins::kNamespace));
  if (creator == nullptr) return nullptr;
  Plugin* plugin = creator->createPlugin(kind, collected.get(), nvinfer1::TensorRTPhase::kBUILD);
  if (plugin == nullptr) return nullptr;
  made_.push_back(plugin);
  return network_.addPluginV3(inputs.data(), count, nullptr, 0, *plugin);
#endif
}

}  // namespace ttsrt::tensorrt
