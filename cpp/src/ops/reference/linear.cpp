// Products, norms and the gathering that turns a convolution into a product: Linear, Gate, Norm,
// Unfold.
#include "ops/reference/linear.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "core/half.h"
#include "ops/reference/quantized.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

constexpr double kSqrtTwoOverPi = 0.79788456080286535588;

// ln(1 + e^x), also where e^x is beyond the range of numbers.
double softplus(double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

}  // namespace

double activated(Activate activate, double x) {
  if (activate == Activate::none) return x;
  if (activate == Activate::silu) return x / (1.0 + std::exp(-x));
  if (activate == Activate::gelu) return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
  if (activate == Activate::elu) return x < 0.0 ? std::expm1(x) : x;
  if (activate == Activate::mish) return x * std::tanh(softplus(x));
  return 0.5 * x * (1.0 + std::tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
}

namespace {

// Row `i` of a segment's neighbourhood: a row of x inside the segment, a row of the history (if
// any) before it, else zeros.
struct Neighbours {
  const float* x;  // the segment's rows
  std::int64_t rows;
  std::int64_t width;
  const float* history;  // [history_rows, width], oldest first, or none
  std::int64_t history_rows;

  void copy(std::int64_t i, float* out) const {
    const float* from = nullptr;
    if (i >= 0 && i < rows) from = x + i * width;
    if (i < 0 && history != nullptr && history_rows + i >= 0)
      from = history + (history_rows + i) * width;
    if (from != nullptr) {
      std::copy(from, from + width, out);
    } else {
      std::fill(out, out + width, 0.0F);
    }
  }
};

std::vector<float>& history_of(const Unfold& op, std::int64_t width, const step::Segment& segment,
                               State& state) {
  const auto& convs = state.spec().convs;
  TTSRT_CHECK(InternalError, static_cast<std::size_t>(op.history) < convs.size(), "conv history ",
              op.history, " of ", convs.size());
  const StateSpec::Conv& conv = convs[static_cast<std::size_t>(op.history)];
  TTSRT_CHECK(InternalError, op.causal && conv.kernel == op.kernel && conv.width == width,
              "conv history ", op.history, ": expected a causal kernel ", conv.kernel, " of width ",
              conv.width, ", got ", op.kernel, " of ", width);
  auto& histories = state.slot(segment.slot).histories[static_cast<std::int32_t>(segment.branch)];
  return histories[static_cast<std::size_t>(op.history)];
}

void unfold_segment(const Unfold& op, const Neighbours& neighbours, float* out) {
  const std::int64_t before = op.causal ? op.kernel - 1 : (op.kernel - 1) / 2;
  for (std::int64_t i = 0; i < neighbours.rows; ++i) {
    for (std::int64_t tap = 0; tap < op.kernel; ++tap) {
      neighbours.copy(i - before + tap, out + (i * op.kernel + tap) * neighbours.width);
    }
  }
}

// Returns x [rows, K] W^T as [rows, N]; inputs are rounded to bfloat16 if the weight is bfloat16.
std::vector<double> float_product(const Weight& weight, const float* x, std::int64_t rows) {
  const WeightReader reader(weight);
  const std::int64_t inputs = weight.cols;
  std::vector<float> rounded(x, x + rows * inputs);
  if (weight.dtype == DType::bfloat16) {
    for (float& value : rounded) value = from_bfloat16(to_bfloat16(value));
  }
  std::vector<double> out(static_cast<std::size_t>(rows * weight.rows));
  std::vector<float> weights(static_cast<std::size_t>(inputs));
  for (std::int64_t n = 0; n < weight.rows; ++n) {
    reader.row(n, weights.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      double& sum = out[static_cast<std::size_t>(r * weight.rows + n)];
      for (std::int64_t k = 0; k < inputs; ++k) {
        sum += static_cast<double>(rounded[static_cast<std::size_t>(r * inputs + k)]) *
               weights[static_cast<std::size_t>(k)];
      }
    }
  }
  return out;
}

}  // namespace

const float* vector_values(const Weight& weight, std::int64_t size) {
  if (!weight.is_present()) return nullptr;
  TTSRT_CHECK(InternalError, weight.dtype == DType::float32 && weight.rows * weight.cols == size,
              weight.name, ": expected float32 [", size, "], got [", weight.rows, ", ", weight.cols,
              "]");
  return reinterpret_cast<const float*>(weight.data);
}

void multiply(const Product& product, const float* x, std::int64_t rows, float* out) {
  const bool is_quantized = product.weight.quantization != Quantization::none;
  const std::vector<double> sums = is_quantized ? quantized_product(product.weight, x, rows)
                                                : float_product(product.weight, x, rows);
  const std::int64_t outputs = product.weight.rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      const double sum = sums[static_cast<std::size_t>(r * outputs + n)];
      const double bias = product.bias == nullptr ? 0.0 : product.bias[n];
      double value = activated(product.activate, sum + bias);
      if (product.addend != nullptr) value += product.addend[r * outputs + n];
      float& target = out[r * outputs + n];
      target = static_cast<float>(product.accumulate ? target + value : value);
    }
  }
}

