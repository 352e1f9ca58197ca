// Voices that tests offer to itineraries.
#pragma once

#include <memory>

#include "model/itineraries.h"
#include "ttsrt/error.h"

namespace ttsrt::test {

class NoVoices final : public model::VoiceFinder {
 public:
  std::shared_ptr<const model::Voice> find(const VoiceRef& /*voice*/) const override {
    throw ConfigError("voice: there are none");
  }
};

}  // namespace ttsrt::test
