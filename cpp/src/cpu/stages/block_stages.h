// The stages of steps that decide the codes of a block together: ShiftBlock, GuessBlock,
// FinishBlock.
#pragma once

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

void add_shift_block(const Site& site, const Rows& x, const Rows& out, Stages& stages);
void add_guess_block(const Site& site, const ops::GuessBlock& op, const Rows& logits,
                     const Rows& scores, Stages& stages);
void add_finish_block(const Site& site, const ops::FinishBlock& op, const Rows& scores,
                      Stages& stages);

}  // namespace ttsrt::cpu
