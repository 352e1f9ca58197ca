// MaskGit picking of codes: passes that sample all codes at once and fix the most confident ones
// (rules/maskgit.h).
#include "rules/maskgit.h"

#include <algorithm>

#include "ops/reference/local_transformer.h"
#include "ops/reference/run.h"

namespace ttsrt::ops::reference {
namespace {

// The state that is kept from pass to pass; each array is [codebooks].
struct Guesses {
  std::vector<std::int32_t> fed;      // input of the network: fixed codes, else the mask
  std::vector<std::int32_t> guessed;  // the latest sampled code of every place
  std::vector<float> confidences;
  std::vector<std::uint8_t> is_fixed;
};

void fix_confident(const Pick& pick, std::int32_t pass, Guesses& guesses) {
  const std::int32_t count = pick.op.codebooks;
  for (std::int32_t i = rules::maskgit_eligible(pick.rules, pass); i < count; ++i) {
    guesses.confidences[static_cast<std::size_t>(i)] = rules::kIneligibleConfidence;
  }
  rules::maskgit_choose(guesses.confidences.data(), count, pick.rules.maskgit.num_unmasked[pass],
                        guesses.is_fixed.data());
  for (std::size_t i = 0; i < guesses.fed.size(); ++i) {
    if (guesses.is_fixed[i] != 0) guesses.fed[i] = guesses.guessed[i];
  }
}

void compute_logits(const Pick& pick, const Guesses& guesses) {
  for (std::size_t b = 0; b < pick.hidden.size(); ++b) {
    std::vector<float> rows;
    pick.network.append_hidden(pick.hidden[b], rows);
    for (std::int32_t i = 0; i < pick.op.codebooks; ++i) {
      pick.network.append_code(i, guesses.fed[static_cast<std::size_t>(i)], rows);
    }
    const std::vector<float> y = pick.network.forward(std::move(rows));
    for (std::int32_t i = 0; i < pick.op.codebooks; ++i) {
      pick.network.head(i, y, i + 1, pick.logits[b] + std::int64_t{i} * pick.op.vocab);
    }
  }
}

void guess(const Pick& pick, std::int32_t pass, std::int32_t place, Guesses& guesses) {
  const auto i = static_cast<std::size_t>(place);
  if (guesses.is_fixed[i] != 0) {
    guesses.confidences[i] = rules::kFixedConfidence;
    return;
  }
  std::vector<float> mix = pick.masked(place, rules::maskgit_scale(pick.rules, pass));
  const float number =
      rules::uniform(pick.rules.sampler.seed, pick.state.step, place, pass, rules::DrawKind::code);
  const rules::DrawOutcome outcome = draw_guess(pick.rules.sampler, mix, pick.seen[i], number);
  pick.run.add_fault_of(outcome, pick.row);
  guesses.guessed[i] = pick.draw.code(place, outcome.code);
  guesses.confidences[i] = rules::maskgit_confidence(pick.rules, pick.state, pass, place, outcome);
}

}  // namespace

void pick_maskgit(const Pick& pick, std::int32_t* codes) {
  const auto count = static_cast<std::size_t>(pick.op.codebooks);
  Guesses guesses{std::vector<std::int32_t>(count, pick.op.mask_id),
                  std::vector<std::int32_t>(count, pick.op.mask_id),
                  std::vector<float>(count, 0.0F), std::vector<std::uint8_t>(count, 0)};
  for (std::int32_t pass = 0; pass < pick.rules.maskgit.steps; ++pass) {
    fix_confident(pick, pass, guesses);
    compute_logits(pick, guesses);
    for (std::int32_t i = 0; i < pick.op.codebooks; ++i) guess(pick, pass, i, guesses);
  }
  std::copy(guesses.guessed.begin(), guesses.guessed.end(), codes);
}

}  // namespace ttsrt::ops::reference
