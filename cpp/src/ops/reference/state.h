// The state that the reference keeps between launches, per slot and in the paged cache, and the
// outcome of the running flight.
//
// Keys and values are float32 values that were rounded to the type of the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
  std::vector<std::uint32_t> seen;       // [codebooks, seen_words], if a penalty uses them
  std::shared_ptr<const step::TokenRules> tokens;  // or null
  std::vector<std::int32_t> drawn;                 // [max_drawn]
  std::vector<float> text_memory;                  // [layers, max_text_len, 2, heads * head_dim]
  std::vector<float> context_memory;  // [layers, max_context_memory, 2, heads * head_dim]
  std::vector<float> context_rows;    // [max_context_rows, dim]
  std::vector<std::vector<float>>
      histories[2];  // per branch and convolution: [kernel - 1, width], oldest first
  std::vector<std::vector<float>> past;    // of StateSpec::past: [rows, width], oldest first
  std::vector<std::vector<float>> arrays;  // of StateSpec::rows: [branches, rows, width]
};

// The results of the draws of the running flight.
struct Outcome {
  std::vector<std::int32_t> sampled;    // [draws, codebooks], -1: not drawn
  std::vector<std::int32_t> likeliest;  // [draws, codebooks], -1: unknown
  std::vector<float> scores;            // [draws, max_text_len], zeros if a slot does not keep them
  bool keeps_scores = false;            // whether any draw does
  std::vector<float> logprobs;          // [draws], of draws that tell them
  std::vector<std::int32_t> likeliest_ids;  // [draws, rules::kMaxLogprobs]
  std::vector<float> likeliest_logprobs;    // [draws, rules::kMaxLogprobs]
  bool tells_logprobs = false;              // whether any draw does
  std::vector<step::DrawOutput> draws;      // from FinishStep
};

class State {
 public:
  // The state's part of what a backend takes.
  static MemoryUse memory_use(const StateSpec& spec);

  explicit State(const StateSpec& spec);

  const StateSpec& spec() const { return spec_; }
  std::size_t bytes() const;
  Slot& slot(std::int32_t index);
  // Returns the seen set of a place, or null if the slot's rules have no penalty.
  std::uint32_t* seen(Slot& slot, std::int32_t place) const;

  void reset_slot(const step::SlotReset& reset);
  void copy_block(const step::BlockCopy& copy);
  void start_outcome(std::size_t draws);

  // Returns keys (part 0) or values (part 1) of a position in a block: [heads * head_dim].
  float* cache_row(std::int32_t layer, std::int32_t block, std::int32_t offset, std::int32_t part);
  // Returns keys or values of a row of a slot's cross-attention memory: [heads * head_dim].
  float* memory_row(Slot& slot, Memory memory, std::int32_t layer, std::int32_t row,
                    std::int32_t part);
  // Returns a row of an array of a slot, or null where the array has no such branch.
  float* array_row(Slot& slot, std::int32_t array, step::Branch branch, std::int64_t row);
  // Returns a row of a schedule, which stands in the blocks of the cache or in a slot
  // [schedule_width].
  float* schedule_row(std::int64_t row);
  // Rounds `row` [heads * head_dim] as storing it in the cache does.
  void keep(const float* row, std::int32_t heads, std::int32_t head_dim, float* kept) const;

  Outcome outcome;

 private:
  StateSpec spec_;
  std::vector<Slot> slots_;
  std::vector<float> schedule_;  // [StateSpec::all_schedule_rows(), schedule_width]
  std::vector<float> cache_;     // [layers, blocks, kBlockSize, 2, heads * head_dim]
};

}  // namespace ttsrt::ops::reference
