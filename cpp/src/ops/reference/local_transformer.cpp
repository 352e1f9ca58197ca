#include "ops/reference/local_transformer.h"

#include <algorithm>

#include "core/check.h"
#include "ops/reference/attention.h"
#include "ops/reference/linear.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

Norm norm_of(const Weight& weight) {
  Norm norm;
  norm.weight = weight;
  return norm;
}

std::vector<float> zeros(std::int64_t count) {
  return std::vector<float>(static_cast<std::size_t>(count));
}

}  // namespace

LocalTransformer::LocalTransformer(const PickCodes& op) : op_(op) {
  TTSRT_CHECK(InternalError, op.heads > 0 && op.width % op.heads == 0, "local transformer: width ",
              op.width, " in ", op.heads, " heads");
  TTSRT_CHECK(InternalError, op.in_proj.is_present() || op.width == op.dim,
              "local transformer: no in-projection from width ", op.dim, " to ", op.width);
  TTSRT_CHECK(InternalError, static_cast<std::int32_t>(op.head_weights.size()) == op.codebooks,
              "local transformer: expected ", op.codebooks, " heads, got ", op.head_weights.size());
}

void LocalTransformer::append_hidden(const float* hidden, std::vector<float>& rows) const {
  if (!op_.in_proj.is_present()) {
    rows.insert(rows.end(), hidden, hidden + op_.width);
    return;
  }
  std::vector<float> row = zeros(op_.width);
  multiply({op_.in_proj, vector_values(op_.in_proj_bias, op_.width)}, hidden, 1, row.data());
  rows.insert(rows.end(), row.begin(), row.end());
}

void LocalTransformer::append_code(std::int32_t place, std::int32_t code,
                                   std::vector<float>& rows) const {
  TTSRT_CHECK(InternalError, code >= 0 && code < op_.vocab, "local transformer: code ", code,
              " of ", op_.vocab);
  std::vector<float> embedding = zeros(op_.dim);
  WeightReader(op_.audio_tables).row(std::int64_t{place} * op_.vocab + code, embedding.data());
  append_hidden(embedding.data(), rows);
}

void LocalTransformer::add_self_attention(const LocalLayer& layer, std::int64_t count,
                                          bool is_causal, std::vector<float>& x) const {
  const std::int64_t width = op_.width;
  std::vector<float> normed = zeros(count * width);
  std::vector<float> qkv = zeros(count * 3 * width);
  std::vector<float> attended = zeros(count * width);
  normalize(norm_of(layer.self_norm), x.data(), count, normed.data());
  multiply({layer.self_qkv}, normed.data(), count, qkv.data());
  Seen seen;
  for (std::int64_t i = 0; i < count; ++i) {
    seen.keys.push_back(qkv.data() + (i * 3 + 1) * width);
    seen.values.push_back(qkv.data() + (i * 3 + 2) * width);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t visible = is_causal ? i + 1 : count;
    attend({op_.heads, op_.width / op_.heads}, qkv.data() + i * 3 * width, seen, visible,
           attended.data() + i * width);
  }
  multiply({layer.self_out, nullptr, Activate::none, true}, attended.data(), count, x.data());
}

void LocalTransformer::add_feed_forward(const LocalLayer& layer, std::int64_t count,
                                        std::vector<float>& x) const {
  std::vector<float> normed = zeros(count * op_.width);
  std::vector<float> inner = zeros(count * op_.ffn_dim);
  normalize(norm_of(layer.ffn_norm), x.data(), count, normed.data());
  multiply({layer.ffn_in, nullptr, Activate::gelu_tanh}, normed.data(), count, inner.data());
  multiply({layer.ffn_out, nullptr, Activate::none, true}, inner.data(), count, x.data());
}

std::vector<float> LocalTransformer::forward(std::vector<float> rows, bool is_causal) const {
  const auto count = static_cast<std::int64_t>(rows.size()) / op_.width;
  const WeightReader positions(op_.positions);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < op_.width; ++d)
      rows[static_cast<std::size_t>(i * op_.width + d)] += positions.at(i, d);
  }
  for (const LocalLayer& layer : op_.layers) {
    add_self_attention(layer, count, is_causal, rows);
    add_feed_forward(layer, count, rows);
  }
  return rows;
}

void LocalTransformer::head(std::int32_t place, const float* row, float* logits) const {
  const float* biases = vector_values(op_.head_biases, std::int64_t{op_.codebooks} * op_.vocab);
  const float* bias = biases == nullptr ? nullptr : biases + std::int64_t{place} * op_.vocab;
  multiply({op_.head_weights[static_cast<std::size_t>(place)], bias}, row, 1, logits);
}

}  // namespace ttsrt::ops::reference
