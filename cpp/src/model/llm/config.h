// What a small language model is (docs/format.md): a causal decoder over one table of tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "core/json.h"
#include "model/config.h"

namespace ttsrt::model::llm {

struct Config {
  std::int32_t vocab = 0;
  std::int32_t num_tokens = 0;  // ids of the tokenizer; those behind it pad the table
  std::int32_t eos_id = 0;
  std::vector<std::int32_t> more_eos_ids;  // that end a text, too
  bool has_head_bias = false;
  StackConfig decoder;
};

// Throws FormatError naming the field.
Config read_config(const JsonReader& model);

}  // namespace ttsrt::model::llm
