#include "v3/adapter.h"

#include <utility>

namespace ttsrt::plugins::v3 {

using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorRTPhase;

Plugin::Plugin(std::shared_ptr<const Op> op, TensorRTPhase phase)
    : op_(std::move(op)), phase_(phase), fields_(op_->fields()) {
  collected_.assign(fields_);
}

nvinfer1::IPluginCapability* Plugin::getCapabilityInterface(
    nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::v_1_0::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3* Plugin::clone() noexcept {
  return guarded<nvinfer1::IPluginV3*>(nullptr, [this] { return new Plugin(op_, phase_); });
}

// Checks the largest shapes of a profile.
std::int32_t Plugin::configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t inputs,
                                     const DynamicPluginTensorDesc*, std::int32_t) noexcept {
  return guarded(1, [&] {
    std::vector<Dims> dims;
    for (std::int32_t i = 0; i < inputs; ++i) dims.push_back(largest_dims(in[i]));
    op_->signature().check(op_->kind().name, dims, op_->max_rows());
    return 0;
  });
}

std::int32_t Plugin::getOutputDataTypes(nvinfer1::DataType* types, std::int32_t outputs,
                                        const nvinfer1::DataType*, std::int32_t) const noexcept {
  const std::vector<Port>& ports = op_->signature().outputs();
  if (static_cast<std::size_t>(outputs) != ports.size()) return 1;
  for (std::size_t i = 0; i < ports.size(); ++i)
    types[i] = their_type<nvinfer1::DataType>(ports[i].type);
  return 0;
}

std::int32_t Plugin::getOutputShapes(const nvinfer1::DimsExprs* in, std::int32_t inputs,
                                     const nvinfer1::DimsExprs*, std::int32_t,
                                     nvinfer1::DimsExprs* out, std::int32_t outputs,
                                     nvinfer1::IExprBuilder& builder) noexcept {
  return guarded(1, [&] {
    check_arity(*op_, inputs, outputs);
    const auto rule = op_->signature().shape_rule();
    for (std::size_t i = 0; i < rule.size(); ++i) out[i] = output_dims(rule[i], in, builder);
    return 0;
  });
}

bool Plugin::supportsFormatCombination(std::int32_t position, const DynamicPluginTensorDesc* in_out,
                                       std::int32_t inputs, std::int32_t outputs) noexcept {
  return guarded(false, [&] {
    check_arity(*op_, inputs, outputs);
    return takes(op_->signature(), position, in_out[position].desc,
                 nvinfer1::TensorFormat::kLINEAR);
  });
}

std::int32_t Plugin::getNbOutputs() const noexcept {
  return static_cast<std::int32_t>(op_->signature().outputs().size());
}

std::size_t Plugin::getWorkspaceSize(const DynamicPluginTensorDesc*, std::int32_t,
                                     const DynamicPluginTensorDesc*, std::int32_t) const noexcept {
  return guarded(std::size_t{0}, [this] { return op_->workspace_bytes(); });
}

std::int32_t Plugin::onShapeChange(const PluginTensorDesc* in, std::int32_t inputs,
                                   const PluginTensorDesc*, std::int32_t) noexcept {
  return guarded(1, [&] {
    std::vector<Dims> dims;
    for (std::int32_t i = 0; i < inputs; ++i) dims.push_back(dims_of(in[i].dims));
    op_->signature().check(op_->kind().name, dims, op_->max_rows());
    return 0;
  });
}

// While it builds, TensorRT may time a plugin with tensors of any content, in which tables would
// point anywhere: a plugin of that phase runs nothing.
std::int32_t Plugin::enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                             const void* const* inputs, void* const* outputs, void* workspace,
                             cudaStream_t stream) noexcept {
  if (phase_ != TensorRTPhase::kRUNTIME) return 0;
  return guarded(1, [&] {
    run(*op_, in, out, inputs, outputs, workspace, stream);
    return 0;
  });
}

nvinfer1::IPluginV3* Plugin::attachToContext(nvinfer1::IPluginResourceContext*) noexcept {
  return clone();
}

const nvinfer1::PluginFieldCollection* Plugin::getFieldsToSerialize() noexcept {
  return collected_.get();
}

Creator::Creator(const Kind& kind) : kind_(kind) { collected_.assign(kind.fields); }

nvinfer1::IPluginV3* Creator::createPlugin(const char*,
                                           const nvinfer1::PluginFieldCollection* fields,
                                           TensorRTPhase phase) noexcept {
  return guarded<nvinfer1::IPluginV3*>(
      nullptr, [&] { return new Plugin(kind_.make(fields_of(kind_.name, fields)), phase); });
}

const std::vector<nvinfer1::IPluginCreatorInterface*>& creators() {
  static const auto owned = [] {
    std::vector<std::unique_ptr<Creator>> made;
    for (const Kind& kind : kinds()) made.push_back(std::make_unique<Creator>(kind));
    return made;
  }();
  static const std::vector<nvinfer1::IPluginCreatorInterface*> all = [] {
    std::vector<nvinfer1::IPluginCreatorInterface*> pointers;
    for (const auto& creator : owned) pointers.push_back(creator.get());
    return pointers;
  }();
  return all;
}

}  // namespace ttsrt::plugins::v3
