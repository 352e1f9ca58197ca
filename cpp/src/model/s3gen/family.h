// Sound of speech tokens: a spectrogram of them by flow matching (Chatterbox's S3Gen).
#pragma once

#include <memory>
#include <vector>

#include "model/family.h"
#include "model/s3gen/config.h"

namespace ttsrt::model::s3gen {

class S3GenFamily final : public Family {
 public:
  S3GenFamily(const JsonReader& model, const JsonReader& defaults);

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

}  // namespace ttsrt::model::s3gen
