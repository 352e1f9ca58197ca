// Cross-attention over the keys and values stored in a slot, with its scores and the prior.
#include <bit>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "cpu/stages/attention_stages.h"
#include "rules/prior.h"

namespace ttsrt::cpu {
namespace {

class StoreMemoryStage : public Stage {
 public:
  StoreMemoryStage(const Site& site, const ops::StoreMemory& op, const Rows& kv)
      : site_(site), op_(op), kv_(kv) {}

  std::string label() const override { return "store cross-attention memory"; }
  void run(const Worker& worker) override {
    const BlockLayout& layout = site_.slots->memory_layout();
    const auto store = site_.kernels->attention[static_cast<int>(layout.element)].store;
    const Range rows = share_of(site_.launch->rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const step::Segment& segment = site_.launch->segment(static_cast<std::int32_t>(row));
      if (segment.slot == step::kNoSlot) continue;
      const std::int32_t place =
          segment.position + static_cast<std::int32_t>(row) - segment.first_row;
      TTSRT_CHECK(InternalError, place < site_.slots->memory_rows(op_.memory),
                  "cross-attention memory: row ", place, " of ",
                  site_.slots->memory_rows(op_.memory));
      std::byte* keys = site_.slots->memory(segment.slot, op_.layer, op_.memory) +
                        place / kLanes * layout.block_bytes;
      for (std::int32_t head = 0; head < layout.heads; ++head) {
        const float* key = kv_.row(row) + std::int64_t{head} * layout.head_dim;
        std::byte* at = keys + head * layout.head_bytes;
        if (!store(key, key + kv_.width / 2, at, at + layout.value_offset(), place % kLanes,
                   layout.head_dim))
          site_.add_fault(static_cast<std::int32_t>(row));
      }
    }
  }

 private:
  Site site_;
  ops::StoreMemory op_;
  Rows kv_;
};

bool names_layer(std::uint64_t layers, std::int32_t layer) {
  return layer < 64 && ((layers >> layer) & 1U) != 0;
}

// A unit is a row with all its heads, so that the mean over heads in the scores has a fixed order.
class CrossAttentionStage : public Stage {
 public:
  CrossAttentionStage(const Site& site, const ops::CrossAttention& op, const Rows& q,
                      const Rows& out, const Rows& scores)
      : site_(site), op_(op), q_(q), out_(out), scores_(scores) {}

  std::string label() const override { return "cross-attention"; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(3 * weight_floats(site_.slots->memory_rows(op_.memory))) *
           sizeof(float);
  }

  // Rows are distributed by the number of positions that they attend to.
  void run(const Worker& worker) override {
    const Launch& launch = *site_.launch;
    std::int64_t cost = 0;
    for (std::int32_t row = 0; row < launch.rows; ++row)
      cost += std::max(length_of(launch.segment(row)), 1);
    const Range share = share_of(cost, worker);
    std::int64_t before = 0;
    for (std::int32_t row = 0; row < launch.rows && before < share.end; ++row) {
      const step::Segment& segment = launch.segment(row);
      const std::int32_t length = length_of(segment);
      const std::int64_t at = before;
      before += std::max(length, 1);
      if (at < share.begin) continue;
      if (length == 0) {
        std::memset(out_.row(row), 0, static_cast<std::size_t>(out_.width) * sizeof(float));
      } else {
        attend(segment, rules_of(segment), row, length, reinterpret_cast<float*>(worker.scratch));
      }
    }
  }

 private:
  const rules::SlotRules& rules_of(const step::Segment& segment) const {
    return site_.slots->rules[static_cast<std::size_t>(segment.slot)];
  }

  // Returns the positions that a row attends to; an unconditional row has none.
  std::int32_t length_of(const step::Segment& segment) const {
    if (segment.branch == step::Branch::unconditional) return 0;
    const rules::SlotRules& rules = rules_of(segment);
    return op_.memory == ops::Memory::text ? rules.text_len : rules.context_len;
  }

