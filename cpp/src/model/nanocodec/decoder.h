// From codes to samples, as tensors and as a Program: alone and behind the codes of other models.
//
// Everything is causal: a frame's samples depend on it and on those before it. What a convolution
// needs of earlier rows lies in the slot (StateSpec::past), so that frames may come in any chunks
// and give the same bits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/limits.h"
#include "model/manifest.h"
#include "model/nanocodec/config.h"
#include "model/weights.h"
#include "ops/backend.h"

namespace ttsrt::model::nanocodec {

// Frames of one launch, whose activations are large: as many as all streams together make in a
// step, but at least and at most so many.
constexpr std::int32_t kLeastLaunch = 64;
constexpr std::int32_t kMostLaunch = 256;
std::int32_t launch_frames(const Limits& limits, std::int32_t step_frames);

constexpr const char* kPrefix = "codec.";  // of its tensors in the engines of other models

// Codes as frames have them. A model may draw ids beyond the codec's codes, which are decoded as
// the original decodes them: digit by digit, without the carry.
struct CodeLayout {
  Quantizer quantizer;
  std::int32_t vocab = 0;  // ids of a group
};

// `prefix`: in front of all names, "codec." or "".
void declare_decoder(Manifest& manifest, const std::string& prefix, const Config& config);

// What its convolutions keep of a stream, in the order in which the Program names it.
std::vector<ops::StateSpec::PastRows> decoder_past(const Config& config);

// A chunked Program that emits samples_per_frame samples for each row, of codes.
FamilyProgram write_decoder(const Weights& weights, const std::string& prefix, const Config& config,
                            const CodeLayout& codes, std::int32_t max_rows, bool trace);

}  // namespace ttsrt::model::nanocodec
