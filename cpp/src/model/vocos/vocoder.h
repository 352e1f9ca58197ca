// The vocoder as tensors and as a Program, alone and at the end of other models.
#pragma once

#include <string>

#include "model/family.h"
#include "model/manifest.h"
#include "model/vocos/config.h"
#include "model/weights.h"

namespace ttsrt::model::vocos {

// `prefix`: in front of all names, "vocoder." or "". All of them are float32 in an engine.
void declare_vocoder(Manifest& manifest, const std::string& prefix, const Config& config);

// Emits `hop` samples for each row. Rows are given, or are kept rows of the slot [mel_bins].
FamilyProgram write_vocoder(const Weights& weights, const std::string& prefix, const Config& config,
                            std::int32_t max_rows, bool trace);

}  // namespace ttsrt::model::vocos
