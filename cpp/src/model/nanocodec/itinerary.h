// From a request to what it runs: the frames of its codes, or its samples as a whole.
#pragma once

#include <cstdint>
#include <utility>

#include "model/itineraries.h"
#include "model/limits.h"
#include "model/nanocodec/config.h"
#include "step/itinerary.h"

namespace ttsrt::model::nanocodec {

// Indices of the Programs, in the order they run in.
constexpr std::int32_t kDecodeCodes = 0;
constexpr std::int32_t kEncodeSound = 1;

class CodecItineraries final : public Itineraries {
 public:
  CodecItineraries(Config config, const Limits& limits)
      : config_(std::move(config)), limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;

 private:
  step::RowSource rows_of_codes(Matrix<std::int32_t>&& codes) const;
  step::RowSource rows_of_samples(std::vector<float>&& samples) const;

  const Config config_;
  const Limits limits_;
};

}  // namespace ttsrt::model::nanocodec
