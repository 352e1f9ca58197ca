#include "model/limits.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::model {
namespace {

constexpr std::int32_t kDefaultInput = 256;   // context rows: 10 s of frames and then some
constexpr std::int32_t kDefaultText = 512;    // text tokens
constexpr std::int32_t kDefaultTokens = 512;  // rows of a launch

std::int32_t chosen(const char* name, std::int32_t asked, std::int32_t otherwise,
                    std::int32_t maximum) {
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= maximum, name,
              ": expected 0 (the default) or at most ", maximum, ", got ", asked);
  return asked == 0 ? std::min(otherwise, maximum) : asked;
}

// The text and the context of a whole item have fewer rows than the item.
std::int32_t within_item(std::int32_t usual, const LimitBounds& bounds, const Limits& limits) {
  if (bounds.item_branches == 0) return usual;
  return std::max(std::min(usual, limits.max_seq_len - 1), 1);
}

}  // namespace

std::int32_t longest_launch(const Limits& limits, const LimitBounds& bounds) {
  return std::max({limits.max_encoder_input_len, limits.max_input_len,
                   bounds.item_branches * limits.max_seq_len});
}

std::int32_t least_tokens(const Limits& limits, const LimitBounds& bounds) {
  return std::max(longest_launch(limits, bounds), 2 * limits.max_batch_size);
}

Limits resolve_limits(const BuildOptions& options, const LimitBounds& bounds) {
  Limits limits;
  limits.max_batch_size = chosen("max_batch_size", options.max_batch_size, 8, kMaxBatch);
  limits.max_input_len = chosen(
      "max_input_len", options.max_input_len,
      std::max(bounds.usual_input > 0 ? bounds.usual_input : kDefaultInput, bounds.least_input),
      bounds.most_input);
  TTSRT_CHECK(ConfigError, limits.max_input_len >= std::min(bounds.least_input, bounds.most_input),
              "max_input_len: expected at least the ", bounds.least_input,
              " rows of the stored voices, got ", limits.max_input_len);
  const std::int32_t rows =
      (bounds.input_takes_positions ? limits.max_input_len : 0) + bounds.usual_steps;
  limits.max_seq_len = chosen("max_seq_len", options.max_seq_len, rows, bounds.most_positions);
  const std::int32_t least_rows = bounds.input_takes_positions ? bounds.least_input : 0;
  TTSRT_CHECK(ConfigError, limits.max_seq_len > std::min(least_rows, bounds.most_positions - 1),
              "max_seq_len: expected more than the ", least_rows,
              " rows of the stored voices, got ", limits.max_seq_len);
  if (options.max_input_len == 0)
    limits.max_input_len = within_item(limits.max_input_len, bounds, limits);
  const std::int32_t usual_text = bounds.usual_text > 0 ? bounds.usual_text : kDefaultText;
  limits.max_encoder_input_len = chosen("max_encoder_input_len", options.max_encoder_input_len,
                                        within_item(usual_text, bounds, limits), bounds.most_text);
  const std::int32_t least = least_tokens(limits, bounds);
  limits.max_num_tokens =
      chosen("max_num_tokens", options.max_num_tokens, std::max(kDefaultTokens, least), kMaxRows);
  TTSRT_CHECK(ConfigError, limits.max_num_tokens >= least, "max_num_tokens: expected at least ",
              least, " (the longest text, the longest context, two rows per request",
              bounds.item_branches > 0 ? ", the branches of a whole item" : "", "), got ",
              limits.max_num_tokens);
  return limits;
}

Limits read_limits(const JsonReader& reader, const LimitBounds& bounds) {
  Limits limits;
  limits.max_batch_size = reader.int32("max_batch_size", 1, kMaxBatch);
  limits.max_seq_len = reader.int32("max_seq_len", 1, bounds.most_positions);
  limits.max_input_len = reader.int32(
      "max_input_len", std::min(bounds.least_input, bounds.most_input), bounds.most_input);
  limits.max_encoder_input_len =
      reader.int32("max_encoder_input_len", std::min(1, bounds.most_text), bounds.most_text);
  limits.max_num_tokens = reader.int32("max_num_tokens", least_tokens(limits, bounds), kMaxRows);
  return limits;
}

}  // namespace ttsrt::model
