// The state of the slots on the CPU: paged self-attention cache, cross-attention memory, rules,
// prior state, codes, convolution histories, last rows of inputs.
//
// Keys and values are stored in blocks of 16 positions. Each block has per head keys [head_dim][16]
// and values [16][head_dim]; int8 keys and values are each followed by the scales of the positions.
// The cross-attention memory uses the same blocks, consecutive per slot and layer. Each array has
// its own mapping, zeroed and aligned to 64 bytes.
#pragma once

#include <memory>
#include <vector>

#include "cpu/aligned_buffer.h"
#include "cpu/kernels/kernels.h"
#include "ops/backend.h"
#include "rules/slot_rules.h"

namespace ttsrt::cpu {

// Returns the table index of a stored type; throws InternalError for types that kernels cannot
// read.
Element element_of(DType dtype);

// The location of keys and values of one layer: those of head h in block b are at data +
// b * block_bytes + h * head_bytes, keys first.
struct BlockLayout {
  Element element = Element::float32;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int64_t head_bytes = 0;   // keys of one head in one block, with their scales
  std::int64_t block_bytes = 0;  // keys and values of all heads

  static BlockLayout of(DType dtype, std::int32_t heads, std::int32_t head_dim);
  std::int64_t value_offset() const { return head_bytes * heads; }
};

// The results of the draws of the flight that is running or ran last.
struct Outcome {
  std::int32_t draws = 0;
  std::int32_t finished = 0;            // draws that a FinishStep has handled
  std::vector<std::int32_t> sampled;    // [max draws, codebooks], -1: not drawn
  std::vector<std::int32_t> likeliest;  // [max draws, codebooks], -1: unknown
  std::vector<float> scores;  // [max draws, max text_len], zeros if a slot does not keep them
  std::vector<step::DrawOutput> outputs;  // [max draws]
  // Where slots take token rules, of draws that tell them:
  std::vector<float> logprobs;              // [max draws]
  std::vector<std::int32_t> likeliest_ids;  // [max draws, rules::kMaxLogprobs]
  std::vector<float> likeliest_logprobs;    // [max draws, rules::kMaxLogprobs]
};

class Slots {
 public:
  explicit Slots(const ops::StateSpec& spec);
  // The state's part of what a backend takes.
  static ops::MemoryUse memory_use(const ops::StateSpec& spec);

  const ops::StateSpec& spec() const { return spec_; }
  std::size_t bytes() const;
  void reset(const step::SlotReset& reset);
  void copy_block(const step::BlockCopy& copy);
  void make_room(std::int32_t max_draws);  // allocates the outcome
  void start_outcome(std::int32_t draws);

  const BlockLayout& cache_layout() const { return cache_layout_; }
  const BlockLayout& memory_layout() const { return memory_layout_; }
  std::byte* cache(std::int32_t layer) const;
  std::byte* memory(std::int32_t slot, std::int32_t layer, ops::Memory memory) const;
  float* context_row(std::int32_t slot, std::int32_t row) const;
  float* conv_history(std::int32_t conv, std::int32_t slot,
                      step::Branch branch) const;           // [kernel - 1, width]
  float* past(std::int32_t past, std::int32_t slot) const;  // [rows, width]
  // Returns a row of an array of rows, or null where the array has no such branch.
  float* array_row(std::int32_t array, std::int32_t slot, step::Branch branch,
                   std::int64_t row) const;
  float* schedule_row(std::int64_t row) const;
  std::int32_t* counts(std::int32_t slot) const;
  std::int32_t* last_codes(std::int32_t slot) const;
  // Returns the seen set of a place (rules/seen.h), or null if the slot's rules have no penalty.
  std::uint32_t* seen(std::int32_t slot, std::int32_t place) const;
  // The ids that a slot with token rules drew [max_drawn].
  std::int32_t* drawn(std::int32_t slot) const;
  std::int32_t memory_rows(ops::Memory memory) const;

  std::vector<rules::SlotRules> rules;                          // [slots]
  std::vector<std::shared_ptr<const step::TokenRules>> tokens;  // [slots], null: none
  std::vector<rules::SlotState> states;                         // [slots]
  Outcome outcome;

 private:
  std::int64_t memory_blocks() const;  // of one slot and layer, text and context

  ops::StateSpec spec_;
  BlockLayout cache_layout_;
  BlockLayout memory_layout_;
  AlignedBuffer cache_;
  AlignedBuffer memory_;
  AlignedBuffer context_;
  AlignedBuffer counts_;
  AlignedBuffer last_codes_;
  AlignedBuffer seen_;   // [slots, codebooks, seen_words]
  AlignedBuffer drawn_;  // [slots, max_drawn]
  std::vector<AlignedBuffer> convs_;
  std::vector<AlignedBuffer> pasts_;
  std::vector<AlignedBuffer> arrays_;
  AlignedBuffer schedule_;  // [StateSpec::all_schedule_rows(), schedule_width]
};

}  // namespace ttsrt::cpu
