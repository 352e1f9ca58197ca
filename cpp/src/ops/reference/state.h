// What the reference keeps between launches, per slot and in the paged cache, and the outcome of
// the flight that runs.
//
// Keys and values are kept as float32 that were rounded to the cache's type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/backend.h"
#include "rules/slot_rules.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::ops::reference {

struct Slot {
  rules::SlotRules rules;
  rules::SlotState state;
  std::vector<std::int32_t> counts;      // [max_text_len]
  std::vector<std::int32_t> last_codes;  // [codebooks]
  std::vector<std::uint32_t> seen;       // [codebooks, seen_words] where a penalty counts them
  std::vector<float> text_memory;        // [layers, max_text_len, 2, heads * head_dim]
  std::vector<float> context_memory;     // [layers, max_context_memory, 2, heads * head_dim]
  std::vector<float> context_rows;       // [max_context_rows, dim]
  std::vector<std::vector<float>>
      histories[2];  // of a branch, of a conv: [kernel - 1, width], oldest first
};

// Of the draws of the flight that runs.
struct Outcome {
  std::vector<std::int32_t> sampled;    // [draws, codebooks], -1: not drawn
  std::vector<std::int32_t> likeliest;  // [draws, codebooks], -1: not known
  std::vector<float> scores;  // [draws, max_text_len], zeros where a slot doesn't keep them
  bool keeps_scores = false;  // whether any draw does
  std::vector<step::DrawOutput> draws;  // from FinishStep
};

class State {
 public:
  // The state's part of what a backend takes.
  static MemoryUse memory_use(const StateSpec& spec);

  explicit State(const StateSpec& spec);

  const StateSpec& spec() const { return spec_; }
  std::size_t bytes() const;
  Slot& slot(std::int32_t index);
  // The seen set of a place, or null where the slot's rules count none.
  std::uint32_t* seen(Slot& slot, std::int32_t place) const;

  void admit(const step::Admission& admission);
  void copy_block(const step::BlockCopy& copy);
  void start_outcome(std::size_t draws);

  // Keys (part 0) or values (part 1) of a position in a block: [heads * head_dim].
  float* cache_row(std::int32_t layer, std::int32_t block, std::int32_t offset, std::int32_t part);
  // Keys or values of a row of a slot's cross-attention memory: [heads * head_dim].
  float* memory_row(Slot& slot, Memory memory, std::int32_t layer, std::int32_t row,
                    std::int32_t part);
  // `row` [heads * head_dim] as the cache gives it back once stored.
  void keep(const float* row, std::int32_t heads, std::int32_t head_dim, float* kept) const;

  Outcome outcome;

 private:
  StateSpec spec_;
  std::vector<Slot> slots_;
  std::vector<float> cache_;  // [layers, blocks, kBlockSize, 2, heads * head_dim]
};

}  // namespace ttsrt::ops::reference
