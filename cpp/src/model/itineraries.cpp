#include "model/itineraries.h"

#include "core/check.h"

namespace ttsrt::model {

Voice Itineraries::voice_of_speaker(Speaker&& /*speaker*/) const {
  throw ConfigError(
      "add_voice: speaker: this model is not conditioned on a speaker embedding; give embeddings "
      "or codes");
}

Matrix<float> Itineraries::rows_of_voice(const Voice& voice) const {
  Matrix<float> rows;
  for (const step::RowSource& part : voice.parts) {
    TTSRT_CHECK(ConfigError, part.vectors != nullptr,
                "voice_embeddings: this voice is kept as codes, expected one of embeddings");
    rows.cols = static_cast<std::int64_t>(part.vectors->size()) / part.rows;
    rows.rows += part.rows;
    rows.values.insert(rows.values.end(), part.vectors->begin(), part.vectors->end());
  }
  return rows;
}

}  // namespace ttsrt::model
