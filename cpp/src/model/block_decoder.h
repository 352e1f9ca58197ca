// A stack of causal layers whose steps decide the codes of a block together: its Programs beside
// prefill. A block's rows see each other; its logits come from the rows before them, the first from
// the last row of the block before, or from the start row.
#pragma once

#include "model/causal_decoder.h"

namespace ttsrt::model {

struct BlockDecoder {
  const CausalDecoder& decoder;
  ops::Weight prior = {};       // [vocab] float32: a probability for each code without any context
  std::int32_t block_rows = 0;  // codes of a block
};

// Rows behind the prompt, whose hidden states the slot keeps: row 0, and 1 of the unconditional
// branch (RowSource::kept_offset).
ops::Program write_start(const CausalDecoder& decoder);
// All rows of a block, per branch: guesses, scores, and the codes that this step decides.
ops::Program write_blocks(const BlockDecoder& blocks, bool trace);

// Prefill, start and blocks, in this order.
std::vector<FamilyProgram> programs_of(const BlockDecoder& blocks, const Limits& limits,
                                       std::int32_t branches, bool trace);
constexpr std::int32_t kStartProgram = 1;  // behind kPrefillProgram
constexpr std::int32_t kBlocksProgram = 2;
constexpr std::int32_t kBlockContextRows = 2;  // that a slot keeps

}  // namespace ttsrt::model
