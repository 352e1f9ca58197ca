// Values of the test's TensorRT, made from ours. Included by the harness of each version.
#pragma once

#include <NvInferRuntime.h>

#include <deque>
#include <string>
#include <vector>

#include "harness.h"

namespace ttsrt::plugins::test {
inline namespace TTSRT_TEST_NAMESPACE {

inline nvinfer1::Dims their_dims(const Dims& dims) {
  nvinfer1::Dims out;
  out.nbDims = static_cast<std::int32_t>(dims.size());
  for (std::size_t i = 0; i < dims.size(); ++i) out.d[i] = static_cast<nvinfer1::Extent>(dims[i]);
  return out;
}

inline nvinfer1::DataType their_type(Type type) {
  if (type == Type::int32) return nvinfer1::DataType::kINT32;
  return type == Type::float16 ? nvinfer1::DataType::kHALF : nvinfer1::DataType::kFLOAT;
}

inline Type our_type(nvinfer1::DataType type) {
  if (type == nvinfer1::DataType::kINT32) return Type::int32;
  return type == nvinfer1::DataType::kHALF ? Type::float16 : Type::float32;
}

inline std::vector<nvinfer1::PluginTensorDesc> described(const std::vector<Tensor>& tensors) {
  std::vector<nvinfer1::PluginTensorDesc> descs;
  for (const Tensor& tensor : tensors) descs.push_back({their_dims(tensor.dims), {}, {}});
  return descs;
}

inline std::vector<nvinfer1::DynamicPluginTensorDesc> ranges(const std::vector<Dims>& dims,
                                                             bool has_range) {
  std::vector<nvinfer1::DynamicPluginTensorDesc> descs;
  for (const Dims& of : dims) {
    nvinfer1::DynamicPluginTensorDesc desc;
    desc.desc.dims = their_dims(of);
    if (has_range) desc.min = desc.max = desc.desc.dims;
    descs.push_back(desc);
  }
  return descs;
}

inline std::vector<nvinfer1::PluginTensorDesc> offered(const std::vector<Offered>& all) {
  std::vector<nvinfer1::PluginTensorDesc> descs;
  for (const Offered& of : all) {
    descs.push_back(
        {{},
         their_type(of.type),
         of.is_linear ? nvinfer1::TensorFormat::kLINEAR : nvinfer1::TensorFormat::kCHW32});
  }
  return descs;
}

// Owns the collection that it makes.
class TheirFields {
 public:
  explicit TheirFields(const Fields& fields) : kept_(fields) {
    for (const Field& field : kept_) {
      const bool is_real = std::holds_alternative<Reals>(field.values);
      std::visit(
          [&](const auto& values) {
            fields_.emplace_back(
                field.name.c_str(), values.data(),
                is_real ? nvinfer1::PluginFieldType::kFLOAT32 : nvinfer1::PluginFieldType::kINT32,
                static_cast<std::int32_t>(values.size()));
          },
          field.values);
    }
  }
  void add_half(const std::string& name) {
    name_ = name;
    fields_.emplace_back(name_.c_str(), &half_, nvinfer1::PluginFieldType::kFLOAT16, 1);
  }
  const nvinfer1::PluginFieldCollection* get() {
    collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
    return &collection_;
  }

 private:
  Fields kept_;
  std::string name_;
  std::uint16_t half_ = 0;
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

inline FieldNames our_names(const nvinfer1::PluginFieldCollection& collection) {
  FieldNames names;
  for (std::int32_t i = 0; i < collection.nbFields; ++i) {
    const nvinfer1::PluginField& from = collection.fields[i];
    names.push_back(
        {from.name, from.type == nvinfer1::PluginFieldType::kFLOAT32, from.length == 0});
  }
  return names;
}

// Expressions that are numbers.
class Number final : public nvinfer1::IDimensionExpr {
 public:
  explicit Number(nvinfer1::Extent value) : value_(value) {}
  nvinfer1::Extent getConstantValue() const noexcept override { return value_; }

 private:
  nvinfer1::Extent value_;
};

class Expressions final : public nvinfer1::IExprBuilder {
 public:
  const nvinfer1::IDimensionExpr* constant(nvinfer1::Extent value) noexcept override {
    return &numbers_.emplace_back(value);
  }
  std::vector<nvinfer1::DimsExprs> inputs(const std::vector<Dims>& dims) {
    std::vector<nvinfer1::DimsExprs> all;
    for (const Dims& of : dims) {
      nvinfer1::DimsExprs& exprs = all.emplace_back();
      exprs.nbDims = static_cast<std::int32_t>(of.size());
      for (std::size_t i = 0; i < of.size(); ++i)
        exprs.d[i] = constant(static_cast<nvinfer1::Extent>(of[i]));
    }
    return all;
  }
  static Dims values(const nvinfer1::DimsExprs& exprs) {
    Dims dims;
    for (std::int32_t i = 0; i < exprs.nbDims; ++i) dims.push_back(exprs.d[i]->getConstantValue());
    return dims;
  }

 private:
  std::deque<Number> numbers_;
};

inline std::vector<const void*> readable(const std::vector<Tensor>& tensors) {
  std::vector<const void*> all;
  for (const Tensor& tensor : tensors) all.push_back(tensor.data);
  return all;
}

inline std::vector<void*> writable(const std::vector<Tensor>& tensors) {
  std::vector<void*> all;
  for (const Tensor& tensor : tensors) all.push_back(tensor.data);
  return all;
}

}  // namespace TTSRT_TEST_NAMESPACE
}  // namespace ttsrt::plugins::test
