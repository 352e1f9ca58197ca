// A network of the library that stands for TensorRT: layers that note how they are made, and
// tensors that know as much of their types and shapes as the driver asks for.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fake_state.h"

namespace ttsrt::tensorrt::fake {

using nvinfer1::DataType;
using nvinfer1::Dims;

class Tensor final : public nvinfer1::ITensor, Counted {
 public:
  Tensor(std::string name, DataType type, const Dims& dims)
      : name_(std::move(name)), type_(type), dims_(dims) {}

  void setName(const char* name) noexcept override { name_ = name; }
  Dims getDimensions() const noexcept override { return dims_; }
  DataType getType() const noexcept override { return type_; }
  void setAllowedFormats(std::uint32_t formats) noexcept override {
    call("setAllowedFormats", name_ + " " + std::to_string(formats));
  }
  void setDimensionName(std::int32_t index, const char* name) noexcept override {
    call("setDimensionName", name_ + " " + std::to_string(index) + " " + name);
  }

  const std::string& name() const { return name_; }
  void reshape(const Dims& dims) {
    for (std::int32_t i = 0; i < dims.nbDims; ++i)
      dims_.d[i] = dims.d[i] == 0 ? dims_.d[i] : dims.d[i];
    dims_.nbDims = dims.nbDims;
  }

 private:
  std::string name_;
  DataType type_;
  Dims dims_;
};

inline const std::string& name_of(const nvinfer1::ITensor& tensor) {
  return static_cast<const Tensor&>(tensor).name();
}

// What a network owns.
class Owned : Counted {
 public:
  virtual ~Owned() = default;
};

template <class Base>
class Layer final : public Base, public Owned {
 public:
  Layer(std::string name, DataType type, const Dims& dims, std::int32_t outputs)
      : name_(std::move(name)) {
    for (std::int32_t i = 0; i < outputs; ++i)
      outputs_.push_back(std::make_unique<Tensor>(name_ + "." + std::to_string(i), type, dims));
  }

  void setName(const char* name) noexcept override { call("setName", name_ + " = " + name); }
  nvinfer1::ITensor* getOutput(std::int32_t index) const noexcept override {
    return outputs_[static_cast<std::size_t>(index)].get();
  }
  void setInput(std::int32_t index, nvinfer1::ITensor& tensor) noexcept override {
    call("setInput", name_ + " " + std::to_string(index) + " " + name_of(tensor));
  }
#if TTSRT_TEST_TENSORRT == 8
  void setPrecision(DataType type) noexcept override {
    call("setPrecision", name_ + " " + text_of(type));
  }
  void setOutputType(std::int32_t index, DataType type) noexcept override {
    call("setOutputType", name_ + " " + std::to_string(index) + " " + text_of(type));
  }
#endif
  void set_number(const char* what, float value) noexcept override {
    call(what, name_ + " " + std::to_string(static_cast<int>(value)));
  }
  void set_dims(const char* what, const Dims& dims) noexcept override {
    call(what, name_ + " " + text_of(dims));
    outputs_.front()->reshape(dims);
  }

