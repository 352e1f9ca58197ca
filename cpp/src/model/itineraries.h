// From requests to itineraries: what a family gives the executor of a running network.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "step/itinerary.h"
#include "ttsrt/request.h"
#include "ttsrt/tensor.h"

namespace ttsrt::model {

// Voices by name or index, as requests ask for them. Any thread may ask.
class VoiceFinder {
 public:
  virtual ~VoiceFinder() = default;
  // Throws ConfigError naming the known voices.
  virtual std::shared_ptr<const step::RowSource> find(const VoiceRef& voice) const = 0;
};

// Voices that come with an engine.
struct StoredVoices {
  std::vector<std::shared_ptr<const step::RowSource>> rows;  // of each
  std::map<std::string, std::int32_t> names;                 // index of those that have a name
};

// Holds the facts and limits that requests are checked against. Any thread may ask.
class Itineraries {
 public:
  virtual ~Itineraries() = default;

  // What a request runs. Throws ConfigError naming the field: a bad request ends here.
  virtual step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const = 0;

  // A voice that is added at run time, as rows that a request takes. They throw ConfigError.
  virtual step::RowSource voice_of_vectors(Matrix<float>&& rows) const = 0;        // [rows, dim]
  virtual step::RowSource voice_of_codes(Matrix<std::int32_t>&& codes) const = 0;  // [frames, C]
};

}  // namespace ttsrt::model
