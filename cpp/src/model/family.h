// One kind of model (magpie, t3, llm, ...). A family is chosen by name before anything of the model
// is read; the executor walks what it says and never asks which one it runs.
#pragma once

#include <memory>

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

class Family {
 public:
  virtual ~Family() = default;

  // What a request runs. Throws ConfigError naming the field: a bad request ends here.
  virtual step::Itinerary itinerary(Request&& request, const VoiceFinder& voices) const = 0;

  // A voice that is added at run time, as rows that a request takes. Throw ConfigError.
  virtual step::RowSource voice_of_vectors(Matrix<float>&& rows) const = 0;        // [rows, dim]
  virtual step::RowSource voice_of_codes(Matrix<std::int32_t>&& codes) const = 0;  // [frames, C]
};

}  // namespace ttsrt::model
