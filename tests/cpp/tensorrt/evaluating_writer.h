// A writer that computes what native layers would, on the host, from rows that stand for the
// outputs of an embedding.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/half.h"
#include "tensorrt/network_text.h"

namespace ttsrt::tensorrt::test {

class EvaluatingWriter final : public NetworkWriter {
 public:
  EvaluatingWriter(std::int64_t rows, std::vector<float> embedded)
      : rows_(rows), embedded_(std::move(embedded)) {}

  void begin_op(const std::string& name) override { text_.begin_op(name); }
  TensorId input(const std::string& name, Type type, const Dims& dims) override {
    return keep(text_.input(name, type, dims), {});
  }
  TensorId constant(Type type, const Dims& dims,
                    const std::function<std::vector<std::byte>()>& values) override {
    const std::vector<std::byte> bytes = values();
    const std::size_t width = type == Type::float16 ? 2 : 4;
    std::vector<float> read(bytes.size() / width);
    for (std::size_t i = 0; i < read.size(); ++i) {
      std::uint16_t half = 0;
      if (width == 4) std::memcpy(&read[i], bytes.data() + 4 * i, 4);
      if (width == 2) std::memcpy(&half, bytes.data() + 2 * i, 2);
      if (width == 2) read[i] = from_float16(half);
    }
    return keep(text_.constant(type, dims, values), std::move(read));
  }
  TensorId product(TensorId x, TensorId weight) override {
    const std::int64_t inputs = columns_of(x);
    const std::int64_t outputs = rows_of(weight);
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows_of(x); ++r) {
      for (std::int64_t n = 0; n < outputs; ++n) {
        double sum = 0.0;
        for (std::int64_t k = 0; k < inputs; ++k)
          sum += double{at(x, r * inputs + k)} * double{at(weight, n * inputs + k)};
        out.push_back(static_cast<float>(sum));
      }
    }
    return keep(text_.product(x, weight), std::move(out));
  }
  TensorId cast(TensorId x, Type type) override {
    std::vector<float> out = values_[static_cast<std::size_t>(x)];
    for (float& value : out) {
      if (type == Type::float16) value = from_float16(to_float16(value));
    }
    return keep(text_.cast(x, type), std::move(out));
  }
  TensorId apply(Unary function, TensorId x) override {
    std::vector<float> out = values_[static_cast<std::size_t>(x)];
    for (float& value : out) value = applied(function, value);
    return keep(text_.apply(function, x), std::move(out));
  }
  TensorId combine(Binary function, TensorId a, TensorId b) override {
    const TensorId id = text_.combine(function, a, b);
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows_of(id); ++r) {
      for (std::int64_t c = 0; c < columns_of(id); ++c)
        out.push_back(combined(function, cell(a, r, c), cell(b, r, c)));
    }
    return keep(id, std::move(out));
  }
  TensorId mean(TensorId x) override {
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows_of(x); ++r) {
      double sum = 0.0;
      for (std::int64_t c = 0; c < columns_of(x); ++c) sum += double{cell(x, r, c)};
      out.push_back(static_cast<float>(sum / static_cast<double>(columns_of(x))));
    }
    return keep(text_.mean(x), std::move(out));
  }
  TensorId columns(TensorId x, std::int64_t first, std::int64_t count) override {
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows_of(x); ++r) {
      for (std::int64_t c = 0; c < count; ++c) out.push_back(cell(x, r, first + c));
    }
    return keep(text_.columns(x, first, count), std::move(out));
  }
  TensorId copy(TensorId x) override {
    return keep(text_.copy(x), values_[static_cast<std::size_t>(x)]);
  }
  std::vector<TensorId> plugin(const char* kind, const Fields& fields,
                               const std::vector<TensorId>& inputs, std::int32_t outputs) override {
    const std::vector<TensorId> made = text_.plugin(kind, fields, inputs, outputs);
    for (const TensorId id : made) keep(id, id == made.front() ? embedded_ : std::vector<float>());
    return made;
  }
  void output(const std::string& name, TensorId x) override {
    text_.output(name, x);
    outputs[name] = values_[static_cast<std::size_t>(x)];
  }

  std::map<std::string, std::vector<float>> outputs;

 private:
  static float applied(Unary function, float x) {
    switch (function) {
      case Unary::tanh:
        return std::tanh(x);
      case Unary::sigmoid:
        return 1.0F / (1.0F + std::exp(-x));
      case Unary::softplus:
        return std::log1p(std::exp(x));
      case Unary::erf:
        return std::erf(x);
      case Unary::sqrt:
        break;
    }
    return std::sqrt(x);
  }
  static float combined(Binary function, float a, float b) {
    switch (function) {
      case Binary::sum:
        return a + b;
      case Binary::product:
        return a * b;
      case Binary::difference:
        return a - b;
      case Binary::quotient:
        break;
    }
    return a / b;
  }

  TensorId keep(TensorId id, std::vector<float> values) {
    values_.resize(static_cast<std::size_t>(id) + 1);
    values_.back() = std::move(values);
    return id;
  }
  const Dims& dims_of(TensorId id) const {
    return text_.tensors()[static_cast<std::size_t>(id)].dims;
  }
  std::int64_t rows_of(TensorId id) const {
    return dims_of(id)[0] == kRowsExtent ? rows_ : dims_of(id)[0];
  }
  std::int64_t columns_of(TensorId id) const { return dims_of(id)[1]; }
  float at(TensorId id, std::int64_t i) const {
    return values_[static_cast<std::size_t>(id)][static_cast<std::size_t>(i)];
  }
  float cell(TensorId id, std::int64_t row, std::int64_t column) const {
    const std::int64_t r = rows_of(id) == 1 ? 0 : row;
    const std::int64_t c = columns_of(id) == 1 ? 0 : column;
    return at(id, r * columns_of(id) + c);
  }

  std::int64_t rows_;
  std::vector<float> embedded_;
  NetworkText text_;
  std::vector<std::vector<float>> values_;
};

}  // namespace ttsrt::tensorrt::test
