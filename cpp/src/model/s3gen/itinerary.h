// From a request to what it runs: speech tokens with a voice, or a spectrogram, to sound. Alone,
// and as a part of a model that draws the tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/itineraries.h"
#include "model/limits.h"
#include "model/s3gen/config.h"
#include "model/s3gen/sound.h"

namespace ttsrt::model::s3gen {

class Itineraries final : public model::Itineraries {
 public:
  // `first_program`: index of the first of append_programs(), 0 where there are no others.
  // `first_kept`: as SoundSite.
  Itineraries(const Config& config, const Defaults& defaults, const Limits& limits,
              std::int32_t first_program = 0, std::int32_t first_kept = 0)
      : site_(std::make_shared<const SoundSite>(
            SoundSite{config, defaults, limits.max_encoder_input_len, limits.max_seq_len,
                      first_program, first_kept})),
        limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;
  Voice voice_of_speaker(Speaker&& speaker) const override;
  Matrix<float> rows_of_voice(const Voice& voice) const override;

  const SoundSite& site() const { return *site_; }
  // The voice that sound is made with, of one that a request names. Throws ConfigError.
  std::shared_ptr<const Voice> voice_in(std::shared_ptr<const Voice> voice) const;
  // Lets sound follow the codes of an itinerary, whose other stops are there.
  void append(SoundRequest&& sound, step::Itinerary& itinerary) const;

 private:
  std::vector<std::int32_t> codes_of(Request& request, const SoundRequest& sound) const;
  std::shared_ptr<const std::vector<float>> noise_of(Request& request,
                                                     const SoundRequest& sound) const;
  std::vector<float> source_noise(InputRows&& given, std::uint64_t seed, std::int32_t frames) const;
  step::Itinerary of_mel(Request&& request) const;

  const std::shared_ptr<const SoundSite> site_;
  const Limits limits_;
};

}  // namespace ttsrt::model::s3gen
