#include "tensorrt/network_text.h"

#include <algorithm>
#include <array>
#include <variant>

#include "common/op.h"
#include "core/check.h"
#include "core/sha256.h"

namespace ttsrt::tensorrt {
namespace {

constexpr const char* kUnaryNames[] = {"tanh", "sigmoid", "softplus", "erf", "sqrt"};
constexpr const char* kBinaryNames[] = {"sum", "product", "difference", "quotient"};

std::string text_of(Type type, const Dims& dims) {
  return message(plugins::name_of(type), " ", plugins::text_of(dims));
}

std::string text_of(const plugins::Field& field) {
  std::string text = field.name + "=";
  std::visit(
      [&text](const auto& values) {
        for (std::size_t i = 0; i < values.size(); ++i)
          text += message(i == 0 ? "" : ",", values[i]);
      },
      field.values);
  return text;
}

Dims broadcast(const Dims& a, const Dims& b) {
  Dims dims(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) dims[i] = a[i] == 1 ? b[i] : a[i];
  return dims;
}

bool fits(const Dims& a, const Dims& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != 1 && b[i] != 1) return false;
  }
  return true;
}

}  // namespace

void NetworkText::expect(bool condition, const std::string& what) const {
  TTSRT_CHECK(InternalError, condition, "network: ", op_, ": ", what);
}

const NetworkText::Tensor& NetworkText::at(TensorId id) const {
  expect(id >= 0 && static_cast<std::size_t>(id) < tensors_.size(), message("no tensor ", id));
  return tensors_[static_cast<std::size_t>(id)];
}

const NetworkText::Tensor& NetworkText::matrix(TensorId id) const {
  const Tensor& tensor = at(id);
  expect(tensor.dims.size() == 2 && tensor.type != Type::int32,
         message("expected a matrix of floats, got ", text_of(tensor.type, tensor.dims)));
  return tensor;
}

TensorId NetworkText::add(const std::string& line, Type type, Dims dims) {
  const auto id = static_cast<TensorId>(tensors_.size());
  text_ += message("%", id, " = ", line, " : ", text_of(type, dims), "\n");
  tensors_.push_back({type, std::move(dims), false, false});
  return id;
}

TensorId NetworkText::input(const std::string& name, Type type, const Dims& dims) {
  expect(!dims.empty(), "input " + name + ": expected an extent");
  for (std::size_t i = 0; i < dims.size(); ++i) {
    expect(dims[i] > 0 || (i == 0 && dims[i] == kRowsExtent),
           message("input ", name, ": ", plugins::text_of(dims)));
  }
  const TensorId id = add("input " + name, type, dims);
  tensors_.back().is_input = true;
  return id;
}

TensorId NetworkText::constant(Type type, const Dims& dims,
                               const std::function<std::vector<std::byte>()>&) {
  expect(std::all_of(dims.begin(), dims.end(), [](std::int64_t extent) { return extent > 0; }),
         "constant: " + plugins::text_of(dims));
  return add("constant", type, dims);
}

TensorId NetworkText::product(TensorId x, TensorId weight) {
  const Tensor& a = matrix(x);
  const Tensor& b = matrix(weight);
  expect(a.type == b.type && a.dims[1] == b.dims[1],
         message("product: ", text_of(a.type, a.dims), " and ", text_of(b.type, b.dims)));
  const Dims dims = {a.dims[0], b.dims[0]};
  return add(message("product %", x, " %", weight), a.type, dims);
}

TensorId NetworkText::cast(TensorId x, Type type) {
  const Dims dims = matrix(x).dims;
  return add(message("cast %", x), type, dims);
}

TensorId NetworkText::apply(Unary function, TensorId x) {
  const Tensor from = matrix(x);
  return add(message(kUnaryNames[static_cast<int>(function)], " %", x), from.type, from.dims);
}

TensorId NetworkText::combine(Binary function, TensorId a, TensorId b) {
  const Tensor left = matrix(a);
  const Tensor& right = matrix(b);
  expect(left.type == right.type && fits(left.dims, right.dims),
         message(text_of(left.type, left.dims), " and ", text_of(right.type, right.dims)));
  const Dims dims = broadcast(left.dims, right.dims);
  return add(message(kBinaryNames[static_cast<int>(function)], " %", a, " %", b), left.type, dims);
}

TensorId NetworkText::mean(TensorId x) {
  const Tensor from = matrix(x);
  return add(message("mean %", x), from.type, {from.dims[0], 1});
}

TensorId NetworkText::columns(TensorId x, std::int64_t first, std::int64_t count) {
  const Tensor from = matrix(x);
  expect(first >= 0 && count > 0 && first + count <= from.dims[1],
         message("columns ", first, " to ", first + count, " of ", from.dims[1]));
  return add(message("columns %", x, " ", first, " ", count), from.type, {from.dims[0], count});
}

TensorId NetworkText::copy(TensorId x) {
  const Tensor from = at(x);
  return add(message("copy %", x), from.type, from.dims);
}

std::vector<TensorId> NetworkText::plugin(const char* kind, const Fields& fields,
                                          const std::vector<TensorId>& inputs,
                                          std::int32_t outputs) {
  const auto op = plugins::kind_of(kind).make(fields);
  const plugins::Signature& signature = op->signature();
  expect(inputs.size() == signature.inputs().size() &&
             static_cast<std::size_t>(outputs) == signature.outputs().size(),
         message(kind, ": ", inputs.size(), " inputs and ", outputs, " outputs"));
  std::string line = kind;
  std::vector<Dims> dims;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& tensor = at(inputs[i]);
    const plugins::Port& port = signature.inputs()[i];
    expect(tensor.type == port.type,
           message(kind, ": ", port.name, ": expected ", plugins::name_of(port.type), ", got ",
                   plugins::name_of(tensor.type)));
    // Where a letter stands, an extent that is the rows must stand, or one that is a number.
    for (std::size_t d = 0; d < port.shape.size() && d < tensor.dims.size(); ++d) {
      expect((port.shape[d].letter == 'R') == (tensor.dims[d] == kRowsExtent),
             message(kind, ": ", port.name, ": ", plugins::text_of(tensor.dims)));
    }
    expect(!port.is_written || tensor.is_input,
           message(kind, ": ", port.name, ": it is written, and no tensor that is bound"));
    dims.push_back(tensor.dims);
    line += message(" %", inputs[i]);
  }
  signature.check(kind, dims, op->max_rows());
  for (const plugins::Field& field : op->fields()) line += " " + text_of(field);
  std::vector<TensorId> made;
  for (const auto& rule : signature.shape_rule()) {
    Dims extents;
    for (const plugins::ExtentSource& from : rule) {
      extents.push_back(
          from.input < 0
              ? from.number
              : dims[static_cast<std::size_t>(from.input)][static_cast<std::size_t>(from.dim)]);
    }
    made.push_back(add(line, signature.outputs()[made.size()].type, std::move(extents)));
  }
  return made;
}

void NetworkText::output(const std::string& name, TensorId x) {
  const Tensor& tensor = at(x);
  expect(!tensor.is_input && !tensor.is_output, "output " + name + ": it has a name already");
  tensors_[static_cast<std::size_t>(x)].is_output = true;
  text_ += message("output ", name, " %", x, "\n");
}

std::string NetworkText::hash() const {
  return sha256_hex(reinterpret_cast<const std::byte*>(text_.data()), text_.size());
}

}  // namespace ttsrt::tensorrt
