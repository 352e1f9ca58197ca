// Language models (Llama, Phi): the prompt's rows but the last are prefill, the last one is the
// first decode row, and each step draws one token.
#pragma once

#include <memory>
#include <vector>

#include "decode/rule_facts.h"
#include "model/family.h"
#include "model/llm/config.h"

namespace ttsrt::model::llm {

class LlmFamily final : public Family {
 public:
  LlmFamily(const JsonReader& model, const JsonReader& defaults);

  Manifest manifest() const override;
  LimitBounds limit_bounds(const Manifest& stored) const override;
  void describe(EngineInfo& info) const override;
  StoredVoices read_voices(const Weights& weights) const override;
  step::Facts facts(const Limits& limits) const override;
  std::unique_ptr<model::Itineraries> itineraries(const Limits& limits,
                                                  const Weights* weights) const override;
  ops::StateSpec state(const Limits& limits, const StateOptions& options) const override;
  std::vector<FamilyProgram> programs(const Weights& weights, const Limits& limits,
                                      bool trace) const override;
  std::optional<TextFacts> text_facts() const override;

  const Config& config() const { return config_; }

 private:
  Config config_;
  decode::RuleFacts rules_;
};

}  // namespace ttsrt::model::llm
