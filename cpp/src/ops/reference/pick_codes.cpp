// PickCodes: the draws that pick codes, their branches, and autoregressive picks; maskgit.cpp has
// the MaskGit picks.
#include <algorithm>

#include "ops/reference/local_transformer.h"
#include "ops/reference/run.h"
#include "rules/philox.h"
#include "rules/sampling.h"

namespace ttsrt::ops::reference {

std::vector<float> Pick::masked(std::int32_t place, float scale) const {
  const std::int64_t begin = std::int64_t{place} * op.vocab;
  std::vector<float> mix(logits[0] + begin, logits[0] + begin + op.vocab);
  for (std::int32_t v = 0; logits.size() > 1 && v < op.vocab; ++v) {
    float& value = mix[static_cast<std::size_t>(v)];
    value = rules::guide(rules.guidance, value, logits[1][begin + v], scale);
  }
  run.check_finite(row, mix.data(), op.vocab);
  rules::mask_logits(rules, state, mix.data(), op.vocab);
  return mix;
}

void pick_autoregressive(const Pick& pick, std::int32_t* codes) {
  const PickCodes& op = pick.op;
  std::vector<std::vector<float>> rows(pick.hidden.size());  // one per branch
  for (std::size_t b = 0; b < rows.size(); ++b) pick.network.append_hidden(pick.hidden[b], rows[b]);
  for (std::int32_t i = 0; i < op.codebooks; ++i) {
    for (std::size_t b = 0; b < rows.size(); ++b) {
      const std::vector<float> y = pick.network.forward(rows[b]);
      pick.network.head(i, y, i, pick.logits[b] + std::int64_t{i} * op.vocab);
    }
    std::vector<float> mix = pick.masked(i, pick.rules.cfg_scale);
    const float number =
        rules::uniform(pick.rules.sampler.seed, pick.state.step, i, 0, rules::DrawKind::code);
    const rules::DrawOutcome drawn =
        draw(pick.rules.sampler, mix, pick.seen[static_cast<std::size_t>(i)], number);
    pick.run.add_fault_of(drawn, pick.row);
    codes[i] = pick.draw.code(i, drawn.code);
    for (std::vector<float>& branch : rows) pick.network.append_code(i, codes[i], branch);
  }
}

void run(const PickCodes& op, Run& at) {
  const LocalTransformer network(op, at.state);
  const std::int64_t width = std::int64_t{op.codebooks} * op.vocab;
  const float* hidden = at.rows(op.hidden, op.dim);
  float* kept = op.pick_logits == kNoBuffer ? nullptr : at.rows(op.pick_logits, width);
  if (kept != nullptr) std::fill_n(kept, at.batch.rows * width, 0.0F);  // rows without picks
  for (std::size_t d = 0; d < at.batch.draws.size(); ++d) {
    const step::Draw& draw = at.batch.draws[d];
    Slot& slot = at.state.slot(draw.slot);
    if (!slot.rules.use_local_transformer) continue;
    const std::vector<std::int32_t> branches = at.branch_rows(draw);
    std::vector<float> scratch(static_cast<std::size_t>(width) * branches.size());
    Pick pick{op, network, draw, slot.rules, slot.state, {}, {}, {}, at, draw.conditional_row};
    for (std::int32_t i = 0; i < op.codebooks; ++i) pick.seen.push_back(at.state.seen(slot, i));
    for (std::size_t b = 0; b < branches.size(); ++b) {
      pick.hidden.push_back(hidden + std::int64_t{branches[b]} * op.dim);
      pick.logits.push_back(kept != nullptr
                                ? kept + branches[b] * width
                                : scratch.data() + static_cast<std::int64_t>(b) * width);
    }
    std::int32_t* codes =
        at.state.outcome.sampled.data() + d * static_cast<std::size_t>(op.codebooks);
    if (op.maskgit) {
      pick_maskgit(pick, codes);
    } else {
      pick_autoregressive(pick, codes);
    }
  }
}

}  // namespace ttsrt::ops::reference
