// What a T3 model is (docs/format.md): a causal decoder that reads a voice prefix and text tokens
// and emits speech tokens.
#pragma once

#include <cstdint>

#include "core/json.h"
#include "model/config.h"

namespace ttsrt::model::t3 {

struct Config {
  std::int32_t speech_vocab = 0;  // rows of the speech table and outputs of the head
  std::int32_t text_vocab = 0;
  double frame_rate = 0.0;  // tokens of a second
  std::int32_t bos_id = 0;
  std::int32_t eos_id = 0;
  // Rows of BOS before the first token that is drawn. All of them have speech position 0.
  std::int32_t start_rows = 1;
  // Learned positions that restart at 0 for the text and for the speech; 0: there are none.
  std::int32_t text_positions = 0;
  std::int32_t speech_positions = 0;
  bool has_head_bias = false;
  StackConfig decoder;  // its own learned positions, if any, count every row

  bool restarts_positions() const { return text_positions > 0; }
};

// Throws FormatError naming the field.
Config read_config(const JsonReader& model);

}  // namespace ttsrt::model::t3
