// Norm, Linear and Gate as native layers. TensorRT 8.6 has neither a root mean square norm nor
// every activation, so all are written with sums, products and means, which it fuses.
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/check.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {

std::vector<std::byte> row_major(const ops::Weight& weight) {
  const auto width = static_cast<std::int64_t>(size_of(weight.dtype));
  std::vector<std::byte> values(static_cast<std::size_t>(weight.rows * weight.cols * width));
  if (weight.layout == ops::Layout::dense) {
    std::memcpy(values.data(), weight.data, values.size());
    return values;
  }
  const std::int64_t panel_bytes = ops::padded_cols(weight) * ops::kPanel * width;
  for (std::int64_t n = 0; n < weight.rows; ++n) {
    const std::byte* from = weight.data + n / ops::kPanel * panel_bytes + n % ops::kPanel * width;
    std::byte* to = values.data() + n * weight.cols * width;
    for (std::int64_t k = 0; k < weight.cols; ++k) {
      std::memcpy(to + k * width, from + k * ops::kPanel * width, static_cast<std::size_t>(width));
    }
  }
  return values;
}

TensorId ProgramWriter::matrix(const ops::Weight& weight) {
  const auto known = constants_.find(weight.data);
  if (known != constants_.end()) return known->second;
  const TensorId id = writer_.constant(type_of(weight.dtype), {weight.rows, weight.cols},
                                       [weight] { return row_major(weight); });
  constants_.emplace(weight.data, id);
  return id;
}

TensorId ProgramWriter::vector(const ops::Weight& weight) {
  TTSRT_CHECK(InternalError, weight.dtype == DType::float32 && weight.rows == 1,
              "tensorrt: ", weight.name, ": expected a vector of float32");
  return matrix(weight);
}

TensorId ProgramWriter::number(float value) {
  return writer_.constant(Type::float32, {1, 1}, [value] {
    std::vector<std::byte> bytes(sizeof(value));
    std::memcpy(bytes.data(), &value, sizeof(value));
    return bytes;
  });
}

TensorId ProgramWriter::activate(ops::Activate function, TensorId x) {
  switch (function) {
    case ops::Activate::none:
      return x;
    case ops::Activate::silu:
      return times(x, writer_.apply(Unary::sigmoid, x));
    case ops::Activate::mish:
      return times(x, writer_.apply(Unary::tanh, writer_.apply(Unary::softplus, x)));
    case ops::Activate::gelu: {
      const TensorId scaled = times(x, number(1.0F / std::numbers::sqrt2_v<float>));
      const TensorId share = sum(writer_.apply(Unary::erf, scaled), number(1.0F));
      return times(times(x, number(0.5F)), share);
    }
    case ops::Activate::gelu_tanh: {
      const TensorId cube = times(times(x, x), x);
      const TensorId inner = sum(x, times(cube, number(0.044715F)));
      const float factor = std::sqrt(2.0F * std::numbers::inv_pi_v<float>);
      const TensorId curve = writer_.apply(Unary::tanh, times(inner, number(factor)));
      return times(times(x, number(0.5F)), sum(curve, number(1.0F)));
    }
    case ops::Activate::elu:
      break;
  }
  throw InternalError("tensorrt: an activation that no network has");
}

void ProgramWriter::write(const ops::Norm& op) {
  TensorId x = read(op.x);
  if (op.kind == ops::NormKind::layer) x = writer_.combine(Binary::difference, x, writer_.mean(x));
  const TensorId spread = sum(writer_.mean(times(x, x)), number(op.epsilon));
  TensorId out = writer_.combine(Binary::quotient, x, writer_.apply(Unary::sqrt, spread));
  out = times(out, vector(op.weight));
  if (op.bias.is_present()) out = sum(out, vector(op.bias));
  set(op.out, out);
}

// Products in float16 have sums in float32 inside, and leave float16.
void ProgramWriter::write(const ops::Linear& op) {
  const Type type = type_of(op.weight.dtype);
  TensorId x = read(op.x);
  if (type != Type::float32) x = writer_.cast(x, type);
  TensorId value = writer_.product(x, matrix(op.weight));
  if (type != Type::float32) value = writer_.cast(value, Type::float32);
  if (op.bias.is_present()) value = sum(value, vector(op.bias));
  value = activate(op.activate, value);
  if (op.addend != ops::kNoBuffer) value = sum(read(op.addend), value);
  if (op.accumulate) value = sum(read(op.out), value);
  set(op.out, value);
}

void ProgramWriter::write(const ops::Gate& op) {
  const TensorId x = read(op.x);
  const std::int64_t width = activation(op.out).width;
  const TensorId gate = activate(op.activate, writer_.columns(x, 0, width));
  set(op.out, times(gate, writer_.columns(x, width, width)));
}

}  // namespace ttsrt::tensorrt
