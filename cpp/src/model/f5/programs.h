// The Programs of a model of flow matching, and the arrays that they keep in a slot.
//
//   noise      where the integration begins: the state (the slot's kept rows) and the base
//   prompt     the prompt's rows, and which rows stay as they are
//   schedule   what every evaluation adds and multiplies, for all requests of one schedule
//   text       both branches' text, and all of the network's input that no evaluation changes
//   flow       one evaluation of the network over both branches, and one step of the state
//   spectrogram, vocoder   what becomes of the state
#pragma once

#include <cstdint>
#include <vector>

#include "model/f5/config.h"
#include "model/family.h"
#include "model/manifest.h"
#include "ops/backend.h"

namespace ttsrt::model::f5 {

// In the order of programs(); the last is there only with a vocoder.
enum ProgramIndex : std::int32_t {
  kNoiseProgram,
  kPromptProgram,
  kScheduleProgram,
  kTextProgram,
  kFlowProgram,
  kSpectrogramProgram,
  kVocoderProgram,
};

Manifest declare(const Config& config);
std::vector<ops::StateSpec::RowArray> arrays_of(const Config& config, std::int32_t max_frames);
std::vector<FamilyProgram> write_programs(const Config& config, const Weights& weights,
                                          const Limits& limits, bool trace);

}  // namespace ttsrt::model::f5
