#include "decode/prior_mirror.h"

#include "rules/prior.h"

namespace ttsrt::decode {

PriorMirror::PriorMirror(const rules::SlotRules& rules)
    : rules_(rules),
      state_(rules::start_state(rules)),
      counts_(static_cast<std::size_t>(rules.text_len), 0) {}

std::vector<float> PriorMirror::weights() const {
  std::vector<float> row(counts_.size());
  for (std::size_t j = 0; j < row.size(); ++j) {
    row[j] = rules::prior_weight(rules_.prior, state_, counts_.data(), rules_.text_len,
                                 static_cast<std::int32_t>(j));
  }
  return row;
}

void PriorMirror::update(const float* scores) {
  rules::update_prior(rules_, state_, counts_.data(), scores);
  ++state_.step;
}

}  // namespace ttsrt::decode
