// Autoregressive PickCodes: one code after another, for all draws together, as an unrolled list of
// stages with one round per code.
#include <cstring>

#include "core/check.h"
#include "cpu/stages/draw.h"
#include "cpu/stages/pick_stages.h"
#include "rules/philox.h"

namespace ttsrt::cpu {
namespace {

class PickStartStage : public Stage {
 public:
  PickStartStage(const Site& site, const PickFeeder& feeder) : site_(site), feeder_(feeder) {}

  std::string label() const override { return "local: first input"; }
  bool is_needed() const override { return site_.launch->pick_rows > 0; }

  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->pick_rows, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      feeder_.feed_hidden(static_cast<std::int32_t>(row), row);
  }

 private:
  Site site_;
  PickFeeder feeder_;
};

// Draws code `place` of every draw and feeds it to both branches.
class PickDrawStage : public Stage {
 public:
  PickDrawStage(const Site& site, const ops::PickCodes& op, const PickFeeder& feeder,
                const PickBuffers& buffers, std::int32_t place)
      : site_(site),
        feeder_(feeder),
        buffers_(buffers),
        place_(place),
        vocab_(op.vocab),
        codebooks_(op.codebooks) {}

  std::string label() const override { return "local: draw and embed"; }
  bool is_needed() const override { return site_.launch->pick_rows > 0; }
  std::size_t scratch_bytes() const override { return DrawScratch::bytes(vocab_); }

  void run(const Worker& worker) override {
    const Range picks = share_of(site_.launch->picks, worker);
    const DrawScratch scratch = DrawScratch::at(worker.scratch, vocab_);
    for (std::int64_t pick = picks.begin; pick < picks.end; ++pick)
      draw(static_cast<std::size_t>(pick), scratch);
  }

 private:
  void draw(std::size_t pick, const DrawScratch& scratch) const {
    const Launch& launch = *site_.launch;
    const auto index = static_cast<std::size_t>(launch.pick_draw[pick]);
    const step::Draw& at = launch.batch->draws[index];
    const std::int32_t first = launch.pick_first[pick];
    const std::int32_t last = first + (at.unconditional_row >= 0 ? 1 : 0);
    const auto& rules = site_.slots->rules[static_cast<std::size_t>(at.slot)];
    const auto& state = site_.slots->states[static_cast<std::size_t>(at.slot)];
    const float* unconditional = last > first ? buffers_.logits.row(last) : nullptr;
    if (!guide_logits(*site_.kernels, rules.guidance, buffers_.logits.row(first), unconditional,
                      rules.cfg_scale, vocab_, scratch))
      site_.add_fault(at.conditional_row);
    rules::mask_logits(rules, state, scratch.logits, vocab_);
    const float number =
        rules::uniform(rules.sampler.seed, state.step, place_, 0, rules::DrawKind::code);
    const rules::DrawOutcome drawn = draw_code(*site_.kernels, rules.sampler, vocab_,
                                               site_.slots->seen(at.slot, place_), number, scratch);
    add_fault_of(site_, drawn, at.conditional_row);
    const std::int32_t code = at.code(place_, drawn.code);
    site_.slots->outcome
        .sampled[index * static_cast<std::size_t>(codebooks_) + static_cast<std::size_t>(place_)] =
        code;
    for (std::int32_t row = first; row <= last; ++row) {
      if (place_ + 1 < codebooks_) feeder_.feed_code(place_, code, row);
      if (buffers_.kept.data != nullptr) keep(row);
    }
  }

  void keep(std::int32_t row) const {
    float* kept = buffers_.kept.row(site_.launch->pick_source[static_cast<std::size_t>(row)]);
    std::memcpy(kept + std::int64_t{place_} * vocab_, buffers_.logits.row(row),
                static_cast<std::size_t>(vocab_) * sizeof(float));
  }

  Site site_;
  PickFeeder feeder_;
  PickBuffers buffers_;
  std::int32_t place_;
  std::int32_t vocab_;
  std::int32_t codebooks_;
};

// The sum of the in-projection's bias and each place's learned vector: [codebooks, width].
const float* projected_positions(StageList& list, const ops::PickCodes& op, std::int64_t width) {
  const float* bias = vector_of(op.in_proj_bias, width);
  const Rows sums = list.allocate(op.codebooks, width);
  for (std::int32_t place = 0; list.has_weights && place < op.codebooks; ++place) {
    const auto* learned =
        reinterpret_cast<const float*>(op.positions.data) + std::int64_t{place} * width;
    for (std::int64_t i = 0; i < width; ++i)
      sums.row(place)[i] = learned[i] + (bias != nullptr ? bias[i] : 0.0F);
  }
  return sums.data;
}

}  // namespace

void add_pick_autoregressive(StageList& list, const ops::PickCodes& op, const Rows& hidden,
                             const Rows& kept) {
  const std::int32_t max_groups = 2 * list.limits.max_draws;
  const std::int32_t* rows = &list.site.launch->pick_rows;
  PickNetwork network(list, op, max_groups, 1, rows);
  const PickBuffers buffers = make_pick_buffers(list, op, network, kept, max_groups);
  const PickFeeder feeder(list.site, op, hidden, buffers);
  const std::int64_t width = buffers.x.width;
  const float* biases =
      PickFeeder::has_projection(op) ? projected_positions(list, op, width) : nullptr;
  list.stages.push_back(std::make_unique<PickStartStage>(list.site, feeder));
  for (std::int32_t place = 0; place < op.codebooks; ++place) {
    if (biases != nullptr) {
      LinearSpec projection;
      projection.owner = "local: ";
      projection.rows = rows;
      projection.max_rows = max_groups;
      projection.x = buffers.embedded;
      projection.out = buffers.x;
      projection.weight = &op.in_proj;
      projection.bias = biases + std::int64_t{place} * width;
      list.add_product(projection, list.stages);
    }
    network.lower(list, place, list.stages);
    LinearSpec head = head_plan(op, place);
    head.rows = rows;
    head.max_rows = max_groups;
    head.x = buffers.output;
    head.out = buffers.logits;
    list.add_product(head, list.stages);
    list.stages.push_back(std::make_unique<PickDrawStage>(list.site, op, feeder, buffers, place));
  }
}

}  // namespace ttsrt::cpu