RowMoments::RowMoments(const float* row, std::int64_t width, NormKind kind, double epsilon) {
  for (std::int64_t d = 0; d < width && kind == NormKind::layer; ++d) mean += row[d];
  const bool has_mean = std::isfinite(static_cast<float>(mean));
  mean /= static_cast<double>(width);
  double variance = 0.0;
  for (std::int64_t d = 0; d < width; ++d) variance += (row[d] - mean) * (row[d] - mean);
  variance /= static_cast<double>(width);
  const bool is_finite = has_mean && std::isfinite(static_cast<float>(variance));
  inverse = is_finite ? 1.0 / std::sqrt(variance + epsilon) : NAN;
}

void normalize(const Norm& norm, const float* x, std::int64_t rows, float* out) {
  const std::int64_t width = norm.weight.rows * norm.weight.cols;
  const float* scale = vector_values(norm.weight, width);
  const float* bias = vector_values(norm.bias, width);
  TTSRT_CHECK(InternalError, scale != nullptr, norm.weight.name, ": absent where it is needed");
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * width;
    const RowMoments moments(row, width, norm.kind, norm.epsilon);
    for (std::int64_t d = 0; d < width; ++d) {
      const double value = (row[d] - moments.mean) * moments.inverse * scale[d];
      out[r * width + d] = static_cast<float>(bias == nullptr ? value : value + bias[d]);
    }
  }
}

void run(const Norm& op, Run& at) {
  const std::int64_t width = op.weight.rows * op.weight.cols;
  normalize(op, at.rows(op.x, width), at.batch.rows, at.rows(op.out, width));
}

void run(const Linear& op, Run& at) {
  TTSRT_CHECK(InternalError, op.x != op.out, op.weight.name,
              ": a product can't overwrite its input");
  TTSRT_CHECK(InternalError, op.addend != op.out || op.addend == kNoBuffer, op.weight.name,
              ": an addend can't be what is written");
  const float* addend = op.addend == kNoBuffer ? nullptr : at.rows(op.addend, op.weight.rows);
  const Product product{op.weight, vector_values(op.bias, op.weight.rows), op.activate,
                        op.accumulate, addend};
  multiply(product, at.rows(op.x, op.weight.cols), at.batch.rows, at.rows(op.out, op.weight.rows));
}

void run(const Gate& op, Run& at) {
  const std::int64_t width = at.width_of(op.out);
  const float* x = at.rows(op.x, 2 * width);
  float* out = at.rows(op.out, width);
  for (std::int64_t r = 0; r < at.batch.rows; ++r) {
    for (std::int64_t d = 0; d < width; ++d) {
      const double gate = activated(op.activate, x[r * 2 * width + d]);
      out[r * width + d] = static_cast<float>(gate * x[(r * 2 + 1) * width + d]);
    }
  }
}

void run(const Unfold& op, Run& at) {
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  float* out = at.rows(op.out, op.kernel * width);
  TTSRT_CHECK(InternalError, op.x != op.out, "unfold: can't overwrite its input");
  for (const step::Segment& segment : at.batch.segments) {
    Neighbours neighbours{x + segment.first_row * width, segment.rows, width, nullptr,
                          op.kernel - 1};
    float* target = out + segment.first_row * op.kernel * width;
    if (op.history < 0) {
      unfold_segment(op, neighbours, target);
      continue;
    }
    std::vector<float>& history = history_of(op, width, segment, at.state);
    if (segment.position == 0)
      history.assign(history.size(), 0.0F);  // a sequence that starts again has no history
    const std::vector<float> seen = history;
    neighbours.history = seen.data();
    unfold_segment(op, neighbours, target);
    for (std::int64_t i = 0; i < op.kernel - 1;
         ++i) {  // the last kernel - 1 rows, of this segment or from before it
      neighbours.copy(segment.rows - (op.kernel - 1) + i, history.data() + i * width);
    }
  }
}

}  // namespace ttsrt::ops::reference
