// From a request to what it runs: prefill of the prompt but its last token, decode from that token.
#pragma once

#include "decode/rule_facts.h"
#include "model/itineraries.h"
#include "model/limits.h"
#include "model/llm/config.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model::llm {

constexpr std::int32_t kScoreProgram = 2;  // behind those of model/causal_decoder.h

class Itineraries final : public model::Itineraries {
 public:
  Itineraries(const Config& config, const decode::RuleFacts& rules, const Limits& limits)
      : config_(config), rules_(rules), limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;

 private:
  step::Itinerary scores(Request&& request) const;

  const Config config_;
  const decode::RuleFacts rules_;
  const Limits limits_;
};

}  // namespace ttsrt::model::llm
