// Magpie (T5TTS and its successors): an encoder of the text, a decoder that cross-attends to it and
// picks a stack of codec codes per step, and a context in front of them or in a memory of its own;
// and, where the engine was built with one, the codec that makes sound of the codes.
#pragma once

#include <memory>
#include <vector>

#include "model/family.h"
#include "model/magpie/config.h"
#include "model/magpie/defaults.h"

namespace ttsrt::model::magpie {

class MagpieFamily final : public Family {
 public:
  MagpieFamily(const JsonReader& model, const JsonReader& defaults)
      : config_(read_config(model)), defaults_(read_defaults(defaults)) {}

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
  const Defaults& defaults() const { return defaults_; }

 private:
  double frame_rate() const;  // of the codec where there is one

  Config config_;
  Defaults defaults_;
};

}  // namespace ttsrt::model::magpie
