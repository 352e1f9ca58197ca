// Voices by name: rows the decoder takes as context. Stored ones come with the engine, others are
// added while it runs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "step/model_facts.h"
#include "ttsrt/request.h"

namespace ttsrt::executor {

using VoiceRows = std::shared_ptr<const std::vector<float>>;  // [rows * dim]

class VoiceBook {
 public:
  explicit VoiceBook(const step::ModelFacts& facts);

  // Throws ConfigError naming the known voices.
  VoiceRows find(const VoiceRef& voice) const;
  // Throws ConfigError for a bad shape, values that aren't finite, or a name in use.
  void add(const std::string& name, Matrix<float> embeddings);
  void remove(const std::string& name);
  std::vector<std::string> names() const;

 private:
  std::string known() const;  // for messages; the lock is held

  const step::ModelFacts& facts_;
  mutable std::mutex mutex_;
  std::map<std::string, VoiceRows> by_name_;
};

}  // namespace ttsrt::executor
