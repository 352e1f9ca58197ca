// What one op touches, as values: parts of the state and buffers, how, and how threads divide them.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/activation.h"

namespace ttsrt::ops {

// What a use refers to: an activation, or a part of the slots' state.
enum class Part : std::int32_t {
  buffer,          // index: BufferId
  cache,           // paged self-attention cache; index: layer
  segment_blocks,  // keys and values of segments that keep nothing in the cache
  memory,          // cross-attention keys and values; index: layer
  kept_rows,
  history,   // index: conv
  prior,     // focus, counts and marks, and the step
  codes,     // last codes and seen sets
  outcome,   // of the draws of the flight
  rows,      // index: array of rows of the slots
  past,      // index: last rows of the input of an op with rates
  schedule,  // rows in the cache's blocks beside keys and values
};

enum class Access : std::int32_t {
  read,
  write,   // every row, without reading it
  update,  // reads and writes
};

// Which thread touches which piece. Two uses of the same division touch the same pieces in the same
// thread.
enum class Share : std::int32_t {
  row,     // rows of the thread's own; of scores: those of the draws of its rows
  column,  // columns of its own: panels of outputs, slices of a draw
  draw,    // draws of its own
  whole,   // any thread may touch any piece
};

struct Use {
  Part part = Part::buffer;
  std::int32_t index = 0;
  Access access = Access::read;
  Share share = Share::row;
  // Pieces that other threads wrote in an earlier phase of the op are read in a later one, so a
  // barrier stands between phases.
  std::int32_t phase = 0;

  bool reads() const { return access != Access::write; }
  bool writes() const { return access != Access::read; }
};

using Uses = std::vector<Use>;

inline void add_buffer(Uses& uses, BufferId buffer, Access access, Share share,
                       std::int32_t phase = 0) {
  if (buffer != kNoBuffer) uses.push_back({Part::buffer, buffer, access, share, phase});
}

// Whether two uses of one piece may meet between two barriers: neither writes, or each thread keeps
// to the same pieces in both.
inline bool may_meet(const Use& a, const Use& b) {
  if (a.part != b.part || a.index != b.index || (!a.writes() && !b.writes())) return true;
  return a.share == b.share && a.share != Share::whole;
}

}  // namespace ttsrt::ops
