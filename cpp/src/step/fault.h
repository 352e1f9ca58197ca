// A row of a launch whose values are not finite, as a plain value.
//
// Infinity and NaN are never hidden: every op hands on a row that has them as a row that has them.
// Only where rows enter or leave the Program are they looked for: where the device reads rows that
// the host has not checked, where something is stored in a slot or in the cache, where scores move
// the prior or become a result, and where codes are drawn.
#pragma once

#include <cstdint>

namespace ttsrt::step {

enum class FaultStage : std::int32_t {
  given_rows,       // rows of the request that were given on the device
  self_attention,   // keys and values of the paged cache, as stored
  cross_attention,  // keys and values of the memory, as stored
  kept_rows,        // rows kept in the slot, inputs of a later Program
  scores,           // attention scores, which move the prior and are returned
  logits,           // of the heads, before masks; of both branches, and their guided mix
  local_logits,     // the same of a local transformer, in any of its passes
  choice,           // the masks of a request leave no id to draw
  item_rows,        // rows that a whole item keeps, its state among them
  schedule,         // rows kept in the blocks of the cache, for all evaluations
  emitted,          // samples and rows of a spectrogram
};

// Of the ops that found a row not finite, the first.
struct Fault {
  std::int32_t program = 0;
  std::int32_t row = 0;  // of the Program's rows in this launch
  FaultStage stage = FaultStage::logits;
  std::int32_t layer = -1;  // of the decoder; -1: the stage has none
};

}  // namespace ttsrt::step
