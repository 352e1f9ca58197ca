// Work that was queued together, and what its copies use (ops::Backend::submit).
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/executable.h"
#include "cuda/handles.h"
#include "cuda/token_lists.h"
#include "step/batch.h"

namespace ttsrt::cuda {

// One command of a flight.
struct Command {
  Compiled* compiled = nullptr;  // with rows
  const step::RowBatch* rows = nullptr;
  std::int32_t first = 0;  // of resets or copies
  std::int32_t count = 0;
  bool is_reset = false;
  std::int32_t launch = -1;  // of `compiled`, once it is on its way
};

// A flight, with the pinned memory that its copies use. create_state() allocates it.
struct Flight {
  std::vector<Command> commands;
  PinnedBuffer resets;  // SlotResetEntry [slots]
  TokenLists tokens;    // of the resets
  std::int32_t num_resets = 0;
  PinnedBuffer copies;  // pairs [num_blocks, 2]
  std::int32_t num_copies = 0;
  bool has_draws = false;
  Event end;
  std::exception_ptr failure;  // of a launch that was refused as it was issued

  void clear() {
    commands.clear();
    num_resets = 0;
    num_copies = 0;
    has_draws = false;
    failure = nullptr;
  }
};

}  // namespace ttsrt::cuda
