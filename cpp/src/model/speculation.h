// What opened networks can do for requests that speculate.
#pragma once

#include <string>

#include "decode/speculation_options.h"

namespace ttsrt::model {

struct SpeculationSupport {
  decode::SpeculationRules rules;  // of requests that do not say otherwise
  std::string refusal;             // why none can; empty: they can
};

}  // namespace ttsrt::model
