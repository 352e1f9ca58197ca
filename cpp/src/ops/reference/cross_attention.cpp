// CrossAttention on a slot's memory, with the prior and the alignment scores; StoreMemory fills
// that memory.
#include <algorithm>
#include <bit>

#include "core/check.h"
#include "ops/reference/attention.h"
#include "ops/reference/run.h"
#include "rules/prior.h"

namespace ttsrt::ops::reference {
namespace {

bool names_layer(std::uint64_t layers, std::int32_t layer) {
  return layer < 64 && ((layers >> layer) & 1U) != 0;
}

Seen memory_rows(const CrossAttention& op, Slot& slot, State& state) {
  const std::int32_t length =
      op.memory == Memory::text ? slot.rules.text_len : slot.rules.context_len;
  Seen seen;
  for (std::int32_t j = 0; j < length; ++j) {
    seen.keys.push_back(state.memory_row(slot, op.memory, op.layer, j, 0));
    seen.values.push_back(state.memory_row(slot, op.memory, op.layer, j, 1));
  }
  return seen;
}

// Returns the prior's weights over the text for a segment's rows; empty if no prior acts.
std::vector<double> prior_weights(const CrossAttention& op, const step::Segment& segment,
                                  const Slot& slot) {
  const rules::PriorRules& prior = slot.rules.prior;
  const bool acts = op.memory == Memory::text && segment.apply_prior &&
                    prior.mode != rules::PriorMode::off && slot.state.has_prior &&
                    names_layer(prior.apply_layers, op.layer);
  std::vector<double> weights;
  for (std::int32_t j = 0; acts && j < slot.rules.text_len; ++j) {
    const float weight =
        rules::prior_weight(prior, slot.state, slot.counts.data(), slot.rules.text_len, j);
    weights.push_back(static_cast<double>(weight) + rules::kTinyWeight);
  }
  return weights;
}

void weigh(const std::vector<double>& weights, std::vector<double>& probabilities) {
  double sum = 0.0;
  for (std::size_t j = 0; j < probabilities.size(); ++j) {
    probabilities[j] *= weights[j];
    sum += probabilities[j];
  }
  for (double& probability : probabilities) probability /= sum;
}

// Returns the row of `scores` to which this row adds, or null. Only conditional rows of draws add
// to scores, in layers that estimate the focus.
float* scores_of(const CrossAttention& op, const step::Segment& segment, std::int32_t row,
                 Run& at) {
  if (op.scores == kNoBuffer || op.memory != Memory::text) return nullptr;
  if (!names_layer(at.state.slot(segment.slot).rules.prior.estimate_layers, op.layer))
    return nullptr;
  const std::int64_t width = at.state.spec().max_text_len;
  float* scores = at.draws(op.scores, width);
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    if (at.batch.draws[d].conditional_row == row)
      return scores + static_cast<std::int64_t>(d) * width;
  }
  return nullptr;
}

struct RowOut {
  float* out = nullptr;      // [heads * head_dim]
  float* scores = nullptr;   // [max_text_len] or none
  double score_share = 0.0;  // factor of one head's probabilities
};

void cross_attend(const HeadShape& shape, const float* q, const Seen& seen,
                  const std::vector<double>& weights, const RowOut& row) {
  const std::size_t length = seen.keys.size();
  std::vector<double> found(length, 0.0);
  for (std::int32_t head = 0; head < shape.heads; ++head) {
    auto probabilities =
        attention_probabilities(shape, head, q, seen, static_cast<std::int64_t>(length));
    if (!weights.empty()) weigh(weights, probabilities);
    mix_values(shape, head, probabilities, seen, row.out);
    for (std::size_t j = 0; j < length; ++j) found[j] += probabilities[j] * row.score_share;
  }
  if (row.scores == nullptr) return;
  for (std::size_t j = 0; j < length; ++j)
    row.scores[j] = static_cast<float>(row.scores[j] + found[j]);
}

}  // namespace

void run(const CrossAttention& op, Run& at) {
  const HeadShape shape{op.heads, op.head_dim};
  const StateSpec& spec = at.state.spec();
  TTSRT_CHECK(InternalError, spec.memory_heads == op.heads && spec.memory_head_dim == op.head_dim,
              "cross-attention: expected ", spec.memory_heads, " heads of ", spec.memory_head_dim,
              " as the memory has, got ", op.heads, " of ", op.head_dim);
  const std::int64_t width = std::int64_t{op.heads} * op.head_dim;
  const float* q = at.rows(op.q, width);
  float* out = at.rows(op.out, width);
  for (const step::Segment& segment : at.batch.segments) {
    if (segment.branch == step::Branch::unconditional) {
      std::fill_n(out + segment.first_row * width, segment.rows * width, 0.0F);
      continue;
    }
    Slot& slot = at.state.slot(segment.slot);
    const Seen seen = memory_rows(op, slot, at.state);  // an empty memory gives zeros
    const std::vector<double> weights = prior_weights(op, segment, slot);
    for (std::int32_t row = segment.first_row; row < segment.first_row + segment.rows; ++row) {
      RowOut target{out + row * width, scores_of(op, segment, row, at), 0.0};
      const int layers = std::popcount(slot.rules.prior.estimate_layers);
      if (target.scores != nullptr)
        target.score_share = 1.0 / (static_cast<double>(op.heads) * layers);
      cross_attend(shape, q + row * width, seen, weights, target);
    }
  }
}

void run(const StoreMemory& op, Run& at) {
  const StateSpec& spec = at.state.spec();
  const std::int64_t width = std::int64_t{spec.memory_heads} * spec.memory_head_dim;
  const float* kv = at.rows(op.kv, 2 * width);
  for (const step::Segment& segment : at.batch.segments) {
    if (segment.slot == step::kNoSlot) continue;
    Slot& slot = at.state.slot(segment.slot);
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const float* row = kv + (segment.first_row + i) * 2 * width;
      for (std::int32_t part = 0; part < 2; ++part) {
        float* kept = at.state.memory_row(slot, op.memory, op.layer, segment.position + i, part);
        at.state.keep(row + part * width, spec.memory_heads, spec.memory_head_dim, kept);
        at.check_finite(segment.first_row + i, kept, width);
      }
    }
  }
}

}  // namespace ttsrt::ops::reference
