// What requests to models that make whole items, and no codes step by step, have in common.
#pragma once

#include <cstdint>
#include <string>

#include "model/itineraries.h"
#include "step/itinerary.h"
#include "ttsrt/request.h"

namespace ttsrt::model {

// Throws ConfigError for the options of draws, codes, priors and alignments.
void refuse_step_options(const Request& request);
// Throws ConfigError for the options of flow matching and of vocoders.
void refuse_flow_options(const Request& request);
// Throws ConfigError for all but `mel` and the options of every request.
void refuse_beside_mel(const Request& request);

// Rows of a spectrogram [least to most, bins] that a vocoder takes.
step::RowSource rows_of_mel(InputRows&& mel, std::int32_t bins, std::int32_t most);

}  // namespace ttsrt::model
