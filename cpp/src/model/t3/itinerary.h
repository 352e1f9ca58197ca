// From a request to what it runs: prefill of the voice prefix, which all requests of a voice share,
// prefill of the text and all but the last start row, decode.
//
// Under guidance the unconditional branch has the same voice, zeros for the text and the text's
// learned positions. Its rows depend on the voice, the emotion and the length of the text alone, so
// they are a shared prefix too: of a few lengths per voice, of which a request forks as much as its
// own text needs. Only the emotion and the text are computed for each request.
//
// Where steps decide blocks, the unconditional branch has zeros for the voice too and no positions,
// and both branches run their start row before the first block.
//
// Our cfg_scale is 1 + the original's cfg_weight: c + weight (c - u) = u + cfg_scale (c - u).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "decode/rule_facts.h"
#include "model/itineraries.h"
#include "model/limits.h"
#include "model/s3gen/itinerary.h"
#include "model/t3/condition.h"
#include "model/t3/config.h"
#include "model/t3/prompt.h"
#include "model/weights.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model::t3 {

// Defaults of a checkpoint beyond those that rules have.
struct Defaults {
  decode::RuleFacts rules;
  float emotion = 0.5F;
  bool analyzes = false;       // the alignment of requests that don't say whether to
  s3gen::Defaults sound = {};  // of what makes sound of the tokens
};

class Itineraries final : public model::Itineraries {
 public:
  // Without weights, it only checks. `sound`: what makes sound of the tokens, or null.
  Itineraries(const Config& config, const Defaults& defaults, const Limits& limits,
              const Weights* weights, std::unique_ptr<const s3gen::Itineraries> sound = nullptr)
      : config_(config),
        defaults_(defaults),
        limits_(limits),
        weights_(weights),
        sound_(std::move(sound)) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  // Where the model has an emotion row, it is the last of the rows.
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;
  Voice voice_of_speaker(Speaker&& speaker) const override;

 private:
  Voice voice_of_rows(InputRows&& rows) const;
  const Conditioner& conditioner() const;
  Voice voice_of(Request& request, const VoiceFinder& voices) const;
  void feel(float emotion, Voice& voice) const;
  void use_blocks(const Request& request, rules::SlotRules& slot) const;
  void speak(Request&& request, Voice&& voice, std::int32_t most, decode::CompiledRules& rules,
             step::Itinerary& itinerary) const;
  void speak_chunks(Request&& request, const Voice& voice, std::int32_t most,
                    decode::CompiledRules& rules, step::Itinerary& itinerary) const;
  std::optional<s3gen::SoundRequest> sound_of(Request& request, const VoiceFinder& voices) const;
  rules::SlotRules rules_of(const Request& request, const Prompt& prompt,
                            const rules::SlotRules& compiled) const;

  const Config config_;
  const Defaults defaults_;
  const Limits limits_;
  const Weights* const weights_;
  const std::unique_ptr<const s3gen::Itineraries> sound_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<const Conditioner> conditioner_;  // made once it is needed
};

}  // namespace ttsrt::model::t3
