// The ops of neural codecs, whose buffers have several rows for each row of a launch.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "core/check.h"
#include "core/half.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

// The rows of a segment in a buffer with a rate, and what stands for those around them.
struct Surroundings {
  const float* x;  // the segment's rows
  std::int64_t rows;
  std::int64_t width;
  const std::vector<float>* past = nullptr;  // the rows before it, oldest first
  Padding padding = Padding::zeros;

  // Returns a row by its number in the segment, or null for zeros.
  const float* row(std::int64_t i) const {
    if (past != nullptr && i < 0) {
      const std::int64_t at = static_cast<std::int64_t>(past->size()) + i * width;
      return at < 0 ? nullptr : past->data() + at;
    }
    if (rows == 0) return nullptr;
    if (padding == Padding::reflect) {
      if (i < 0) i = -i;
      if (i >= rows) i = 2 * (rows - 1) - i;
    }
    if (padding != Padding::zeros) i = std::clamp<std::int64_t>(i, 0, rows - 1);
    return i < 0 || i >= rows ? nullptr : x + i * width;
  }
};

// Returns the rows that a slot has kept before a segment, or null where nothing is kept. A sequence
// that starts again has zeros.
std::vector<float>* past_of(std::int32_t past, const step::Segment& segment, Run& at) {
  if (past < 0 || segment.slot == step::kNoSlot) return nullptr;
  std::vector<float>& rows = at.state.slot(segment.slot).past.at(static_cast<std::size_t>(past));
  if (segment.position == 0) std::fill(rows.begin(), rows.end(), 0.0F);
  return &rows;
}

// Keeps the last rows, of the segment or from before it.
void keep(const Surroundings& around, std::vector<float>& past) {
  const std::vector<float> before = past;
  const Surroundings from{around.x, around.rows, around.width, &before};
  const auto count = static_cast<std::int64_t>(past.size()) / around.width;
  for (std::int64_t i = 0; i < count; ++i) {
    const float* row = from.row(around.rows - count + i);
    std::copy(row, row + around.width, past.data() + i * around.width);
  }
}

std::vector<float> values_of(const Weight& weight) {
  const WeightReader reader(weight);
  std::vector<float> values(static_cast<std::size_t>(weight.rows * weight.cols));
  for (std::int64_t row = 0; row < weight.rows; ++row)
    reader.row(row, values.data() + row * weight.cols);
  return values;
}

// The inputs of one output row: [kernel * width], rounded as the weights are.
void gather(const TimeConv& op, const Surroundings& around, std::int64_t t, float* out) {
  for (std::int64_t tap = 0; tap < op.kernel; ++tap) {
    const float* row = around.row(t * op.stride + tap * op.dilation - op.before);
    for (std::int64_t c = 0; c < around.width; ++c) {
      const float value = row == nullptr ? 0.0F : row[c];
      const bool is_narrow = op.weight.dtype == DType::bfloat16;
      out[tap * around.width + c] = is_narrow ? from_bfloat16(to_bfloat16(value)) : value;
    }
  }
}

// The code of one group: [levels.size()] inputs.
float code_of(const QuantizeRows& op, const float* x) {
  double code = 0.0;
  double base = 1.0;
  for (std::size_t i = 0; i < op.levels.size(); ++i) {
    const double levels = op.levels[i];
    const double scale = (levels - 1.0) / 2.0 * (1.0 - 1e-3);
    const double offset = op.levels[i] % 2 == 0 ? 0.5 : 0.0;
    const double value = scale * std::tanh(x[i] + std::tan(offset / scale)) - offset;
    const std::int32_t middle = op.levels[i] / 2;
    code += (std::nearbyint(value) + middle) * base;
    base *= levels;
  }
  return static_cast<float>(code);
}

}  // namespace

void run(const DequantizeCodes& op, Run& at) {
  const std::int64_t width = op.table.cols;
  float* out = at.rows(op.out, op.codebooks * width);
  const WeightReader table(op.table);
  for (const step::Segment& segment : at.batch.segments) {
    for (std::int64_t i = 0; i < std::int64_t{segment.rows} * op.codebooks; ++i) {
      const std::int32_t code = segment.ids[i];
      TTSRT_CHECK(InternalError, code >= 0 && code < op.table.rows, op.table.name, ": code ", code,
                  " of ", op.table.rows);
      table.row(code, out + (std::int64_t{segment.first_row} * op.codebooks + i) * width);
    }
  }
}

