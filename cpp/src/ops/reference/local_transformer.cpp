#include "ops/reference/local_transformer.h"

#include <cmath>

#include "core/check.h"
#include "ops/nested.h"
#include "ops/reference/linear.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {

LocalTransformer::LocalTransformer(const PickCodes& op, State& state)
    : op_(op),
      state_(state),
      width_(width_of(op.network, op.network.input)),
      out_width_(width_of(op.network, op.network.output)) {}

void LocalTransformer::append_hidden(const float* hidden, std::vector<float>& rows) const {
  if (!op_.in_proj.is_present()) {
    rows.insert(rows.end(), hidden, hidden + width_);
    return;
  }
  std::vector<float> row(static_cast<std::size_t>(width_));
  multiply({op_.in_proj, vector_values(op_.in_proj_bias, width_)}, hidden, 1, row.data());
  rows.insert(rows.end(), row.begin(), row.end());
}

void LocalTransformer::append_code(std::int32_t place, std::int32_t code,
                                   std::vector<float>& rows) const {
  TTSRT_CHECK(InternalError, code >= 0 && code < op_.vocab, "local transformer: code ", code,
              " of ", op_.vocab);
  std::vector<float> embedding(static_cast<std::size_t>(op_.dim));
  WeightReader(op_.code_tables).row(std::int64_t{place} * op_.vocab + code, embedding.data());
  append_hidden(embedding.data(), rows);
}

std::vector<float> LocalTransformer::forward(std::vector<float> rows) const {
  const auto count = static_cast<std::int32_t>(static_cast<std::int64_t>(rows.size()) / width_);
  const WeightReader positions(op_.positions);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width_; ++d)
      rows[static_cast<std::size_t>(i * width_ + d)] += positions.at(i, d);
  }
  step::Segment segment;
  segment.slot = step::kNoSlot;  // no op of a nested Program stores anything in a slot
  segment.rows = count;
  step::RowBatch batch;
  batch.rows = count;
  batch.segments.push_back(segment);
  const Program& program = *op_.network.program;
  std::vector<std::vector<float>> activations;
  activations.reserve(program.activations.size());
  for (const Activation& activation : program.activations)
    activations.emplace_back(static_cast<std::size_t>(count * activation.width), NAN);
  activations[static_cast<std::size_t>(op_.network.input)] = std::move(rows);
  Run at{program, batch, state_, activations, nullptr, 0};
  run_ops(at, 0, program.ops.size());
  return std::move(activations[static_cast<std::size_t>(op_.network.output)]);
}

void LocalTransformer::head(std::int32_t place, const std::vector<float>& output, std::int64_t row,
                            float* logits) const {
  const float* biases = vector_values(op_.head_biases, std::int64_t{op_.codebooks} * op_.vocab);
  const float* bias = biases == nullptr ? nullptr : biases + std::int64_t{place} * op_.vocab;
  multiply({op_.head_weights[static_cast<std::size_t>(place)], bias},
           output.data() + row * out_width_, 1, logits);
}

}  // namespace ttsrt::ops::reference
