// One launch as plain values: which rows run, where they come from and what they may see.
//
// Decided: a segment is a run of rows of one branch of one sequence. Everything a backend needs per
// step stands here as numbers; nothing here knows a request. Arrays behind pointers belong to the
// sender and stay put until the ticket is collected.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rules/slot_rules.h"
#include "step/token_rules.h"

namespace ttsrt::step {

constexpr std::int32_t kZeroRow = -1;
constexpr std::int32_t kNoSlot = -1;  // slot of rows that are computed and kept nowhere
constexpr std::int32_t kAllParts = 1 << 30;

enum class Input : std::int32_t {
  codes,    // ids [rows, C*S], the mean over the code tables; a row whose first id is kZeroRow is
            // zeros
  ids,      // ids [rows], in the id table that `table` names
  vectors,  // vectors or device_vectors [rows, dim]
  zeros,
  last_codes,   // the slot's
  block_codes,  // of the slot's last codes, one for each row
  kept_rows,    // rows that an earlier Program kept in the slot, from kept_offset on
};

enum class Branch : std::int32_t { conditional, unconditional };

struct Segment {
  // Or kNoSlot: after the first part of an encoder, the request is gone; or nothing of the rows,
  // which come from ids or vectors, is kept.
  std::int32_t slot = 0;
  Branch branch = Branch::conditional;
  std::int32_t first_row =
      0;  // in the Program's rows of this launch; segments are in order and without gaps
  std::int32_t rows = 0;
  std::int32_t position =
      0;  // of the first row; also how many positions of this branch are cached before it
  Input input = Input::zeros;
  std::int32_t table = 0;            // Input::ids: which of the Program's id tables
  std::int32_t position_table = -1;  // which learned positions are added to the rows; -1: none
  std::int32_t first_position = 0;   // of the first row in that table
  std::int32_t kept_offset = 0;  // Input::kept_rows, StoreContext: first of the slot's kept rows
  const std::int32_t* ids = nullptr;      // codes or ids
  const float* vectors = nullptr;         // [rows, dim]
  const float* device_vectors = nullptr;  // or in the memory of the backend's device: [rows, dim]
  const std::int32_t* blocks = nullptr;   // block table of this branch, from position 0 on
  std::int32_t num_blocks = 0;
  bool apply_prior = false;  // cross-attention multiplies the slot's current prior row in
  // Of an item that runs again and again (step/itinerary.h: Evaluation):
  // block * kBlockSize + place in it; or the evaluation, where slots keep schedules.
  std::int32_t schedule_row = 0;
  float step_size = 0.0F;
  bool ends_step = true;
  bool is_last = false;
  // Of the segment's first rows, so many become known values at the end of this evaluation. From
  // ops::Program::settled_begin on, a backend needn't compute them.
  std::int32_t settled_rows = 0;
};

// The rows of an item's unconditional branch follow those of its conditional branch. Returns them,
// or null where the item has one branch.
inline const Segment* partner_of(const std::vector<Segment>& segments, std::size_t index) {
  if (index + 1 >= segments.size()) return nullptr;
  const Segment& next = segments[index + 1];
  const bool is_partner = segments[index].branch == Branch::conditional &&
                          next.branch == Branch::unconditional && next.slot == segments[index].slot;
  return is_partner ? &next : nullptr;
}

// A request that picks one stack of codes in this launch, or goes on with deciding one; its rows
// are rows of the stepwise Program.
struct Draw {
  std::int32_t slot = 0;
  std::int32_t conditional_row = 0;
  std::int32_t unconditional_row = -1;   // -1: no guidance
  const std::int32_t* forced = nullptr;  // [C*S] codes that replace the drawn ones; null: none
  std::int32_t rows = 1;                 // of each branch, from those above on
  // Verifies drafts (rules/ahead.h): of draws of one slot, one behind the other, how many are
  // before this one, and the ids that it takes them to draw [ahead]. If they draw others, or one of
  // them ends what is generated, this draw gives no code, and its row is as if it had never run.
  std::int32_t ahead = 0;
  const std::int32_t* drafts = nullptr;
  // Makes a draft for another network: it draws as behind `ahead` draws of `drafts`, of which none
  // need be in this launch, gives that code, and leaves nothing in the slot.
  bool is_guess = false;

  // The code of a place of the stack, of which `drawn` was drawn.
  std::int32_t code(std::int32_t place, std::int32_t drawn) const {
    return forced != nullptr ? forced[place] : drawn;
  }
};

// A cache block whose contents are copied: the tail of a prefix that is forked.
struct BlockCopy {
  std::int32_t from = 0;
  std::int32_t to = 0;
};

// The rows of one Program in one launch.
struct RowBatch {
  std::vector<Segment> segments;
  std::int32_t rows = 0;
  // Parts of the Program that run (ops/program.h). A Program of whole items may pause behind a part
  // and go on in a later launch with the same rows; others run all of their parts.
  std::int32_t first_part = 0;
  std::int32_t last_part = kAllParts;  // one past
  bool returns_rows = true;            // what the Program emits comes back
  std::vector<Draw> draws;             // stepwise only
  std::vector<BlockCopy> copies;       // made before these rows run

  void clear() {
    segments.clear();
    rows = 0;
    first_part = 0;
    last_part = kAllParts;
    returns_rows = true;
    draws.clear();
    copies.clear();
  }
};

// A slot taken by a new request, or by the next round of its own: its state is reset before any row
// runs. In the next round, kept rows, the context's memory and past rows are those of before.
struct SlotReset {
  std::int32_t slot = 0;
  rules::SlotRules rules;
  bool is_next_round = false;
  std::shared_ptr<const TokenRules> tokens = nullptr;  // null: none
};

// One launch of a network. `programs` has an entry for every Program, with or without rows; they
// run in this order.
struct StepBatch {
  std::vector<SlotReset> resets;
  std::vector<RowBatch> programs;

  // Forgets the rows and keeps the room.
  void clear(std::size_t num_programs) {
    resets.clear();
    programs.resize(num_programs);
    for (RowBatch& rows : programs) rows.clear();
  }
};

}  // namespace ttsrt::step
