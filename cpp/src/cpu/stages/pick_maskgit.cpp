// MaskGit PickCodes (rules/maskgit.h): passes over all codes of all draws at once, as a loop of
// stages.
#include <cstring>
#include <memory>

#include "core/check.h"
#include "cpu/stages/draw.h"
#include "cpu/stages/pick_stages.h"
#include "rules/maskgit.h"

namespace ttsrt::cpu {
namespace {

// The state that is kept from pass to pass; each array is [picks, codebooks].
struct Guesses {
  explicit Guesses(std::size_t count)
      : fed(count), guessed(count), confidences(count), is_fixed(count) {}
  std::vector<std::int32_t> fed;  // input of the network: fixed codes, else the mask
  std::vector<std::int32_t> guessed;
  std::vector<float> confidences;
  std::vector<std::uint8_t> is_fixed;
};

class MaskGitStage : public Stage {
 public:
  MaskGitStage(const Site& site, const ops::PickCodes& op, const PickFeeder& feeder,
               const PickBuffers& buffers, std::shared_ptr<Guesses> guesses)
      : site_(site), op_(op), feeder_(feeder), buffers_(buffers), guesses_(std::move(guesses)) {}

 protected:
  const step::Draw& draw_of(std::int64_t pick) const {
    const auto index =
        static_cast<std::size_t>(site_.launch->pick_draw[static_cast<std::size_t>(pick)]);
    return site_.launch->batch->draws[index];
  }
  const rules::SlotRules& rules_of(std::int64_t pick) const {
    return site_.slots->rules[static_cast<std::size_t>(draw_of(pick).slot)];
  }
  std::size_t begin_of(std::int64_t pick) const {
    return static_cast<std::size_t>(pick * op_.codebooks);
  }

  Site site_;
  ops::PickCodes op_;
  PickFeeder feeder_;
  PickBuffers buffers_;
  std::shared_ptr<Guesses> guesses_;
};

// Fixes the most confident codes of each draw and writes the inputs of its groups. It does nothing
// for a draw that has no more passes.
class FixStage : public MaskGitStage {
 public:
  using MaskGitStage::MaskGitStage;

  std::string label() const override { return "local: fix codes"; }
  void run(const Worker& worker) override {
    const Range picks = share_of(site_.launch->picks, worker);
    for (std::int64_t pick = picks.begin; pick < picks.end; ++pick) {
      if (worker.pass >= rules_of(pick).maskgit.steps) continue;
      fix(pick, worker.pass);
      const std::int32_t first = site_.launch->pick_first[static_cast<std::size_t>(pick)];
      feed(pick, first);
      if (draw_of(pick).unconditional_row >= 0) feed(pick, first + 1);
    }
  }

 private:
  void fix(std::int64_t pick, std::int32_t pass) const {
    const std::size_t begin = begin_of(pick);
    const auto count = static_cast<std::size_t>(op_.codebooks);
    float* confidences = guesses_->confidences.data() + begin;
    if (pass == 0) {
      std::fill_n(guesses_->fed.begin() + static_cast<std::ptrdiff_t>(begin), count, op_.mask_id);
      std::fill_n(guesses_->guessed.begin() + static_cast<std::ptrdiff_t>(begin), count,
                  op_.mask_id);
      std::fill_n(confidences, count, 0.0F);
    }
    const rules::SlotRules& rules = rules_of(pick);
    for (std::int32_t i = rules::maskgit_eligible(rules, pass); i < op_.codebooks; ++i) {
      confidences[i] = rules::kIneligibleConfidence;
    }
    rules::maskgit_choose(confidences, op_.codebooks, rules.maskgit.num_unmasked[pass],
                          guesses_->is_fixed.data() + begin);
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (guesses_->is_fixed[i] != 0) guesses_->fed[i] = guesses_->guessed[i];
    }
  }

  void feed(std::int64_t pick, std::int32_t group) const {
    const std::int64_t row = std::int64_t{group} * (op_.codebooks + 1);
    feeder_.feed_hidden(group, row);
    for (std::int32_t i = 0; i < op_.codebooks; ++i) {
      feeder_.feed_code(i, guesses_->fed[begin_of(pick) + static_cast<std::size_t>(i)],
                        row + 1 + i);
    }
  }
};

// Adds the learned vectors after the in-projection.
class AddPositionsStage : public MaskGitStage {
 public:
  using MaskGitStage::MaskGitStage;

  std::string label() const override { return "local: positions"; }
  void run(const Worker& worker) override {
    const std::int64_t places = op_.codebooks + 1;
    const Range rows = share_of(site_.launch->pick_rows * places, worker);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      feeder_.add_position(static_cast<std::int32_t>(row % places), buffers_.x.row(row));
    }
  }
};

// Samples the codes of places that are not fixed. A unit is a place of a draw.
class GuessStage : public MaskGitStage {
 public:
  using MaskGitStage::MaskGitStage;

  std::string label() const override { return "local: guess codes"; }
  std::size_t scratch_bytes() const override { return DrawScratch::bytes(op_.vocab); }

