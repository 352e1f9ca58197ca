// From samples to codes, as tensors and as a Program. It sees the whole recording: convolutions
// look ahead as far as they look back, and repeat the first and the last row beyond its ends.
#pragma once

#include <cstdint>

#include "model/family.h"
#include "model/manifest.h"
#include "model/nanocodec/config.h"
#include "model/weights.h"

namespace ttsrt::model::nanocodec {

// Of a codec that has an encoder.
void declare_encoder(Manifest& manifest, const HalfConfig& encoder, const Config& config);

// A whole Program that emits the codes of a frame for each row, of samples_per_frame samples.
FamilyProgram write_encoder(const Weights& weights, const Config& config, std::int32_t max_rows,
                            bool trace);

}  // namespace ttsrt::model::nanocodec
