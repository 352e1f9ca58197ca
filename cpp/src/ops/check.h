// Checks that the inputs of a backend are sound and fit its state: Programs and stages at
// compile(), resets, block copies and batches when they are queued. Every backend calls these
// functions.
//
// All throw InternalError: what is checked here was written by a network or a loop, never by a
// user.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ops/uses.h"
#include "step/batch.h"

namespace ttsrt::ops {

void check_reset(const step::SlotReset& reset, const StateSpec& spec);
void check_copy(const step::BlockCopy& copy, const StateSpec& spec);

// A Program is sound if every buffer is written before it is read, widths, weights and row spaces
// agree, parts begin in order, and no op writes what another of its threads may be reading. Nested
// Programs are checked too.
void check_program(const Program& program, const StateSpec& spec);

// One stage of a backend. Without `has_barrier`, it runs between the same barriers as the next one.
struct StageUses {
  std::string name;
  Uses uses;
  bool has_barrier = true;  // after it
};

// Stages are sound if nothing is read and written between two barriers by different threads.
void check_stages(const std::vector<StageUses>& stages);

// The requirements of a Program on each batch, computed once, so that check_batch() costs a few
// comparisons per segment and allocates nothing.
struct BatchNeeds {
  struct Embedding {
    std::int32_t part = 0;
    bool has_codes = false;
    std::vector<std::int64_t> ids;        // rows of each id table
    std::vector<std::int64_t> positions;  // rows of each position table
    bool takes_device_vectors = false;    // set by a backend that reads them
  };
  std::string name;
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
  std::int32_t max_segments = 0;  // 0: as many as rows
  bool uses_cache = false;        // or keeps schedule rows in its blocks
  bool reads_schedule = false;    // a row of it in each segment
  bool keeps_schedule = false;    // in the slots
  std::int32_t array_rows = -1;   // most rows of a sequence in arrays of the slots; -1: it has none
  bool keeps_rows = false;
  bool keeps_past = false;               // last rows of a sequence, of the conditional branch only
  std::vector<std::int32_t> code_parts;  // parts that read the codes of each segment
  std::int32_t memory_rows =
      -1;  // most rows of a sequence that StoreMemory may keep; -1: it has none
  std::vector<Embedding> embeddings;
};

BatchNeeds needs_of(const Program& program, const ProgramLimits& limits, const StateSpec& spec);

// A batch fits if its segments are in order without gaps and all that it names exists: slots,
// blocks, ids, vectors, tables, positions, kept rows and the rows of draws.
void check_batch(const step::RowBatch& batch, const BatchNeeds& needs, const StateSpec& spec);

}  // namespace ttsrt::ops
