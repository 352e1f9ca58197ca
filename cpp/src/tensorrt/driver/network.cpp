#include "tensorrt/driver/network.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "common/adapt.h"

namespace ttsrt::tensorrt {
namespace {

using nvinfer1::DataType;
using nvinfer1::ElementWiseOperation;
using nvinfer1::ITensor;
using nvinfer1::TensorFormat;

constexpr std::uint32_t kLinear = 1U << static_cast<std::uint32_t>(TensorFormat::kLINEAR);

// The numbers of shapes in a network, which TensorRT counts in 64 bits since 10.
#if NV_TENSORRT_MAJOR < 10
using ShapeNumber = std::int32_t;
constexpr DataType kShapeType = DataType::kINT32;
#else
using ShapeNumber = std::int64_t;
constexpr DataType kShapeType = DataType::kINT64;
#endif

ElementWiseOperation their_operation(Binary function) {
  switch (function) {
    case Binary::sum:
      return ElementWiseOperation::kSUM;
    case Binary::product:
      return ElementWiseOperation::kPROD;
    case Binary::difference:
      return ElementWiseOperation::kSUB;
    case Binary::quotient:
      break;
  }
  return ElementWiseOperation::kDIV;
}

}  // namespace

nvinfer1::Dims their_dims(const Dims& dims, std::int64_t rows) {
  nvinfer1::Dims made{};
  made.nbDims = static_cast<std::int32_t>(dims.size());
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::int64_t extent = dims[i] == kRowsExtent ? rows : dims[i];
    made.d[i] = static_cast<std::decay_t<decltype(made.d[0])>>(extent);
  }
  return made;
}

DataType their_type(Type type) { return plugins::their_type<DataType>(type); }

Network::Network(nvinfer1::INetworkDefinition& network, nvinfer1::IPluginRegistry& registry,
                 const std::vector<nvinfer1::IOptimizationProfile*>& profiles,
                 const BuildSettings& settings, Logger& logger)
    : network_(network),
      profiles_(profiles),
      settings_(settings),
      logger_(logger),
      plugins_(network, registry) {}

void Network::begin_op(const std::string& name) {
  op_ = name;
  layers_ = 0;
}

ITensor& Network::at(TensorId id) const { return *tensors_.at(static_cast<std::size_t>(id)); }

void Network::expect(bool condition, const std::string& what) const {
  if (!condition)
    throw std::runtime_error(op_ + ": TensorRT refuses " + what + ": " + logger_.take_errors());
}

nvinfer1::ILayer& Network::finish(nvinfer1::ILayer* layer, const char* what) {
  expect(layer != nullptr, std::string("the layer ") + what);
  const std::string name = op_ + " " + std::to_string(layers_++) + " " + what;
  layer->setName(name.c_str());
  return *layer;
}

TensorId Network::add(ITensor* tensor) {
  expect(tensor != nullptr, "a tensor");
  tensors_.push_back(tensor);
  return static_cast<TensorId>(tensors_.size()) - 1;
}

TensorId Network::add_float(nvinfer1::ILayer* layer, const char* what, DataType type) {
  nvinfer1::ILayer& made = finish(layer, what);
#if NV_TENSORRT_MAJOR < 10
  if (settings_.has_float16) {
    made.setPrecision(type);
    made.setOutputType(0, type);
  }
#else
  static_cast<void>(type);  // follows from the inputs
#endif
  return add(made.getOutput(0));
}

TensorId Network::input(const std::string& name, Type type, const Dims& dims) {
  ITensor* tensor = network_.addInput(name.c_str(), their_type(type), their_dims(dims, -1));
  const TensorId id = add(tensor);
  tensor->setAllowedFormats(kLinear);
  if (dims.front() != kRowsExtent) return id;
  tensor->setDimensionName(0, "rows");
  using nvinfer1::OptProfileSelector;
  for (std::size_t i = 0; i < profiles_.size(); ++i) {
    const RowRange& range = settings_.ranges[i];
    const auto set = [&](OptProfileSelector which, std::int32_t rows) {
      return profiles_[i]->setDimensions(name.c_str(), which, their_dims(dims, rows));
    };
    expect(set(OptProfileSelector::kMIN, range.least) &&
               set(OptProfileSelector::kOPT, range.usual) &&
               set(OptProfileSelector::kMAX, range.most),
           "the rows of " + name);
  }
  return id;
}

TensorId Network::constant(Type type, const Dims& dims,
                           const std::function<std::vector<std::byte>()>& values) {
  constants_.push_back(values());
  std::int64_t count = 1;
  for (const std::int64_t extent : dims) count *= extent;
  const nvinfer1::Weights weights{their_type(type), constants_.back().data(), count};
  const TensorId id =
      add(finish(network_.addConstant(their_dims(dims, -1), weights), "constant").getOutput(0));
  weights_.emplace(id, weights);
  return id;
}