void run(const HalfSnake& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const float* x = at.values(op.x);
  float* out = at.values(op.out);
  const std::int64_t snakes = op.alpha.is_present() ? op.alpha.rows * op.alpha.cols : 0;
  const float* alpha = vector_values(op.alpha, snakes);
  for (std::int64_t i = 0; i < at.batch.rows * shape.values(); ++i) {
    const double value = x[i];
    const std::int64_t c = i % shape.width;
    if (c < snakes) {
      const double sine = std::sin(static_cast<double>(alpha[c] * x[i]));
      out[i] = static_cast<float>(value + sine * sine / (alpha[c] + op.epsilon));
    } else {
      out[i] = static_cast<float>(value < 0.0 ? value * op.slope : value);
    }
  }
}

void run(const TimeConv& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const std::int64_t rate = at.activation_of(op.out).rate;
  const std::int64_t beyond = at.activation_of(op.out).beyond;
  const std::int64_t outputs = op.weight.rows;
  const std::vector<float> weight = values_of(op.weight);
  const float* bias = vector_values(op.bias, outputs);
  std::vector<float> inputs(static_cast<std::size_t>(op.weight.cols));
  for (const step::Segment& segment : at.batch.segments) {
    std::vector<float>* past = past_of(op.past, segment, at);
    const Surroundings around{at.values(op.x) + segment.first_row * shape.values(),
                              std::int64_t{segment.rows} * shape.rate - shape.beyond, shape.width,
                              past, op.padding};
    for (std::int64_t t = 0; t < segment.rows * rate - beyond; ++t) {
      gather(op, around, t, inputs.data());
      const std::int64_t row = (segment.first_row * rate + t) * outputs;
      for (std::int64_t n = 0; n < outputs; ++n) {
        double sum = bias == nullptr ? 0.0 : bias[n];
        const float* weights = weight.data() + n * op.weight.cols;
        for (std::size_t k = 0; k < inputs.size(); ++k)
          sum += static_cast<double>(inputs[k]) * weights[k];
        if (op.addend != kNoBuffer) sum += at.values(op.addend)[row + n];
        float& target = at.values(op.out)[row + n];
        const double value = op.scale * sum;
        target = static_cast<float>(op.accumulate ? target + value : activated(op.activate, value));
      }
    }
    if (past != nullptr) keep(around, *past);
  }
}

void run(const Upsample& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const std::int64_t outputs = shape.width / 2;
  const std::vector<float> weight = values_of(op.weight);
  const float* bias = vector_values(op.bias, outputs);
  for (const step::Segment& segment : at.batch.segments) {
    std::vector<float>* past = past_of(op.past, segment, at);
    const std::int64_t rows = std::int64_t{segment.rows} * shape.rate;
    const Surroundings around{at.values(op.x) + segment.first_row * shape.values(), rows,
                              shape.width, past};
    float* out = at.values(op.out) + segment.first_row * shape.values() * op.factor / 2;
    for (std::int64_t t = 0; t < rows * op.factor; ++t) {
      const std::int64_t j = t % op.factor;
      const float* now = around.row(t / op.factor);
      const float* before = around.row(t / op.factor - 1);
      for (std::int64_t n = 0; n < outputs; ++n) {
        double sum = bias[n];
        for (std::int64_t c = 2 * n; c < 2 * n + 2; ++c) {
          const float* weights = weight.data() + c * 2 * op.factor;
          sum += static_cast<double>(now[c]) * weights[j];
          if (before != nullptr) sum += static_cast<double>(before[c]) * weights[j + op.factor];
        }
        out[t * outputs + n] = static_cast<float>(sum);
      }
    }
    if (past != nullptr) keep(around, *past);
  }
}

void run(const Clamp& op, Run& at) {
  float* x = at.values(op.x);
  const std::int64_t count = at.batch.rows * at.activation_of(op.x).values();
  for (std::int64_t i = 0; i < count; ++i) x[i] = std::clamp(x[i], op.least, op.most);
}

void run(const SplitRows& op, Run& at) {
  const float* x = at.values(op.x);
  std::copy(x, x + at.batch.rows * at.activation_of(op.x).values(), at.values(op.out));
}

void run(const ShiftRows& op, Run& at) {
  const Activation& shape = at.activation_of(op.x);
  const float* x = at.values(op.x);
  float* out = at.values(op.out);
  for (const step::Segment& segment : at.batch.segments) {
    const std::int64_t first = segment.first_row * shape.values();
    for (std::int64_t t = 0; t < std::int64_t{segment.rows} * shape.rate; ++t) {
      const float* from = x + first + std::abs(t - op.count) * shape.width;
      std::copy(from, from + shape.width, out + first + t * shape.width);
    }
  }
}

void run(const QuantizeRows& op, Run& at) {
  const auto dims = static_cast<std::int64_t>(op.levels.size());
  const float* x = at.values(op.x);
  float* out = at.values(op.out);
  const std::int64_t codes = at.batch.rows * at.activation_of(op.out).values();
  for (std::int64_t i = 0; i < codes; ++i) out[i] = code_of(op, x + i * dims);
}

}  // namespace ttsrt::ops::reference
