// From a request to what it runs: noise, the voice's prompt and speaker, a schedule, the tokens, as
// many evaluations as there are, and what becomes of the state.
#pragma once

#include <cstdint>
#include <vector>

#include "model/itineraries.h"
#include "model/limits.h"
#include "model/s3gen/config.h"

namespace ttsrt::model::s3gen {

class Itineraries final : public model::Itineraries {
 public:
  Itineraries(const Config& config, const Defaults& defaults, const Limits& limits)
      : config_(config), defaults_(defaults), limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;
  Voice voice_of_speaker(Speaker&& speaker) const override;
  Matrix<float> rows_of_voice(const Voice& voice) const override;

 private:
  // The tokens of a request as the encoder takes them, and the frames of which they are a part.
  struct Tokens {
    std::vector<std::int32_t> ids;   // the prompt's first
    std::int32_t prompt_frames = 0;  // that the voice has
    std::int32_t frames = 0;         // of the prompt and of the tokens
  };

  Tokens tokens_of(Request& request, const Voice& voice) const;
  step::Stop noise_stop(Request& request, const Tokens& tokens) const;
  void add_outputs(const Request& request, const Tokens& tokens, step::Itinerary& itinerary) const;
  std::vector<float> source_noise(InputRows&& given, std::uint64_t seed, std::int32_t frames) const;
  step::Itinerary of_mel(Request&& request) const;
  step::Stop schedule_stop(const std::vector<float>& times) const;
  float guidance_of(const Request& request) const;
  std::vector<float> times_of(const Request& request) const;

  const Config config_;
  const Defaults defaults_;
  const Limits limits_;
};

// Of the ids that a speech model drew, those that are sound: with guidance those between the first
// id `vocab`, which begins speech, and the first `vocab` + 1, which ends it; and of these, or of
// all, those below `vocab`.
std::vector<std::int32_t> sound_ids(const std::vector<std::int32_t>& drawn, const Config& config);

}  // namespace ttsrt::model::s3gen
