// From a request to what it runs: encode the text, encode the context where the model does, prefill
// one or two branches, decode, and make sound of the frames as they come where there is a codec.
#pragma once

#include <cstdint>
#include <utility>

#include "model/itineraries.h"
#include "model/magpie/facts.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model::magpie {

class Itineraries final : public model::Itineraries {
 public:
  explicit Itineraries(Facts facts) : facts_(std::move(facts)) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const override;
  Voice voice_of_vectors(Matrix<float>&& rows) const override;
  // Codes are laid out as stacks [rows, C*S], index c + C*f; the last stack is padded with code 0,
  // as the original pads. Models with text conditioning count context rows in frames: behind the
  // stacks stand rows of zeros (NeMo 3's `_get_context_embeddings`).
  Voice voice_of_codes(Matrix<std::int32_t>&& codes) const override;

 private:
  const Facts facts_;
};

}  // namespace ttsrt::model::magpie
