#include "model/t3/condition.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/half.h"

namespace ttsrt::model::t3 {
namespace {

using Floats = std::vector<float>;

constexpr std::size_t kLanes = 16;  // partial sums, so that the compiler may use vectors

// Weights of vectors and of conditioning are dense float32.
const float* values_of(const ops::Weight& weight) {
  return reinterpret_cast<const float*>(weight.data);
}

float dot(const float* a, const float* b, std::size_t count) {
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  for (; i < count; ++i) sums[0] += a[i] * b[i];
  return sums[0];
}

// A row of a dense table of any float type.
void copy_row(const ops::Weight& table, std::int64_t row, float* out) {
  const auto count = static_cast<std::size_t>(table.cols);
  const std::byte* from = table.data + static_cast<std::size_t>(row) * count * size_of(table.dtype);
  if (table.dtype == DType::float32) {
    std::memcpy(out, from, count * sizeof(float));
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, from + 2 * i, 2);
    out[i] = table.dtype == DType::bfloat16 ? from_bfloat16(half) : from_float16(half);
  }
}

Floats normalize(const Floats& x, std::size_t dim, const float* weight, const float* bias,
                 float epsilon) {
  Floats out(x.size());
  for (std::size_t first = 0; first < x.size(); first += dim) {
    const float* row = x.data() + first;
    double sum = 0.0;
    for (std::size_t i = 0; i < dim; ++i) sum += row[i];
    const double mean = sum / static_cast<double>(dim);
    double squares = 0.0;
    for (std::size_t i = 0; i < dim; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(dim) + epsilon);
    for (std::size_t i = 0; i < dim; ++i)
      out[first + i] = static_cast<float>((row[i] - mean) * scale) * weight[i] + bias[i];
  }
  return out;
}

// Probabilities of one query over all rows of a memory, in place of its scores.
void softmax(Floats& scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  float sum = 0.0F;
  for (float& score : scores) sum += score = std::exp(score - largest);
  for (float& score : scores) score /= sum;
}

// Attention of q [rows, dim] to kv [memory rows, 2 * dim], keys first.
Floats attend(const Floats& q, const Floats& kv, std::size_t dim, std::size_t heads) {
  const std::size_t width = dim / heads;
  const float scale = 1.0F / std::sqrt(static_cast<float>(width));
  Floats out(q.size(), 0.0F);
  Floats scores(kv.size() / (2 * dim));
  for (std::size_t row = 0; row < q.size() / dim; ++row) {
    for (std::size_t head = 0; head < heads; ++head) {
      const std::size_t at = row * dim + head * width;
      for (std::size_t m = 0; m < scores.size(); ++m)
        scores[m] = scale * dot(&q[at], &kv[m * 2 * dim + head * width], width);
      softmax(scores);
      for (std::size_t m = 0; m < scores.size(); ++m) {
        const float* value = &kv[m * 2 * dim + dim + head * width];
        for (std::size_t i = 0; i < width; ++i) out[at + i] += scores[m] * value[i];
      }
    }
  }
  return out;
}

std::vector<std::string> names_of(const Config& config) {
  std::vector<std::string> names = {"conditioning.speaker", "conditioning.speaker_bias",
                                    "speech_embedding"};
  if (config.conditioning.has_emotion) names.emplace_back("conditioning.emotion");
  if (!config.conditioning.has_perceiver()) return names;
  for (const char* name : {"speech_positions", "conditioning.qkv", "conditioning.qkv_bias",
                           "conditioning.norm", "conditioning.norm_bias", "conditioning.out",
                           "conditioning.out_bias", "conditioning.query"})
    names.emplace_back(name);
  return names;
}

}  // namespace

void multiply(const Floats& x, std::int64_t inputs, const float* weight, const float* bias,
              std::int64_t outputs, Floats& out) {
  const auto k = static_cast<std::size_t>(inputs);
  const auto n = static_cast<std::size_t>(outputs);
  const std::size_t rows = x.size() / k;
  out.resize(rows * n);
  for (std::size_t output = 0; output < n; ++output) {
    for (std::size_t row = 0; row < rows; ++row)
      out[row * n + output] = dot(&x[row * k], weight + output * k, k) + bias[output];
  }
}

Conditioner::Conditioner(const Config& config, const Weights& weights)
    : config_(config), weights_(weights, names_of(config)) {}

Floats Conditioner::speaker_row(const Floats& embedding) const {
  Floats row;
  multiply(embedding, config_.conditioning.speaker_dim,
           values_of(weights_.at("conditioning.speaker")),
           values_of(weights_.at("conditioning.speaker_bias")), config_.decoder.dim, row);
  return row;
}

Floats Conditioner::emotion_row(float emotion) const {
  const float* weight = values_of(weights_.at("conditioning.emotion"));
  Floats row(weight, weight + config_.decoder.dim);
  for (float& value : row) value *= emotion;
  return row;
}

Floats Conditioner::prompt_rows(const std::vector<std::int32_t>& tokens) const {
  const auto dim = static_cast<std::size_t>(config_.decoder.dim);
  const ops::Weight& table = weights_.at("speech_embedding");
  Floats rows(tokens.size() * dim);
  for (std::size_t j = 0; j < tokens.size(); ++j) copy_row(table, tokens[j], &rows[j * dim]);
  if (!config_.conditioning.has_perceiver()) return rows;
  const float* positions = values_of(weights_.at("speech_positions"));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] += positions[i];
  return rows;
}

Floats Conditioner::perceive(const Floats& prompt) const {
  const std::int64_t dim = config_.decoder.dim;
  const auto width = static_cast<std::size_t>(dim);
  const float* qkv = values_of(weights_.at("conditioning.qkv"));
  const float* qkv_bias = values_of(weights_.at("conditioning.qkv_bias"));
  const auto normed = [&](const Floats& x) {
    return normalize(x, width, values_of(weights_.at("conditioning.norm")),
                     values_of(weights_.at("conditioning.norm_bias")),
                     config_.conditioning.norm_epsilon);
  };
  const auto block = [&](const Floats& a, const Floats& b) {
    Floats q;
    Floats kv;
    Floats out;
    multiply(normed(a), dim, qkv, qkv_bias, dim, q);
    multiply(normed(b), dim, qkv + dim * dim, qkv_bias + dim, 2 * dim, kv);
    const Floats attended =
        attend(q, kv, width, static_cast<std::size_t>(config_.conditioning.heads));
    multiply(attended, dim, values_of(weights_.at("conditioning.out")),
             values_of(weights_.at("conditioning.out_bias")), dim, out);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += a[i];
    return out;
  };
  const float* query = values_of(weights_.at("conditioning.query"));
  const Floats queries(query, query + config_.conditioning.queries * dim);
  const Floats first = block(queries, prompt);
  return block(first, first);
}

}  // namespace ttsrt::model::t3
