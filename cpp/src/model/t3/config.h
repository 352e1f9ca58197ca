// What a T3 model is (docs/format.md): a causal decoder that reads a voice prefix and text tokens
// and emits speech tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/causal_decoder.h"
#include "model/config.h"
#include "model/s3gen/config.h"

namespace ttsrt::model::t3 {

// What makes the rows of a voice prefix (condition.h). Widths are those of the decoder.
struct Conditioning {
  std::int32_t speaker_dim = 0;
  std::int32_t queries = 0;  // rows that the perceiver makes of the prompt; 0: there is none
  std::int32_t heads = 0;    // of the perceiver
  float norm_epsilon = 1e-5F;
  bool has_emotion = false;     // the last row of a prefix says how strong the emotion is
  std::int32_t max_prompt = 0;  // speech tokens of a voice's reference

  bool has_perceiver() const { return queries > 0; }
};

constexpr const char* kSoundModel = "sound_model";  // member of "model", and of "defaults"

// The order in which the original's generation loop changes the scores (rules/slot_rules.h).
enum class ProcessorOrder : std::int32_t { t3, turbo };

struct Config {
  std::string variant;            // "english", "multilingual", "turbo", "nano", "flash"
  std::int32_t speech_vocab = 0;  // outputs of the head
  std::int32_t speech_rows = 0;   // rows of the speech table: block diffusion has one more
  std::int32_t text_vocab = 0;
  double frame_rate = 0.0;  // tokens of a second
  std::int32_t bos_id = 0;
  std::int32_t eos_id = 0;
  std::int32_t text_start = -1;  // ids that frame a text; -1: none
  std::int32_t text_stop = -1;
  // Rows of BOS before the first token that is drawn. All of them have speech position 0.
  std::int32_t start_rows = 1;
  // Learned positions that restart at 0 for the text and for the speech; 0: there are none.
  std::int32_t text_positions = 0;
  std::int32_t speech_positions = 0;
  bool has_head_bias = false;
  ProcessorOrder processors = ProcessorOrder::t3;
  // Speech tokens that steps decide together; 0: each step draws one. The row of the speech table
  // behind the head's stands for a token that is not decided yet.
  std::int32_t block_rows = 0;
  Conditioning conditioning;
  std::vector<AlignmentHead> alignment;  // what the analyzer reads (rules/analyzer.h), or none
  StackConfig decoder;                   // its own learned positions, if any, count every row
  std::optional<s3gen::Config> sound;    // what makes sound of the tokens, if the engine has it

  bool restarts_positions() const { return text_positions > 0; }
  bool has_blocks() const { return block_rows > 0; }
  std::int32_t mask_id() const { return speech_vocab; }
};

// Throws FormatError naming the field.
Config read_config(const JsonReader& model);

}  // namespace ttsrt::model::t3
