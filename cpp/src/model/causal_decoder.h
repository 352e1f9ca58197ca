// A stack of causal layers without cross-attention whose steps pick one code from a head: its
// prefill and decode Programs, its state, and the fields that such families share.
#pragma once

#include "decode/rule_facts.h"
#include "model/family.h"
#include "model/stack_weights.h"
#include "ops/program.h"

namespace ttsrt::model {

// A query head whose attention to the text tells where in it speech is.
struct AlignmentHead {
  std::int32_t layer = 0;
  std::int32_t head = 0;
};

struct CausalDecoder {
  const StackConfig& config;
  StackWeights stack = {};
  ops::EmbedRows embed = {};  // `out` is filled in by the Programs
  ops::Weight head = {};      // [vocab, dim]
  ops::Weight head_bias = {};
  RopeTable rope = {};  // of every position of a sequence, where the stack has a rope
  // Their mean is the alignment; none: there is no alignment. GCC warns of a member that a braced
  // list leaves out, unless it has an initializer.
  // NOLINTNEXTLINE(readability-redundant-member-init)
  std::vector<AlignmentHead> alignment = {};
  std::int32_t max_text_len = 0;  // columns of an alignment
};

// Keys and values of the prompt but its last row, which is the first decode row.
ops::Program write_prefill(const CausalDecoder& decoder);
// Keys and values of rows, and their logits, which are emitted.
ops::Program write_score(const CausalDecoder& decoder);
// One row per branch: logits, guidance, a code.
ops::Program write_decode(const CausalDecoder& decoder, bool trace);

// Prefill and decode, in this order.
std::vector<FamilyProgram> programs_of(const CausalDecoder& decoder, const Limits& limits,
                                       std::int32_t branches, bool trace);
constexpr std::int32_t kPrefillProgram = 0;
constexpr std::int32_t kDecodeProgram = 1;

// What a slot needs of the state.
struct CacheNeeds {
  std::int32_t branches = 1;          // each at full length
  std::int32_t prefix_positions = 0;  // of shared prefixes, beside those
  std::int32_t vocab = 0;             // ids that may be seen
  std::int32_t max_text_len = 0;      // columns of an alignment; 0: there is none
};

// Blocks for every slot's branches at full length and its share of shared prefixes, or as many as
// were asked for. The slots keep which ids of the vocabulary were seen.
ops::StateSpec state_of(const StackConfig& config, const Limits& limits,
                        const StateOptions& options, const CacheNeeds& needs);

// What a step of one code yields, and the limits.
step::Facts facts_of(const char* family, std::int32_t vocab, double frame_rate,
                     const Limits& limits);

// Throws ConfigError for the options of a request that only models with an encoder have, among them
// strict_end: only their checkpoints force ids.
void refuse_encoder_options(const Request& request);

// Throws ConfigError for the options of a request that need alignment heads.
void refuse_alignment_options(const Request& request);

// Sampling defaults of a checkpoint whose steps pick one code.
decode::RuleFacts read_code_defaults(const JsonReader& defaults);

}  // namespace ttsrt::model
