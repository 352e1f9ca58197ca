// An op as IPluginV2DynamicExt of TensorRT 8.6.
//
// This interface reports neither a wrong shape nor its phase: shapes are checked again by every
// enqueue(), and only a plugin that comes from a plan runs.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>
#include <vector>

#include "common/adapt.h"
#include "common/op.h"

namespace ttsrt::plugins::v2 {

// Where a plugin comes from: a network under construction, or a plan that is to run.
enum class Phase { build, run };

class Plugin final : public nvinfer1::IPluginV2DynamicExt {
 public:
  Plugin(std::shared_ptr<const Op> op, Phase phase);

  // IPluginV2DynamicExt
  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override;
  nvinfer1::DimsExprs getOutputDimensions(std::int32_t output, const nvinfer1::DimsExprs* in,
                                          std::int32_t inputs,
                                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(std::int32_t position, const nvinfer1::PluginTensorDesc* in_out,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override;
  void configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, std::int32_t inputs,
                       const nvinfer1::DynamicPluginTensorDesc* out,
                       std::int32_t outputs) noexcept override;
  std::size_t getWorkspaceSize(const nvinfer1::PluginTensorDesc* in, std::int32_t inputs,
                               const nvinfer1::PluginTensorDesc* out,
                               std::int32_t outputs) const noexcept override;
  std::int32_t enqueue(const nvinfer1::PluginTensorDesc* in, const nvinfer1::PluginTensorDesc* out,
                       const void* const* inputs, void* const* outputs, void* workspace,
                       cudaStream_t stream) noexcept override;

  // IPluginV2Ext
  nvinfer1::DataType getOutputDataType(std::int32_t output, const nvinfer1::DataType* input_types,
                                       std::int32_t inputs) const noexcept override;

  // IPluginV2
  const char* getPluginType() const noexcept override { return op_->kind().name; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  std::int32_t getNbOutputs() const noexcept override;
  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  std::size_t getSerializationSize() const noexcept override { return bytes_.size(); }
  void serialize(void* buffer) const noexcept override;
  void destroy() noexcept override { delete this; }
  void setPluginNamespace(const char* name) noexcept override;
  const char* getPluginNamespace() const noexcept override { return namespace_.c_str(); }

 private:
  std::shared_ptr<const Op> op_;
  Phase phase_;
  std::vector<std::byte> bytes_;
  std::string namespace_ = kNamespace;
};

class Creator final : public nvinfer1::IPluginCreator {
 public:
  explicit Creator(const Kind& kind);

  nvinfer1::IPluginV2* createPlugin(
      const char* name, const nvinfer1::PluginFieldCollection* fields) noexcept override;
  nvinfer1::IPluginV2* deserializePlugin(const char* name, const void* data,
                                         std::size_t size) noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override {
    return collected_.get();
  }
  const char* getPluginName() const noexcept override { return kind_.name; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  void setPluginNamespace(const char* name) noexcept override;
  const char* getPluginNamespace() const noexcept override { return namespace_.c_str(); }

 private:
  const Kind& kind_;
  Collected<nvinfer1::PluginField, nvinfer1::PluginFieldCollection> collected_;
  std::string namespace_ = kNamespace;
};

// One creator for each kind; they live as long as the library.
const std::vector<nvinfer1::IPluginCreator*>& creators();

}  // namespace ttsrt::plugins::v2
