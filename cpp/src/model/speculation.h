// What opened networks can do for requests that speculate.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "decode/speculation_options.h"
#include "model/network.h"

namespace ttsrt::model {

struct SpeculationSupport {
  decode::SpeculationRules rules;  // of requests that do not say otherwise
  std::string refusal;             // why none can; empty: they can
};

// A smaller model that guesses what another one will draw, on each of its devices.
struct Drafter {
  std::vector<std::unique_ptr<Network>> networks;  // none: there is no such model
  std::int32_t vocab = 0;                          // ids that both models have
  std::int32_t position_table = -1;                // that its rows add; -1: none
  std::shared_ptr<const void> engine;              // stays open
};

}  // namespace ttsrt::model
