// One launch as plain values: which rows run, where they come from and what they may see.
//
// Decided: a segment is a run of rows of one branch of one sequence. Everything a backend needs per
// step stands here as numbers; nothing here knows a request. Arrays behind pointers belong to the
// sender and stay put until the ticket is collected.
#pragma once

#include <cstdint>
#include <vector>

#include "rules/slot_rules.h"

namespace ttsrt::step {

// A row's class is fixed by its place in its own request, never by its company.
enum class RowClass : std::int32_t {
  encode_text,     // text ids or features through the text encoder, keys and values kept
  project_memory,  // given encoder output: only keys and values
  encode_context,  // context codes or text through the context encoder
  prefill,         // decoder rows before the first whose logits are used
  decode,          // the others: one row per branch and step
};
constexpr std::int32_t kRowClasses = 5;
constexpr const char* kRowClassNames[kRowClasses] = {"encode_text", "project_memory",
                                                     "encode_context", "prefill", "decode"};

constexpr std::int32_t kZeroRow = -1;
constexpr std::int32_t kNobody = -1;  // slot of rows whose request is gone: computed, kept nowhere
constexpr std::int32_t kAllParts = 1 << 30;

enum class Input : std::int32_t {
  codes,    // ids [rows, C*S], the mean over the code tables; a row whose first id is kZeroRow is
            // zeros
  ids,      // ids [rows], in the id table that `table` names
  vectors,  // vectors [rows, dim]
  zeros,
  last_codes,  // the slot's
  kept_rows,   // rows that an earlier Program kept in the slot, from kept_offset on
};

enum class Branch : std::int32_t { conditional, unconditional };

struct Segment {
  std::int32_t slot = 0;  // or kNobody, after the first part of an encoder
  Branch branch = Branch::conditional;
  std::int32_t first_row =
      0;  // in the class's rows of this launch; segments are in order and without gaps
  std::int32_t rows = 0;
  std::int32_t position =
      0;  // of the first row; also how many positions of this branch are cached before it
  Input input = Input::zeros;
  std::int32_t table = 0;            // Input::ids: which of the Program's id tables
  std::int32_t position_table = -1;  // which learned positions are added to the rows; -1: none
  std::int32_t first_position = 0;   // of the first row in that table
  std::int32_t kept_offset = 0;  // Input::kept_rows, StoreContext: first of the slot's kept rows
  const std::int32_t* ids = nullptr;     // codes or ids
  const float* vectors = nullptr;        // [rows, dim]
  const std::int32_t* blocks = nullptr;  // block table of this branch, from position 0 on
  std::int32_t num_blocks = 0;
  bool apply_prior = false;  // cross-attention multiplies the slot's current prior row in
};

// A request that picks one stack of codes in this launch; its rows are decode rows.
struct Draw {
  std::int32_t slot = 0;
  std::int32_t conditional_row = 0;
  std::int32_t unconditional_row = -1;  // -1: no guidance
};

struct RowBatch {
  std::vector<Segment> segments;
  std::int32_t rows = 0;
  // Parts of the class's Program that run (ops/program.h). An encoder may pause behind a part and
  // go on in a later launch with the same rows; other classes run whole.
  std::int32_t first_part = 0;
  std::int32_t last_part = kAllParts;  // one past
  std::vector<Draw> draws;             // decode only
};

// A slot taken by a new request: its state is reset before any row runs.
struct Admission {
  std::int32_t slot = 0;
  rules::SlotRules rules;
};

// A cache block whose contents are copied, after prefill and before decode (a forked prefix's
// tail).
struct BlockCopy {
  std::int32_t from = 0;
  std::int32_t to = 0;
};

struct StepBatch {
  std::vector<Admission> admissions;
  RowBatch classes[kRowClasses];  // run in the order of RowClass
  std::vector<BlockCopy> block_copies;

  RowBatch& of(RowClass row_class) { return classes[static_cast<std::int32_t>(row_class)]; }
  const RowBatch& of(RowClass row_class) const {
    return classes[static_cast<std::int32_t>(row_class)];
  }
  void clear() {
    admissions.clear();
    block_copies.clear();
    for (auto& rows : classes) {
      rows.segments.clear();
      rows.draws.clear();
      rows.rows = 0;
      rows.first_part = 0;
      rows.last_part = kAllParts;
    }
  }
};

}  // namespace ttsrt::step
