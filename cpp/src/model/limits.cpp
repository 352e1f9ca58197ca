#include "model/limits.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::model {
namespace {

constexpr std::int32_t kMaxBatch = 4096;
constexpr std::int32_t kMaxRows = 1 << 20;
constexpr std::int32_t kDefaultInput = 256;   // context rows: 10 s of frames and then some
constexpr std::int32_t kDefaultText = 512;    // text tokens
constexpr std::int32_t kDefaultTokens = 512;  // rows of a launch

std::int32_t chosen(const char* name, std::int32_t asked, std::int32_t otherwise,
                    std::int32_t maximum) {
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= maximum, name,
              ": expected 0 (the default) or at most ", maximum, ", got ", asked);
  return asked == 0 ? std::min(otherwise, maximum) : asked;
}

// Context rows that the decoder's and the context encoder's position tables can hold.
std::int32_t most_input(const ModelConfig& config) {
  const std::int32_t most = config.decoder.max_positions - 1;
  return config.context_encoder.is_present() ? std::min(most, config.context_encoder.max_positions)
                                             : most;
}

// A launch must hold the longest text, the longest context and two rows per request.
std::int32_t least_tokens(const Limits& limits) {
  return std::max({limits.max_encoder_input_len, limits.max_input_len, 2 * limits.max_batch_size});
}

}  // namespace

Limits resolve_limits(const BuildOptions& options, const ModelConfig& config,
                      std::int32_t voice_rows, std::int32_t max_frames) {
  Limits limits;
  limits.max_batch_size = chosen("max_batch_size", options.max_batch_size, 8, kMaxBatch);
  const bool has_rows = config.context != ContextKind::memory;
  limits.max_input_len = chosen("max_input_len", options.max_input_len,
                                std::max(kDefaultInput, voice_rows), most_input(config));
  TTSRT_CHECK(ConfigError, limits.max_input_len >= voice_rows,
              "max_input_len: expected at least the ", voice_rows,
              " rows of the stored voices, got ", limits.max_input_len);
  const std::int32_t steps = max_frames / config.frame_stacking + 1;
  const std::int32_t rows = (has_rows ? limits.max_input_len : 0) + steps;
  limits.max_seq_len =
      chosen("max_seq_len", options.max_seq_len, rows, config.decoder.max_positions);
  limits.max_encoder_input_len = chosen("max_encoder_input_len", options.max_encoder_input_len,
                                        kDefaultText, config.text_encoder.max_positions);
  const std::int32_t least = least_tokens(limits);
  limits.max_num_tokens =
      chosen("max_num_tokens", options.max_num_tokens, std::max(kDefaultTokens, least), kMaxRows);
  TTSRT_CHECK(ConfigError, limits.max_num_tokens >= least, "max_num_tokens: expected at least ",
              least, " (the longest text, the longest context, two rows per request), got ",
              limits.max_num_tokens);
  return limits;
}

Limits read_limits(const JsonReader& reader, const ModelConfig& config) {
  Limits limits;
  limits.max_batch_size = reader.int32("max_batch_size", 1, kMaxBatch);
  limits.max_seq_len = reader.int32("max_seq_len", 1, config.decoder.max_positions);
  limits.max_input_len = reader.int32("max_input_len", 1, most_input(config));
  limits.max_encoder_input_len =
      reader.int32("max_encoder_input_len", 1, config.text_encoder.max_positions);
  limits.max_num_tokens = reader.int32("max_num_tokens", least_tokens(limits), kMaxRows);
  return limits;
}

}  // namespace ttsrt::model
