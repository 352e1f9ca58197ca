// The Programs of a model that makes spectrograms of speech tokens, and what they keep in a slot.
//
//   noise        where the integration begins: the state (the slot's kept rows) and the base
//   prompt       the spectrogram of the voice's prompt
//   speaker      the voice's embedding, as columns beside every frame
//   schedule     what every evaluation adds, for all requests of one schedule
//   encode       the tokens, before their rows become frames
//   encode_frames  their frames: what the estimator is told of them
//   flow         one evaluation of the estimator over both branches, and one step of the state
//   spectrogram  the state, as it leaves
//   vocoder_noise, vocoder   what makes sound of it (model/hift/vocoder.h)
#pragma once

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "model/manifest.h"
#include "model/s3gen/config.h"
#include "ops/backend.h"

namespace ttsrt::model::s3gen {

// In the order of programs().
enum ProgramIndex : std::int32_t {
  kNoiseProgram,
  kPromptProgram,
  kSpeakerProgram,
  kScheduleProgram,
  kEncodeProgram,
  kFramesProgram,
  kFlowProgram,
  kSpectrogramProgram,
  kVocoderPrograms,  // the first of them, where there is a vocoder
};

constexpr const char* kVocoderPrefix = "vocoder.";

// Arrays of rows that a slot keeps; its kept rows are the state of the integration.
enum ArrayIndex : std::int32_t {
  kBaseRows,     // the state where the step began [frames, mel_bins]
  kPromptRows,   // the prompt, zeros behind it [frames, mel_bins]
  kSpeakerRow,   // [1, mel_bins]
  kTokenRows,    // behind the encoder's first blocks [tokens, dim]
  kEncodedRows,  // [frames, mel_bins]
  kNumArrays,
};

Manifest declare(const Config& config);
// The arrays of rows of a slot, those of the vocoder behind kNumArrays.
void add_arrays(const Config& config, const Limits& limits, ops::StateSpec& spec);
std::vector<FamilyProgram> write_programs(const Config& config, const Weights& weights,
                                          const Limits& limits, bool trace);

}  // namespace ttsrt::model::s3gen
