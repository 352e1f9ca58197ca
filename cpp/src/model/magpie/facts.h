// What requests of a MagpieTTS model are checked against and turned into stops with.
#pragma once

#include <cstdint>

#include "decode/rule_facts.h"

namespace ttsrt::model::magpie {

// How a request's context reaches the decoder.
enum class ContextRoute : std::int32_t {
  rows,     // rows in front of the audio: embedded codes, a voice or given vectors
  encoder,  // through the context encoder, then as rows in front of the audio
  memory,   // through the context encoder into a memory of its own; nothing in front of the audio
};

// Indices of the Programs, in the order they run in.
struct ProgramIds {
  std::int32_t encode_text = 0;
  std::int32_t project_memory = 1;
  std::int32_t encode_context = -1;  // absent
  std::int32_t prefill = 2;
  std::int32_t decode = 3;
  std::int32_t decode_codes = -1;  // absent

  static constexpr ProgramIds of(bool has_context_encoder, bool has_codec = false) {
    ProgramIds ids = has_context_encoder ? ProgramIds{0, 1, 2, 3, 4} : ProgramIds{};
    if (has_codec) ids.decode_codes = ids.decode + 1;
    return ids;
  }
};

struct Facts {
  std::int32_t dim = 0;
  std::int32_t codebook_vocab = 0;  // V
  std::int32_t text_vocab = 0;
  std::int32_t context_text_vocab = 0;  // 0: text can't stand for the context
  std::int32_t context_text_table = 0;  // which id table it is embedded by
  std::int32_t bos_id = 0;
  ContextRoute context_route = ContextRoute::rows;
  bool takes_context_codes = false;
  // Context codes fill one row per frame: the stacked rows, then rows of zeros.
  bool pads_context = false;
  bool shares_unconditional = true;  // the unconditional context depends on its length alone
  ProgramIds programs;
  decode::RuleFacts rules;

  // Limits of the running network.
  std::int32_t max_seq_len = 0;
  std::int32_t max_input_len = 0;
  std::int32_t max_text_len = 0;
};

}  // namespace ttsrt::model::magpie
