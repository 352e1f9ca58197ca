// Flow matching from a text and a prompt to a spectrogram, and with a vocoder to sound: F5-TTS and
// IndicF5.
#pragma once

#include <memory>
#include <vector>

#include "model/f5/config.h"
#include "model/family.h"

namespace ttsrt::model::f5 {

class F5Family final : public Family {
 public:
  F5Family(const JsonReader& model, const JsonReader& defaults);

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

 private:
  Config config_;
  Defaults defaults_;
};

}  // namespace ttsrt::model::f5
