// The plugins in a registry of TensorRT, by the interface that its major version has: IPluginV2 of
// 8.6, IPluginV3 of 10 and 11.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <string>
#include <vector>

#include "common/fields.h"

namespace ttsrt::tensorrt {

// Loads our library into the registry of a builder or a runtime, or, where that one takes none,
// into the one of the process, which the others search, too. Throws std::runtime_error for a
// library that is none of this version.
void load_plugins(nvinfer1::IPluginRegistry& registry, nvinfer1::IPluginRegistry* of_process,
                  const std::string& path);

// Adds layers of plugins, which stay as long as the object.
class PluginLayers {
 public:
  PluginLayers(nvinfer1::INetworkDefinition& network, nvinfer1::IPluginRegistry& registry)
      : network_(network), registry_(registry) {}
  ~PluginLayers();
  PluginLayers(const PluginLayers&) = delete;
  PluginLayers& operator=(const PluginLayers&) = delete;

  // Null where TensorRT refuses it; its log says why.
  nvinfer1::ILayer* add(const char* kind, const plugins::Fields& fields,
                        const std::vector<nvinfer1::ITensor*>& inputs);

 private:
#if NV_TENSORRT_MAJOR < 10
  using Plugin = nvinfer1::IPluginV2;
#else
  using Plugin = nvinfer1::IPluginV3;
#endif

  nvinfer1::INetworkDefinition& network_;
  nvinfer1::IPluginRegistry& registry_;
  std::vector<Plugin*> made_;
};

}  // namespace ttsrt::tensorrt
