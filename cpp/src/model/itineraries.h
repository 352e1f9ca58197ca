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

// A voice as rows that a request takes: what stands for its context, or the start of its prompt.
struct Voice {
  std::vector<step::RowSource> parts;  // in order; their meaning is the family's
  // What makes sound of the codes takes, or null: it takes nothing, or the voice has none.
  std::shared_ptr<const Voice> sound = nullptr;

  std::int32_t rows() const {
    std::int32_t count = 0;
    for (const step::RowSource& part : parts) count += part.rows;
    return count;
  }
};

// Voices by name or index, as requests ask for them. Any thread may ask.
class VoiceFinder {
 public:
  virtual ~VoiceFinder() = default;
  // Throws ConfigError naming the known voices.
  virtual std::shared_ptr<const Voice> find(const VoiceRef& voice) const = 0;
};

// Voices that come with an engine.
struct StoredVoices {
  std::vector<std::shared_ptr<const Voice>> voices;
  std::map<std::string, std::int32_t> names;  // index of those that have a name
};

// Holds the facts and limits that requests are checked against. Any thread may ask.
class Itineraries {
 public:
  virtual ~Itineraries() = default;

  // What a request runs. Throws ConfigError naming the field: a bad request ends here.
  virtual step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const = 0;

  // A voice that is added at run time. They throw ConfigError, which names the argument.
  virtual Voice voice_of_vectors(Matrix<float>&& rows) const = 0;        // [rows, dim]
  virtual Voice voice_of_codes(Matrix<std::int32_t>&& codes) const = 0;  // [frames, C]
  // For models that are conditioned on a speaker embedding; the others refuse it.
  virtual Voice voice_of_speaker(Speaker&& speaker) const;
  // The rows of a voice as the decoder takes them [rows, dim]. Throws ConfigError for voices that
  // are not kept as rows of vectors.
  virtual Matrix<float> rows_of_voice(const Voice& voice) const;
};

}  // namespace ttsrt::model
