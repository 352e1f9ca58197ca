// The contexts of a request: what stands for the voice, of each chunk of its text.
//
// Decided: a chunk with another voice than the one before begins as a request does. The original
// has one context for all chunks, so nothing says how the text of one voice would go on in
// another.
#pragma once

#include <string>
#include <vector>

#include "model/itineraries.h"
#include "model/magpie/facts.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model::magpie {

struct Context {
  step::RowSource encoder;  // rows for the context encoder, or none
  step::RowSource rows;     // rows in front of the audio, or none
};

struct Speakers {
  // [chunks], one for a text without any: whether it has another context than the one before.
  std::vector<bool> begins;
  std::vector<Context> contexts;  // of those that begin, in order
  bool has_later = false;         // whether chunks come later, which go on

  bool are_several() const { return begins.size() > 1 || has_later; }
  bool goes_on(std::size_t chunk) const {
    return chunk + 1 < begins.size() ? !begins[chunk + 1] : has_later;
  }
};

// Throws ConfigError naming the field.
Speakers speakers_of(Request& request, const Facts& facts, const VoiceFinder& voices);

// Codes [frames, C] as rows of the context. Throws ConfigError beginning with `what`.
step::RowSource rows_of_codes(const std::string& what, Matrix<std::int32_t>&& codes,
                              const Facts& facts);

}  // namespace ttsrt::model::magpie
