// The tensors that a runner binds, in groups that several plugins take: the tables of a launch, the
// state of the slots, the outcome of the draws, the paged cache. Each group has its attributes, its
// ports, and the view that the launchers take.
//
// The tables of a launch are one tensor, laid out as cuda::RowsLayout says, because TensorRT asks
// for tensors that begin at multiples of 256 bytes, and a launch then is one copy. State is written
// through inputs, in place: no plugin owns any. No extent is 0: arrays that a model has no use for
// have one number.
#pragma once

#include <cstdint>

#include "common/op.h"
#include "cuda/rows_layout.h"
#include "cuda/views.h"

namespace ttsrt::plugins {

// Each throws ConfigError, which names plugin, field and value, unless the value is in its range.
void check_at_least(const char* plugin, const char* field, std::int64_t least, std::int64_t value);
void check_at_most(const char* plugin, const char* field, std::int64_t most, std::int64_t value);
void check_is_count(const char* plugin, const char* field, std::int64_t least, std::int64_t value);
void check_is_one_of(const char* plugin, const char* field, std::int64_t first, std::int64_t last,
                     std::int64_t value);
// The type that a field `..._type` says, a cuda::Element: float32 or float16. Throws ConfigError
// for bfloat16 and int8, which the plugins do not take, by their names.
Type float_type(const char* plugin, const char* field, std::int32_t element);

// Largest rows and draws of a launch, and the sizes of its tables.
struct LaunchAttributes {
  std::int32_t max_rows = 1;
  std::int32_t max_draws = 1;
  std::int32_t max_blocks = 0;  // of a segment's block table
  std::int32_t codebooks = 1;   // that a slot keeps: C*S
  std::int32_t code_width = 0;  // ids of a row of codes
  // Most segments of a launch. Above 0, the tables have the arrays of whole items, which ops that
  // read whole segments need.
  std::int32_t max_segments = 0;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("max_rows", self.max_rows);
    visit("max_draws", self.max_draws);
    visit("max_blocks", self.max_blocks);
    visit("codebooks", self.codebooks);
    visit("code_width", self.code_width);
    visit("max_segments", self.max_segments);
  }
  void check(const char* plugin) const;
  cuda::RowsLayout layout() const;
  cuda::ItemTiles tiles() const { return {max_segments}; }
  std::int64_t draws() const { return layout().draws(); }
  // Draws of a launch of so many rows at most.
  std::int32_t most_draws(std::int32_t rows) const { return rows < max_draws ? rows : max_draws; }

  void add_to(Signature& signature) const;  // launch: int32 [numbers]
  cuda::RowsView view(const Call& call) const;
  const std::int32_t* count(const Call& call, cuda::Count which) const;
};

// Where an op says that a row is not finite, and its words (ops/faults.h).
struct FaultAttributes {
  std::int32_t not_finite = -1;  // -1: kNoFault
  std::int32_t no_choice = -1;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("not_finite", self.not_finite);
    visit("no_choice", self.no_choice);
  }
  void add_to(Signature& signature, const LaunchAttributes& launch) const;  // faults: [max_rows]
  cuda::FaultsView view(const Call& call) const;
};

// What the slots keep.
struct SlotAttributes {
  std::int32_t slots = 1;
  std::int32_t max_text_len = 0;
  std::int32_t seen_vocab = 0;
  std::int32_t max_context_rows = 0;
  std::int32_t dim = 0;  // of a context row

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("slots", self.slots);
    visit("max_text_len", self.max_text_len);
    visit("seen_vocab", self.seen_vocab);
    visit("max_context_rows", self.max_context_rows);
    visit("dim", self.dim);
  }
  void check(const char* plugin) const;
  std::int64_t text_extent() const { return max_text_len > 1 ? max_text_len : 1; }
  // slot_rules, slot_states, visit_counts, last_codes, seen_codes, context_rows
  void add_to(Signature& signature, const LaunchAttributes& launch) const;
  cuda::SlotsView view(const Call& call, const LaunchAttributes& launch) const;
};

// The outcome of the draws: sampled and likeliest codes, kept alignment, results.
void add_outcome(Signature& signature, const LaunchAttributes& launch, const SlotAttributes& slots);
cuda::OutcomeView outcome_of(const Call& call);

// Scores of the alignment that a launch adds up: [draws, max text_len].
void add_scores(Signature& signature, const LaunchAttributes& launch, const SlotAttributes& slots);

// Keys and values of a head in blocks: [..., heads, 2, 16, padded head_dim] of the type.
struct CacheAttributes {
  std::int32_t cache_type = 0;    // a cuda::Element
  std::int32_t cache_blocks = 0;  // of the layer's pool; of a memory: of one slot and layer

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("cache_type", self.cache_type);
    visit("cache_blocks", self.cache_blocks);
  }
  cuda::CacheView view(void* data, std::int32_t heads, std::int32_t head_dim) const;
  void add_block_extents(Port& port, std::int32_t heads, std::int32_t head_dim) const;
};

// The cross-attention memory of one layer, in the tensor `memory` of all slots and layers.
struct MemoryAttributes {
  CacheAttributes blocks;
  std::int32_t layers = 1;
  std::int32_t layer = 0;        // of the decoder
  std::int32_t first_block = 0;  // of this memory, in the blocks of a slot and layer
  std::int32_t is_context = 0;   // 1: as long as SlotRules::context_len, not text_len
  std::int32_t heads = 1;
  std::int32_t head_dim = 0;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    CacheAttributes::each(self.blocks, visit);
    visit("layers", self.layers);
    visit("layer", self.layer);
    visit("first_block", self.first_block);
    visit("is_context", self.is_context);
    visit("heads", self.heads);
    visit("head_dim", self.head_dim);
  }
  void check(const char* plugin) const;
  void add_to(Signature& signature, const char* plugin, bool is_written) const;
  cuda::MemoryView view(const Call& call) const;
};

// The order of plugins, which all read or change state: the last input and the last output of each
// are one int32 that nobody reads. A network hands it from plugin to plugin, in the order of the
// Program, and the last one is an output of the network, so that TensorRT keeps and orders them
// all.
void add_token(Signature& signature);

// An input [R] of which only the extent is read, for plugins that have no activation.
void add_rows(Signature& signature);

}  // namespace ttsrt::plugins
