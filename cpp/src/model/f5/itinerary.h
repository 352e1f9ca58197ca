// From a request to what it runs: noise, prompt, schedule, text, as many evaluations as there are,
// and what becomes of the state.
#pragma once

#include <cstdint>

#include "model/f5/config.h"
#include "model/f5/schedule.h"
#include "model/itineraries.h"
#include "model/limits.h"

namespace ttsrt::model::f5 {

class Itineraries final : public model::Itineraries {
 public:
  Itineraries(const Config& config, const Defaults& defaults, const Limits& limits)
      : config_(config), defaults_(defaults), limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;
  Matrix<float> rows_of_voice(const Voice& voice) const override;

 private:
  // The prompt and its place in the utterance.
  struct Prompt {
    step::RowSource rows;  // [rows, mel_bins], of which `lens` take part; rows 0: none
    std::int32_t lens = 0;
  };

  step::Itinerary of_mel(Request&& request) const;
  Prompt prompt_of(Request& request, const Flow& flow, const VoiceFinder& voices) const;
  std::int32_t frames_of(const Request& request, const Flow& flow, std::int32_t lens) const;
  ScheduleOptions schedule_of(const Flow& flow) const;
  step::Stop noise_stop(Request& request, std::int32_t frames) const;
  step::Stop prompt_stop(const Request& request, const Flow& flow, const Prompt& prompt,
                         std::int32_t frames) const;
  void add_outputs(const Request& request, std::int32_t frames, std::int32_t lens,
                   step::Itinerary& itinerary) const;

  const Config config_;
  const Defaults defaults_;
  const Limits limits_;
};

}  // namespace ttsrt::model::f5
