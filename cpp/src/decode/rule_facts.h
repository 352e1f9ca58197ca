// The properties of a model's decoding against which the options of a request are checked, and the
// defaults of these options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/slot_rules.h"
#include "ttsrt/options.h"

namespace ttsrt::decode {

struct RuleFacts {
  std::int32_t codebooks = 1;       // C
  std::int32_t frame_stacking = 1;  // S
  std::int32_t vocab = 0;           // ids of one codebook
  std::int32_t eos_id = 0;
  std::vector<std::int32_t> more_eos_ids;  // that end a text like eos_id (with token options)
  std::vector<std::int32_t> forbidden;     // ids that are never sampled
  std::int32_t minimum_id = -1;  // the id that min_frames forbids; -1: those that end speech
  std::int32_t decoder_layers = 0;
  std::vector<std::int32_t> text_layers;  // decoder layers that cross-attend to the text
  bool has_local_transformer = false;
  bool is_maskgit = false;  // whether the local transformer is of the MaskGit kind

  // Defaults of the checkpoint.
  float cfg_scale = 1.0F;
  float temperature = 0.7F;
  std::int32_t top_k = 80;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float repetition_penalty = 0.0F;  // 0: the family has none
  bool has_token_options = false;   // requests may have TokenOptions
  std::int32_t num_tokens = 0;      // ids of the tokenizer; those behind it are padding; 0: all are
  std::int32_t max_frames = 500;
  std::int32_t min_frames = 0;
  std::string eos_method = "argmax_or_multinomial_any";
  bool use_local_transformer = false;
  std::string prior_mode = "nemo";      // of a prior that names none
  std::optional<AttentionPrior> prior;  // resolved, where the checkpoint has one
  rules::BlockRules block;              // without steps: the model decides no blocks

  std::int32_t stack_codes() const { return codebooks * frame_stacking; }  // C*S
};

}  // namespace ttsrt::decode
