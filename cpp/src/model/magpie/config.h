// What a Magpie model is: the "model" block that checkpoints and engines share (docs/format.md), as
// checked numbers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/config.h"
#include "model/nanocodec/config.h"

namespace ttsrt::model::magpie {

enum class LocalKind : std::int32_t { none, autoregressive, maskgit };

struct LocalConfig {
  LocalKind kind = LocalKind::none;
  StackConfig stack;
  bool has_in_projection = false;
};

// What stands before the audio in the decoder.
enum class ContextKind : std::int32_t {
  codes,    // embedded codec codes
  encoder,  // the context encoder's output
  voices,   // rows stored with the model
  memory,   // nothing: some layers cross-attend to the context encoder's output
};

enum class ContextText : std::int32_t { none, shared, own };

struct Tokens {
  std::int32_t audio_bos = 0;
  std::int32_t audio_eos = 0;
  std::int32_t context_bos = 0;
  std::int32_t context_eos = 0;
  std::int32_t mask = 0;
  // The id that min_frames forbids, if it is not audio_eos.
  std::optional<std::int32_t> minimum_forbids;
  std::int32_t text_bos = 0;
  std::int32_t text_eos = 0;
  std::vector<std::int32_t> forbidden;
};

struct Config {
  std::int32_t dim = 0;
  std::int32_t codebooks = 0;       // C
  std::int32_t codebook_vocab = 0;  // V
  std::int32_t frame_stacking = 1;  // S
  std::int32_t text_vocab = 0;
  std::int32_t context_text_vocab = 0;
  double frame_rate = 0.0;
  Tokens tokens;
  ContextKind context = ContextKind::codes;
  ContextText context_text = ContextText::none;
  StackConfig text_encoder;
  StackConfig context_encoder;  // may be absent
  StackConfig decoder;
  CrossConfig cross;
  LocalConfig local;
  std::map<std::string, std::int32_t> speakers;
  std::int32_t num_voices = 0;
  // How the model's codes stand for values where that is not the codec's own way.
  std::optional<nanocodec::Quantizer> quantizer;
  std::optional<nanocodec::Config> codec;  // that turns its codes into sound; without an encoder

  std::int32_t stack_codes() const { return codebooks * frame_stacking; }  // C*S
};

// Throws FormatError naming the field, and for a codec that has other codes.
Config read_config(const JsonReader& model);

}  // namespace ttsrt::model::magpie