  void run(const Worker& worker) override {
    const Range units = share_of(std::int64_t{site_.launch->picks} * op_.codebooks, worker);
    const DrawScratch scratch = DrawScratch::at(worker.scratch, op_.vocab);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
      const std::int64_t pick = unit / op_.codebooks;
      const auto place = static_cast<std::int32_t>(unit % op_.codebooks);
      const std::int32_t steps = rules_of(pick).maskgit.steps;
      if (worker.pass >= steps) continue;
      guess(pick, place, worker.pass, scratch);
      if (worker.pass + 1 == steps) finish(pick, place);
    }
  }

 private:
  float* logits(std::int64_t group, std::int32_t place) const {
    return buffers_.logits.row(group * op_.codebooks + place);
  }

  void guess(std::int64_t pick, std::int32_t place, std::int32_t pass,
             const DrawScratch& scratch) const {
    const std::size_t at = begin_of(pick) + static_cast<std::size_t>(place);
    if (guesses_->is_fixed[at] != 0) {
      guesses_->confidences[at] = rules::kFixedConfidence;
      return;
    }
    const step::Draw& draw = draw_of(pick);
    const rules::SlotRules& rules = rules_of(pick);
    const auto& state = site_.slots->states[static_cast<std::size_t>(draw.slot)];
    const std::int32_t group = site_.launch->pick_first[static_cast<std::size_t>(pick)];
    const float* unconditional = draw.unconditional_row >= 0 ? logits(group + 1, place) : nullptr;
    if (!guide_logits(*site_.kernels, rules.guidance, logits(group, place), unconditional,
                      rules::maskgit_scale(rules, pass), op_.vocab, scratch))
      site_.add_fault(draw.conditional_row);
    rules::mask_logits(rules, state, scratch.logits, op_.vocab);
    const float number =
        rules::uniform(rules.sampler.seed, state.step, place, pass, rules::DrawKind::code);
    const rules::DrawOutcome outcome =
        draw_guess(*site_.kernels, rules.sampler, op_.vocab, site_.slots->seen(draw.slot, place),
                   number, scratch);
    add_fault_of(site_, outcome, draw.conditional_row);
    guesses_->guessed[at] = draw.code(place, outcome.code);
    guesses_->confidences[at] = rules::maskgit_confidence(rules, state, pass, place, outcome);
  }

  // Writes, after a draw's last pass, its code, and its raw logits if they are kept.
  void finish(std::int64_t pick, std::int32_t place) const {
    const auto index =
        static_cast<std::size_t>(site_.launch->pick_draw[static_cast<std::size_t>(pick)]);
    const std::size_t code =
        index * static_cast<std::size_t>(op_.codebooks) + static_cast<std::size_t>(place);
    site_.slots->outcome.sampled[code] =
        guesses_->guessed[begin_of(pick) + static_cast<std::size_t>(place)];
    if (buffers_.kept.data == nullptr) return;
    const std::int32_t first = site_.launch->pick_first[static_cast<std::size_t>(pick)];
    const std::int32_t last = first + (draw_of(pick).unconditional_row >= 0 ? 1 : 0);
    for (std::int32_t group = first; group <= last; ++group) {
      float* kept = buffers_.kept.row(site_.launch->pick_source[static_cast<std::size_t>(group)]);
      std::memcpy(kept + std::int64_t{place} * op_.vocab, logits(group, place),
                  static_cast<std::size_t>(op_.vocab) * sizeof(float));
    }
  }
};

// A loop with as many passes as the draw with the most passes needs.
class PassesStage : public Stage {
 public:
  PassesStage(const Site& site, Stages body) : site_(site), body_(std::move(body)) {}

  std::string label() const override { return "local: passes"; }
  bool is_needed() const override { return site_.launch->pick_rows > 0; }
  void run(const Worker&) override {}
  const Stages* body() const override { return &body_; }
  std::int32_t passes() const override { return site_.launch->pick_passes; }

 private:
  Site site_;
  Stages body_;
};

}  // namespace

void add_pick_maskgit(StageList& list, const ops::PickCodes& op, const Rows& hidden,
                      const Rows& kept) {
  const std::int32_t groups = 2 * list.limits.max_draws;
  const std::int32_t places = op.places();
  PickNetwork network(list, op, groups, places, &list.site.launch->pick_places);
  const PickBuffers buffers = make_pick_buffers(list, op, network, kept, groups * op.codebooks);
  const PickFeeder feeder(list.site, op, hidden, buffers);
  const auto guesses =
      std::make_shared<Guesses>(static_cast<std::size_t>(list.limits.max_draws * op.codebooks));
  Stages body;
  body.push_back(std::make_unique<FixStage>(list.site, op, feeder, buffers, guesses));
  if (PickFeeder::has_projection(op)) {
    LinearSpec projection;
    projection.owner = "local: ";
    projection.rows = &list.site.launch->pick_places;
    projection.max_rows = network.max_rows();
    projection.x = buffers.embedded;
    projection.out = buffers.x;
    projection.weight = &op.in_proj;
    projection.bias = vector_of(op.in_proj_bias, buffers.x.width);
    list.add_product(projection, body);
    body.push_back(std::make_unique<AddPositionsStage>(list.site, op, feeder, buffers, guesses));
  }
  network.lower(list, 0, body);
  const Rows& output = buffers.output;
  for (std::int32_t place = 0; place < op.codebooks;
       ++place) {  // head i reads place i + 1 of every group
    LinearSpec head = head_plan(op, place);
    head.rows = &list.site.launch->pick_rows;
    head.max_rows = groups;
    head.x = {output.row(place + 1), output.stride * places, output.width};
    head.out = {buffers.logits.row(place), buffers.logits.stride * op.codebooks, op.vocab};
    list.add_product(head, body);
  }
  body.push_back(std::make_unique<GuessStage>(list.site, op, feeder, buffers, guesses));
  list.stages.push_back(std::make_unique<PassesStage>(list.site, std::move(body)));
}

}  // namespace ttsrt::cpu
