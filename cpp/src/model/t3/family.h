// T3 (Chatterbox): a causal decoder over a voice prefix, text tokens and speech tokens. Guidance
// runs a second branch whose text rows are zeros but keep their learned positions.
#pragma once

#include <memory>
#include <vector>

#include "decode/rule_facts.h"
#include "model/family.h"
#include "model/t3/config.h"
#include "model/t3/itinerary.h"

namespace ttsrt::model::t3 {

class T3Family final : public Family {
 public:
  T3Family(const JsonReader& model, const JsonReader& defaults);

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

  Component component() const override;

  const Config& config() const { return config_; }

 private:
  void declare_conditioning(Manifest& manifest) const;
  void read_blocks(const JsonReader& defaults);
  Limits sound_limits(const Limits& limits) const;

  Config config_;
  Defaults defaults_;
};

}  // namespace ttsrt::model::t3
