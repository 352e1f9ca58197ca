// The Programs of a model that makes sound of speech tokens, and what they keep in a slot.
//
//   noise        where the integration begins: the state (the slot's kept rows) and the base
//   prompt       the spectrogram of the voice's prompt
//   speaker      the voice's embedding, as columns beside every frame
//   schedule     what every evaluation adds; the slot keeps it
//   encode       the tokens, before their rows become frames
//   encode_frames  their frames: what the estimator is told of them
//   flow         one evaluation of the estimator over both branches, and one step of the state
//   spectrogram  the state, as it leaves
//   vocoder_...  what makes sound of it (model/hift/vocoder.h)
#pragma once

#include <cstdint>
#include <string>
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

constexpr const char* kPrefix = "sound.";  // of its tensors in the engines of other models

// Arrays of rows that a slot keeps; its kept rows are the state of the integration.
enum ArrayIndex : std::int32_t {
  kBaseRows,     // the state where the step began [frames, mel_bins]
  kPromptRows,   // the prompt, zeros behind it [frames, mel_bins]
  kSpeakerRow,   // [1, mel_bins]
  kTokenRows,    // behind the encoder's first blocks [tokens, dim]
  kEncodedRows,  // [frames, mel_bins]
  kNumArrays,
};

// Tensors by their names here, with a prefix in front: "sound." or "".
struct Source {
  const Config& config;
  const Weights& weights;
  std::string prefix;

  ops::Weight at(const std::string& name) const { return weights.at(prefix + name); }
};

void declare(Manifest& manifest, const std::string& prefix, const Config& config);
// What a slot keeps: the arrays of rows, those of the vocoder behind kNumArrays, a schedule, and
// the state of an integration, behind the kept rows of another model in the slot. That model has no
// arrays and no schedule.
void add_state(const Config& config, const Limits& limits, ops::StateSpec& spec);
// Rows of the longest launch.
std::int32_t most_rows(const Limits& limits);
void append_programs(const Source& source, const Limits& limits, bool trace,
                     std::vector<FamilyProgram>& programs);

}  // namespace ttsrt::model::s3gen
