// Attention of prefill over tiles (cpu/kernels/tile_kernels.h): causal, over a cache of bfloat16.
#pragma once

#include "cpu/stages/attention_stages.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// Whether this attention of the Program uses tiles. A Program whose rows draw never does, since a
// launch has few rows of each sequence.
bool attends_prefill_by_tiles(const Site& site, const ops::Program& program,
                              const ops::SelfAttention& op);

void add_prefill_attention(const Site& site, const ops::SelfAttention& op,
                           const SelfAttentionRows& rows, Stages& stages);

}  // namespace ttsrt::cpu