 private:
  std::string name_;
  std::vector<std::unique_ptr<Tensor>> outputs_;
};

class FakeNetwork final : public nvinfer1::INetworkDefinition, Counted {
 public:
  nvinfer1::ITensor* addInput(const char* name, DataType type, const Dims& dims) noexcept override {
    if (!call("addInput", std::string(name) + " " + text_of(type) + " " + text_of(dims)))
      return nullptr;
    inputs_.push_back(std::make_unique<Tensor>(name, type, dims));
    return inputs_.back().get();
  }
  void markOutput(nvinfer1::ITensor& tensor) noexcept override {
    call("markOutput", name_of(tensor));
    outputs_.push_back(&tensor);
  }
  nvinfer1::IActivationLayer* addActivation(nvinfer1::ITensor& x,
                                            nvinfer1::ActivationType type) noexcept override {
    return like<nvinfer1::IActivationLayer>("addActivation", x, number(type));
  }
  nvinfer1::ICastLayer* addCast(nvinfer1::ITensor& x, DataType type) noexcept override {
    return add<nvinfer1::ICastLayer>("addCast", name_of(x) + " " + text_of(type), type,
                                     x.getDimensions());
  }
  nvinfer1::IConstantLayer* addConstant(const Dims& dims, nvinfer1::Weights of) noexcept override {
    return add<nvinfer1::IConstantLayer>(
        "addConstant",
        std::string(text_of(of.type)) + " " + text_of(dims) + " of " + std::to_string(of.count),
        of.type, dims);
  }
  nvinfer1::IConvolutionLayer* addConvolutionNd(nvinfer1::ITensor& x, std::int64_t outputs,
                                                const Dims& kernel, nvinfer1::Weights weights,
                                                nvinfer1::Weights bias) noexcept override {
    Dims dims = x.getDimensions();
    dims.d[1] = static_cast<nvinfer1::Extent>(outputs);
    return add<nvinfer1::IConvolutionLayer>("addConvolutionNd",
                                            name_of(x) + " " + text_of(kernel) + " " +
                                                std::to_string(weights.count) + " weights, " +
                                                std::to_string(bias.count) + " biases",
                                            weights.type, dims);
  }
  nvinfer1::IElementWiseLayer* addElementWise(
      nvinfer1::ITensor& a, nvinfer1::ITensor& b,
      nvinfer1::ElementWiseOperation operation) noexcept override {
    Dims dims = a.getDimensions();
    for (std::int32_t i = 0; i < dims.nbDims; ++i)
      dims.d[i] = dims.d[i] == 1 ? b.getDimensions().d[i] : dims.d[i];
    return add<nvinfer1::IElementWiseLayer>("addElementWise",
                                            name_of(a) + " " + number(operation) + " " + name_of(b),
                                            a.getType(), dims);
  }
  nvinfer1::IIdentityLayer* addIdentity(nvinfer1::ITensor& x) noexcept override {
    return like<nvinfer1::IIdentityLayer>("addIdentity", x, "");
  }
  nvinfer1::IMatrixMultiplyLayer* addMatrixMultiply(
      nvinfer1::ITensor& a, nvinfer1::MatrixOperation of_a, nvinfer1::ITensor& b,
      nvinfer1::MatrixOperation of_b) noexcept override {
    Dims dims = a.getDimensions();
    dims.d[1] = b.getDimensions().d[0];
    const auto turned = [](nvinfer1::MatrixOperation of) {
      return of == nvinfer1::MatrixOperation::kTRANSPOSE ? "^T" : "";
    };
    return add<nvinfer1::IMatrixMultiplyLayer>(
        "addMatrixMultiply", name_of(a) + turned(of_a) + " " + name_of(b) + turned(of_b),
        a.getType(), dims);
  }
  nvinfer1::IReduceLayer* addReduce(nvinfer1::ITensor& x, nvinfer1::ReduceOperation operation,
                                    std::uint32_t axes, bool keeps_dims) noexcept override {
    Dims dims = x.getDimensions();
    dims.d[1] = 1;
    return add<nvinfer1::IReduceLayer>("addReduce",
                                       name_of(x) + " " + number(operation) + " " +
                                           std::to_string(axes) + (keeps_dims ? " kept" : ""),
                                       x.getType(), dims);
  }
  nvinfer1::IShapeLayer* addShape(nvinfer1::ITensor& x) noexcept override {
    return like<nvinfer1::IShapeLayer>("addShape", x, "");
  }
  nvinfer1::IShuffleLayer* addShuffle(nvinfer1::ITensor& x) noexcept override {
    return like<nvinfer1::IShuffleLayer>("addShuffle", x, "");
  }
  nvinfer1::ISliceLayer* addSlice(nvinfer1::ITensor& x, const Dims& start, const Dims& size,
                                  const Dims& stride) noexcept override {
    Dims dims = x.getDimensions();
    dims.d[1] = size.d[1];
    return add<nvinfer1::ISliceLayer>(
        "addSlice", name_of(x) + " " + text_of(start) + text_of(size) + text_of(stride),
        x.getType(), dims);
  }
  nvinfer1::IUnaryLayer* addUnary(nvinfer1::ITensor& x,
                                  nvinfer1::UnaryOperation operation) noexcept override {
    return like<nvinfer1::IUnaryLayer>("addUnary", x, number(operation));
  }
#if TTSRT_TEST_TENSORRT == 8
  nvinfer1::IPluginV2Layer* addPluginV2(nvinfer1::ITensor* const* inputs, std::int32_t count,
                                        nvinfer1::IPluginV2& plugin) noexcept override {
    return add<nvinfer1::IPluginV2Layer>("addPluginV2",
                                         names(inputs, count) + " " + plugin.getPluginType());
  }
#else
  nvinfer1::IPluginV3Layer* addPluginV3(nvinfer1::ITensor* const* inputs, std::int32_t count,
                                        nvinfer1::ITensor* const*, std::int32_t shapes,
                                        nvinfer1::IPluginV3&) noexcept override {
    return add<nvinfer1::IPluginV3Layer>("addPluginV3",
                                         names(inputs, count) + " " + std::to_string(shapes));
  }
#endif

  BuiltNetwork built() const {
    BuiltNetwork all;
    const auto add_one = [&all](const nvinfer1::ITensor& tensor, bool is_input) {
      all.push_back({name_of(tensor), tensor.getType(), tensor.getDimensions(), is_input});
    };
    for (const auto& input : inputs_) add_one(*input, true);
    for (const nvinfer1::ITensor* output : outputs_) add_one(*output, false);
    return all;
  }

 private:
  static constexpr std::int32_t kMostOutputs = 2;

  template <class Enum>
  static std::string number(Enum value) {
    return std::to_string(static_cast<std::int32_t>(value));
  }
  static std::string names(nvinfer1::ITensor* const* inputs, std::int32_t count) {
    std::string text;
    for (std::int32_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + name_of(*inputs[i]);
    return text;
  }

  template <class Base>
  Base* add(const std::string& what, const std::string& arguments, DataType type = DataType::kINT32,
            const Dims& dims = {}) {
    const std::string name = "t" + std::to_string(layers_.size());
    if (!call(what, arguments + " -> " + name)) return nullptr;
    auto layer = std::make_unique<Layer<Base>>(name, type, dims, kMostOutputs);
    Base* made = layer.get();
    layers_.push_back(std::move(layer));
    return made;
  }
  template <class Base>
  Base* like(const std::string& what, const nvinfer1::ITensor& x, const std::string& rest) {
    return add<Base>(what, name_of(x) + (rest.empty() ? "" : " " + rest), x.getType(),
                     x.getDimensions());
  }

  std::vector<std::unique_ptr<Tensor>> inputs_;
  std::vector<const nvinfer1::ITensor*> outputs_;
  std::vector<std::unique_ptr<Owned>> layers_;
};

}  // namespace ttsrt::tensorrt::fake
