#include "v2/adapter.h"

#include <algorithm>
#include <utility>

namespace ttsrt::plugins::v2 {

using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;

Plugin::Plugin(std::shared_ptr<const Op> op, Phase phase)
    : op_(std::move(op)), phase_(phase), bytes_(to_bytes(op_->fields())) {}

nvinfer1::IPluginV2DynamicExt* Plugin::clone() const noexcept {
  return guarded<nvinfer1::IPluginV2DynamicExt*>(nullptr, [this] {
    auto copy = std::make_unique<Plugin>(op_, phase_);
    copy->namespace_ = namespace_;
    return copy.release();
  });
}

nvinfer1::DimsExprs Plugin::getOutputDimensions(std::int32_t output, const nvinfer1::DimsExprs* in,
                                                std::int32_t inputs,
                                                nvinfer1::IExprBuilder& builder) noexcept {
  return guarded(nvinfer1::DimsExprs{-1, {}}, [&] {
    check_arity(*op_, inputs, getNbOutputs());
    const auto rule = op_->signature().shape_rule();
    return output_dims(rule.at(static_cast<std::size_t>(output)), in, builder);
  });
}

bool Plugin::supportsFormatCombination(std::int32_t position, const PluginTensorDesc* in_out,
                                       std::int32_t inputs, std::int32_t outputs) noexcept {
  return guarded(false, [&] {
    check_arity(*op_, inputs, outputs);
    return takes(op_->signature(), position, in_out[position], nvinfer1::TensorFormat::kLINEAR);
  });
}

// Reports what does not fit the largest shapes of a profile; enqueue() refuses it.
void Plugin::configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t inputs,
                             const DynamicPluginTensorDesc*, std::int32_t) noexcept {
  guarded(0, [&] {
    std::vector<Dims> dims;
    for (std::int32_t i = 0; i < inputs; ++i) dims.push_back(largest_dims(in[i]));
    op_->signature().check(op_->kind().name, dims, op_->max_rows());
    return 0;
  });
}

std::size_t Plugin::getWorkspaceSize(const PluginTensorDesc*, std::int32_t, const PluginTensorDesc*,
                                     std::int32_t) const noexcept {
  return guarded(std::size_t{0}, [this] { return op_->workspace_bytes(); });
}

// While it builds, TensorRT may time a plugin with tensors of any content, in which tables would
// point anywhere: a plugin that comes from no plan runs nothing.
std::int32_t Plugin::enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                             const void* const* inputs, void* const* outputs, void* workspace,
                             cudaStream_t stream) noexcept {
  if (phase_ != Phase::run) return 0;
  return guarded(1, [&] {
    run(*op_, in, out, inputs, outputs, workspace, stream);
    return 0;
  });
}

nvinfer1::DataType Plugin::getOutputDataType(std::int32_t output, const nvinfer1::DataType*,
                                             std::int32_t) const noexcept {
  const std::vector<Port>& ports = op_->signature().outputs();
  const auto at = static_cast<std::size_t>(output);
  return at < ports.size() ? their_type<nvinfer1::DataType>(ports[at].type)
                           : nvinfer1::DataType::kFLOAT;
}

std::int32_t Plugin::getNbOutputs() const noexcept {
  return static_cast<std::int32_t>(op_->signature().outputs().size());
}

void Plugin::serialize(void* buffer) const noexcept {
  std::copy(bytes_.begin(), bytes_.end(), static_cast<std::byte*>(buffer));
}

void Plugin::setPluginNamespace(const char* name) noexcept {
  guarded(0, [&] {
    namespace_ = name == nullptr ? "" : name;
    return 0;
  });
}

Creator::Creator(const Kind& kind) : kind_(kind) { collected_.assign(kind.fields); }

nvinfer1::IPluginV2* Creator::createPlugin(const char*,
                                           const nvinfer1::PluginFieldCollection* fields) noexcept {
  return guarded<nvinfer1::IPluginV2*>(
      nullptr, [&] { return new Plugin(kind_.make(fields_of(kind_.name, fields)), Phase::build); });
}

nvinfer1::IPluginV2* Creator::deserializePlugin(const char*, const void* data,
                                                std::size_t size) noexcept {
  return guarded<nvinfer1::IPluginV2*>(nullptr, [&] {
    const auto* bytes = static_cast<const std::byte*>(data);
    return new Plugin(kind_.make(from_bytes(kind_.name, bytes, size)), Phase::run);
  });
}

void Creator::setPluginNamespace(const char* name) noexcept {
  guarded(0, [&] {
    namespace_ = name == nullptr ? "" : name;
    return 0;
  });
}

const std::vector<nvinfer1::IPluginCreator*>& creators() {
  static const auto owned = [] {
    std::vector<std::unique_ptr<Creator>> made;
    for (const Kind& kind : kinds()) made.push_back(std::make_unique<Creator>(kind));
    return made;
  }();
  static const std::vector<nvinfer1::IPluginCreator*> all = [] {
    std::vector<nvinfer1::IPluginCreator*> pointers;
    for (const auto& creator : owned) pointers.push_back(creator.get());
    return pointers;
  }();
  return all;
}

}  // namespace ttsrt::plugins::v2
