// Voices by name: what stands for the context of a request. Stored ones come with the engine,
// others are added while it runs, as many as memory holds.
//
// Decided: a voice added as codes is kept as codes (a few kilobytes) and embedded, or sent through
// the context encoder, with each request; one added as embeddings, or made of a speaker, is kept as
// rows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/itineraries.h"
#include "ttsrt/request.h"

namespace ttsrt::executor {

class VoiceBook final : public model::VoiceFinder {
 public:
  VoiceBook(const model::Itineraries& itineraries, model::StoredVoices stored);

  // Throws ConfigError naming the known voices.
  std::shared_ptr<const model::Voice> find(const VoiceRef& voice) const override;
  // Throw ConfigError for a bad shape, bad values, or a name in use.
  void add(const std::string& name, Matrix<float> embeddings);
  void add_codes(const std::string& name, Matrix<std::int32_t> codes);
  void add_speaker(const std::string& name, Speaker speaker);
  void remove(const std::string& name);
  std::vector<std::string> names() const;
  std::int32_t count() const;
  // What added voices take; those of the engine are not counted.
  std::size_t bytes() const;

 private:
  void keep(const std::string& name, model::Voice&& made);
  // For messages; the lock is held.
  std::string known() const;    // names
  std::string choices() const;  // what a request may name

  const model::Itineraries& itineraries_;
  std::vector<std::shared_ptr<const model::Voice>> stored_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const model::Voice>> by_name_;
  std::size_t bytes_ = 0;
};

}  // namespace ttsrt::executor