  void attend(const step::Segment& segment, const rules::SlotRules& rules, std::int32_t row,
              std::int32_t length, float* scratch) const {
    const BlockLayout& layout = site_.slots->memory_layout();
    float* scores = scores_of(rules, row);
    float* mean = scratch + 2 * weight_floats(length);
    if (scores != nullptr) std::memset(mean, 0, static_cast<std::size_t>(length) * sizeof(float));
    AttendArgs args = attend_over(layout, length, scratch);
    args.prior = prior_of(segment, rules, scratch + weight_floats(length));
    const std::byte* first = site_.slots->memory(segment.slot, op_.layer, op_.memory);
    for (std::int32_t head = 0; head < op_.heads; ++head) {
      args.query = q_.row(row) + std::int64_t{head} * op_.head_dim;
      args.out = out_.row(row) + std::int64_t{head} * op_.head_dim;
      args.cache = reinterpret_cast<const unsigned char*>(first + head * layout.head_bytes);
      const float inverse = site_.kernels->attention[static_cast<int>(layout.element)].attend(args);
      if (scores == nullptr) continue;
      for (std::int32_t i = 0; i < length; ++i) mean[i] += args.weights[i] * inverse;
    }
    if (scores == nullptr) return;
    const auto shares = static_cast<float>(op_.heads * std::popcount(rules.prior.estimate_layers));
    for (std::int32_t i = 0; i < length; ++i) scores[i] += mean[i] / shares;
  }

  float* scores_of(const rules::SlotRules& rules, std::int32_t row) const {
    if (scores_.data == nullptr || op_.memory != ops::Memory::text) return nullptr;
    const std::int32_t draw = site_.launch->draw_of[static_cast<std::size_t>(row)];
    return draw < 0 || !names_layer(rules.prior.estimate_layers, op_.layer) ? nullptr
                                                                            : scores_.row(draw);
  }

  // Fills `weights` with logarithms of the prior, if it acts. They are added to the scores before
  // the softmax, which multiplies the probabilities, and no sum of probabilities can become zero.
  const float* prior_of(const step::Segment& segment, const rules::SlotRules& rules,
                        float* weights) const {
    const rules::SlotState& state = site_.slots->states[static_cast<std::size_t>(segment.slot)];
    const bool acts = op_.memory == ops::Memory::text && segment.apply_prior && state.has_prior &&
                      rules.prior.mode != rules::PriorMode::off &&
                      names_layer(rules.prior.apply_layers, op_.layer);
    if (!acts) return nullptr;
    const std::int32_t* counts = site_.slots->counts(segment.slot);
    for (std::int32_t i = 0; i < rules.text_len; ++i) {
      const float weight = rules::prior_weight(rules.prior, state, counts, rules.text_len, i);
      weights[i] = std::log(weight + rules::kTinyWeight);
    }
    return weights;
  }

  Site site_;
  ops::CrossAttention op_;
  Rows q_;
  Rows out_;
  Rows scores_;
};

class ClearScoresStage : public Stage {
 public:
  ClearScoresStage(const Site& site, const Rows& scores) : site_(site), scores_(scores) {}

  std::string label() const override { return "clear scores"; }
  bool is_needed() const override { return site_.launch->reads_scores; }
  void run(const Worker& worker) override {
    const Range draws = share_of(site_.launch->draws, worker);
    std::fill(scores_.row(draws.begin), scores_.row(draws.end), 0.0F);
  }

 private:
  Site site_;
  Rows scores_;
};

}  // namespace

void add_store_memory(const Site& site, const ops::StoreMemory& op, const Rows& kv,
                      Stages& stages) {
  const ops::StateSpec& spec = site.slots->spec();
  TTSRT_CHECK(InternalError,
              op.layer < spec.memory_layers &&
                  kv.width == std::int64_t{2} * spec.memory_heads * spec.memory_head_dim,
              "cross-attention memory: layer ", op.layer, " of ", spec.memory_layers, ", width ",
              kv.width);
  stages.push_back(std::make_unique<StoreMemoryStage>(site, op, kv));
}

void add_cross_attention(const Site& site, const ops::CrossAttention& op, const Rows& q,
                         const Rows& out, const Rows& scores, Stages& stages) {
  const ops::StateSpec& spec = site.slots->spec();
  TTSRT_CHECK(InternalError,
              op.layer < spec.memory_layers && op.heads == spec.memory_heads &&
                  op.head_dim == spec.memory_head_dim &&
                  q.width == std::int64_t{op.heads} * op.head_dim && out.width == q.width,
              "cross-attention: layer ", op.layer, " of ", spec.memory_layers, ", ", op.heads,
              " heads of ", op.head_dim);
  stages.push_back(std::make_unique<CrossAttentionStage>(site, op, q, out, scores));
}

void add_clear_scores(const Site& site, const Rows& scores, Stages& stages) {
  stages.push_back(std::make_unique<ClearScoresStage>(site, scores));
}

}  // namespace ttsrt::cpu
