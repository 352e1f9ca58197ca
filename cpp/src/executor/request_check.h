// A request against the model: what it brings is checked, embedded ids are laid out as rows, the
// context is resolved.
#pragma once

#include <memory>
#include <vector>

#include "decode/compile_rules.h"
#include "executor/row_source.h"
#include "executor/voices.h"
#include "step/model_facts.h"
#include "ttsrt/request.h"

namespace ttsrt::executor {

struct PreparedRequest {
  RowSource text;             // for the text encoder, or
  bool is_encoded = false;    // its output already
  RowSource context_encoder;  // rows for the context encoder, or none
  RowSource
      context;  // rows in front of the audio, or none; Input::kept_rows: what the encoder gives
  decode::CompiledRules rules;
  bool return_alignment = false;
  std::int32_t chunk_frames = 1;
  std::int32_t priority = 0;
  std::optional<double> deadline;
};

// Throws ConfigError naming the field.
PreparedRequest prepare(Request&& request, const step::ModelFacts& facts, const VoiceBook& voices);

}  // namespace ttsrt::executor
