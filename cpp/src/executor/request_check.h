// A request on its way in: its family makes it an itinerary, and what concerns waiting and
// streaming is checked here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "decode/speculation_options.h"
#include "executor/request_text.h"
#include "model/itineraries.h"
#include "model/network.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::executor {

struct PreparedRequest {
  step::Itinerary itinerary;
  SpokenText spoken;
  bool return_alignment = false;
  bool return_positions = false;
  std::int32_t chunk_frames = 1;
  std::int32_t initial_chunk_frames = 1;
  std::int32_t priority = 0;
  std::optional<double> deadline;  // seconds from submit
  decode::SpeculationRules speculation;
};

// Throws ConfigError for rows that are in the memory of another device than the one that the
// request runs on, "cuda:0" or "cpu": nothing is copied in silence. An executor on several devices,
// "cuda:0,cuda:1", takes rows of the host only, as it chooses among them later.
void check_places(const Request& request, const std::string& device);

// Throws ConfigError for options that this device can't serve, naming them.
void check_tokens(const step::Itinerary& itinerary, const model::NetworkInfo& network);

// Throws InternalError for stops that can't be walked.
void check_stops(const step::Itinerary& itinerary);

// Throws ConfigError naming the field.
PreparedRequest prepare(Request&& request, const model::Itineraries& itineraries,
                        const model::VoiceFinder& voices);

}  // namespace ttsrt::executor
