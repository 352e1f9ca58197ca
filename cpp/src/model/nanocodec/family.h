// NanoCodec, a codec that stands alone: codes in, samples out, as they come; and, where it has an
// encoder, samples in, codes out.
#pragma once

#include <memory>
#include <vector>

#include "model/family.h"
#include "model/nanocodec/config.h"

namespace ttsrt::model::nanocodec {

class CodecFamily final : public Family {
 public:
  CodecFamily(const JsonReader& model, const JsonReader& defaults);

  Manifest manifest() const override;
  LimitBounds limit_bounds(const Manifest& stored) const override;
  void describe(EngineInfo& info) const override;
  StoredVoices read_voices(const Weights& weights) const override;
  step::Facts facts(const Limits& limits) const override;
  std::unique_ptr<Itineraries> itineraries(const Limits& limits,
                                           const Weights* weights) const override;
  ops::StateSpec state(const Limits& limits, const StateOptions& options) const override;
  std::vector<FamilyProgram> programs(const Weights& weights, const Limits& limits,
                                      bool trace) const override;

 private:
  Config config_;
};

}  // namespace ttsrt::model::nanocodec