// Rows as images of one pixel; an extent of 0 is that of the input.
TensorId Network::convolve(TensorId x, TensorId weight) {
  const std::int64_t outputs = at(weight).getDimensions().d[0];
  const std::int64_t inputs = at(weight).getDimensions().d[1];
  const auto reshape = [this](ITensor& from, const Dims& dims) -> ITensor& {
    nvinfer1::IShuffleLayer* layer = network_.addShuffle(from);
    if (layer != nullptr) layer->setReshapeDimensions(their_dims(dims, 0));
    return *finish(layer, "reshape").getOutput(0);
  };
  ITensor& images = reshape(at(x), {0, inputs, 1, 1});
  nvinfer1::IConvolutionLayer* layer = network_.addConvolutionNd(
      images, static_cast<std::int32_t>(outputs), their_dims({1, 1}, 0), weights_.at(weight),
      nvinfer1::Weights{at(weight).getType(), nullptr, 0});
  const TensorId made = add_float(layer, "product", at(weight).getType());
  return add(&reshape(at(made), {0, outputs}));
}

TensorId Network::product(TensorId x, TensorId weight) {
  if (settings_.uses_convolutions) return convolve(x, weight);
  using nvinfer1::MatrixOperation;
  return add_float(network_.addMatrixMultiply(at(x), MatrixOperation::kNONE, at(weight),
                                              MatrixOperation::kTRANSPOSE),
                   "product", settings_.has_float16 ? at(weight).getType() : DataType::kFLOAT);
}

TensorId Network::cast(TensorId x, Type type) {
  return add(finish(network_.addCast(at(x), their_type(type)), "cast").getOutput(0));
}

TensorId Network::apply(Unary function, TensorId x) {
  using nvinfer1::ActivationType;
  using nvinfer1::UnaryOperation;
  ITensor& from = at(x);
  switch (function) {
    case Unary::tanh:
      return add_float(network_.addActivation(from, ActivationType::kTANH), "tanh",
                       DataType::kFLOAT);
    case Unary::sigmoid:
      return add_float(network_.addActivation(from, ActivationType::kSIGMOID), "sigmoid",
                       DataType::kFLOAT);
    case Unary::softplus: {
      nvinfer1::IActivationLayer* layer = network_.addActivation(from, ActivationType::kSOFTPLUS);
      if (layer != nullptr) {
        layer->setAlpha(1.0F);
        layer->setBeta(1.0F);
      }
      return add_float(layer, "softplus", DataType::kFLOAT);
    }
    case Unary::erf:
      return add_float(network_.addUnary(from, UnaryOperation::kERF), "erf", DataType::kFLOAT);
    case Unary::sqrt:
      break;
  }
  return add_float(network_.addUnary(from, UnaryOperation::kSQRT), "sqrt", DataType::kFLOAT);
}

TensorId Network::combine(Binary function, TensorId a, TensorId b) {
  return add_float(network_.addElementWise(at(a), at(b), their_operation(function)), "combine",
                   DataType::kFLOAT);
}

TensorId Network::mean(TensorId x) {
  return add_float(network_.addReduce(at(x), nvinfer1::ReduceOperation::kAVG, 1U << 1, true),
                   "mean", DataType::kFLOAT);
}

// [rows, count] of a tensor with as many rows: the smaller of each extent and of [all, count].
ITensor& Network::size_of_columns(TensorId x, std::int64_t count) {
  const ShapeNumber most[] = {std::numeric_limits<std::int32_t>::max(),
                              static_cast<ShapeNumber>(count)};
  std::vector<std::byte>& bytes = constants_.emplace_back(sizeof(most));
  std::memcpy(bytes.data(), most, sizeof(most));
  nvinfer1::Dims two{};
  two.nbDims = 1;
  two.d[0] = 2;
  const nvinfer1::Weights weights{kShapeType, bytes.data(), 2};
  ITensor& limit = *finish(network_.addConstant(two, weights), "size").getOutput(0);
  ITensor& shape = *finish(network_.addShape(at(x)), "shape").getOutput(0);
  return *finish(network_.addElementWise(shape, limit, ElementWiseOperation::kMIN), "size")
              .getOutput(0);
}

TensorId Network::columns(TensorId x, std::int64_t first, std::int64_t count) {
  const nvinfer1::Dims start = their_dims({0, first}, 0);
  const nvinfer1::Dims size = their_dims({1, count}, 1);
  const nvinfer1::Dims stride = their_dims({1, 1}, 1);
  nvinfer1::ISliceLayer* slice = network_.addSlice(at(x), start, size, stride);
  if (slice != nullptr) slice->setInput(2, size_of_columns(x, count));
  return add_float(slice, "columns", DataType::kFLOAT);
}

TensorId Network::copy(TensorId x) {
  return add(finish(network_.addIdentity(at(x)), "copy").getOutput(0));
}

std::vector<TensorId> Network::plugin(const char* kind, const Fields& fields,
                                      const std::vector<TensorId>& inputs, std::int32_t outputs) {
  std::vector<ITensor*> tensors;
  for (const TensorId input : inputs) tensors.push_back(&at(input));
  nvinfer1::ILayer& layer = finish(plugins_.add(kind, fields, tensors), kind);
  std::vector<TensorId> made;
  for (std::int32_t i = 0; i < outputs; ++i) made.push_back(add(layer.getOutput(i)));
  return made;
}

void Network::output(const std::string& name, TensorId x) {
  ITensor& tensor = at(x);
  tensor.setName(name.c_str());
  network_.markOutput(tensor);
  tensor.setAllowedFormats(kLinear);
}

}  // namespace ttsrt::tensorrt
