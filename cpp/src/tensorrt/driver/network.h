// A NetworkWriter over INetworkDefinition, and the profiles of the rows that its inputs have.
//
// TensorRT 10 and 11 get strongly typed networks. 8.6 has none: there, where products are float16,
// each native layer says its precision, which the builder is told to obey.
#pragma once

#include <NvInfer.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tensorrt/driver.h"
#include "tensorrt/driver/logger.h"
#include "tensorrt/driver/registry.h"

namespace ttsrt::tensorrt {

class Network final : public NetworkWriter {
 public:
  Network(nvinfer1::INetworkDefinition& network, nvinfer1::IPluginRegistry& registry,
          const std::vector<nvinfer1::IOptimizationProfile*>& profiles,
          const BuildSettings& settings, Logger& logger);

  void begin_op(const std::string& name) override;
  TensorId input(const std::string& name, Type type, const Dims& dims) override;
  TensorId constant(Type type, const Dims& dims,
                    const std::function<std::vector<std::byte>()>& values) override;
  TensorId product(TensorId x, TensorId weight) override;
  TensorId cast(TensorId x, Type type) override;
  TensorId apply(Unary function, TensorId x) override;
  TensorId combine(Binary function, TensorId a, TensorId b) override;
  TensorId mean(TensorId x) override;
  TensorId columns(TensorId x, std::int64_t first, std::int64_t count) override;
  TensorId copy(TensorId x) override;
  std::vector<TensorId> plugin(const char* kind, const Fields& fields,
                               const std::vector<TensorId>& inputs, std::int32_t outputs) override;
  void output(const std::string& name, TensorId x) override;

 private:
  nvinfer1::ITensor& at(TensorId id) const;
  // Throws std::runtime_error unless TensorRT took what it was given, with what its log says.
  void expect(bool condition, const std::string& what) const;
  // Names a layer, and says its precision where that is asked for.
  nvinfer1::ILayer& finish(nvinfer1::ILayer* layer, const char* what);
  TensorId add(nvinfer1::ITensor* tensor);
  TensorId add_float(nvinfer1::ILayer* layer, const char* what, nvinfer1::DataType type);
  nvinfer1::ITensor& size_of_columns(TensorId x, std::int64_t count);
  TensorId convolve(TensorId x, TensorId weight);

  nvinfer1::INetworkDefinition& network_;
  const std::vector<nvinfer1::IOptimizationProfile*>& profiles_;  // [settings.ranges]
  const BuildSettings& settings_;
  Logger& logger_;
  PluginLayers plugins_;
  std::string op_;
  std::int32_t layers_ = 0;  // of the op
  std::vector<nvinfer1::ITensor*> tensors_;
  std::map<TensorId, nvinfer1::Weights> weights_;  // of constants
  std::deque<std::vector<std::byte>> constants_;   // which TensorRT reads when it builds
};

nvinfer1::Dims their_dims(const Dims& dims, std::int64_t rows);
nvinfer1::DataType their_type(Type type);

}  // namespace ttsrt::tensorrt
