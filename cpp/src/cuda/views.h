// What the kernels of a launch read and write, as raw pointers into device memory: the rows of the
// launch, the state of the slots, the paged cache, the outcome of the draws and a weight.
//
// Kernels know no Tensor, Backend or Program. All views are plain values that stay the same from
// launch to launch, so that a captured graph can hold them; what changes per launch are the numbers
// they point to. Grids are sized by a bound on the rows, and kernels leave where a row or a draw is
// not below the counts in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/inline.h"
#include "rules/slot_rules.h"
#include "rules/token_scores.h"

namespace ttsrt::cuda {

enum class Element : std::int32_t { float32, bfloat16, float16, int8 };

constexpr std::int32_t kCacheBlock = 16;  // positions of a cache block
constexpr std::int32_t kMaxHeadDim = 256;
constexpr std::int32_t kMaxDrawnVocab = 1 << 18;  // sums of draws are whole numbers of 2^-40
constexpr std::int32_t kDimUnit = 4;    // vectors of keys and values are padded to whole units
constexpr std::int32_t kMaxTables = 8;  // id tables, and position tables, of one embedding
constexpr std::uint32_t kNoFault = 0xFFFFFFFFU;
constexpr std::int32_t kZeroRow = -1;    // first code of a row of zeros
constexpr float kLargestWhole = 127.0F;  // of an int8 input, key or value
constexpr float kLeastInput = 1e-30F;    // inputs of which none is as large become int8 zeros
constexpr std::int32_t kMaxTokenBiases = 2048;  // of a slot

// Elements of a kept key or value; those behind head_dim are zeros.
TTSRT_RULE constexpr std::int32_t padded_dims(std::int32_t head_dim) {
  return (head_dim + kDimUnit - 1) / kDimUnit * kDimUnit;
}

// Where the rows of a launch come from; the first values are those of step::Input. Vectors that the
// host has not seen may be infinite or NaN.
enum class Source : std::int32_t {
  codes,
  ids,
  vectors,
  zeros,
  last_codes,
  block_codes,
  kept_rows,
  unchecked_vectors
};

// Counts of a launch, in this order at RowsView::counts.
enum class Count : std::int32_t {
  rows,
  draws,
  picks,
  pick_rows,
  pick_places,
  keeps_scores,  // 1 if the scores of any draw are kept, or 0
  stage,         // which of kStages buffers the launch uses
  segments,
  tiles,
  tells_logprobs,  // 1 if logarithms of probabilities of any draw are told, or 0
  num_counts
};

// Launches of a Program that may be packed and not yet collected: two flights may be outstanding,
// and a network launches a Program once in each. Each has buffers of its own in pinned memory.
constexpr std::int32_t kStages = 2;

// Rows of a segment that one thread block of whole items takes at most. A segment is cut into as
// few pieces as that allows, all of the same size but for the last: whole units of kItemUnit rows.
constexpr std::int32_t kItemTile = 320;
constexpr std::int32_t kItemUnit = 64;
TTSRT_RULE constexpr std::int32_t item_piece(std::int32_t length) {
  const std::int32_t pieces = (length + kItemTile - 1) / kItemTile;
  const std::int32_t each = pieces == 0 ? 0 : (length + pieces - 1) / pieces;
  return (each + kItemUnit - 1) / kItemUnit * kItemUnit;
}

// The rows of one launch, one entry per row. Rows of one segment are consecutive.
struct RowsView {
  const std::int32_t* counts = nullptr;     // [Count::num_counts]
  const std::int32_t* slot = nullptr;       // [rows] or -1: computed, kept nowhere
  const std::int32_t* position = nullptr;   // [rows] in the sequence of the row's branch
  const std::int32_t* branch = nullptr;     // [rows] 0: conditional, 1: unconditional
  const std::int32_t* source = nullptr;     // [rows] a Source
  const std::int32_t* source_at = nullptr;  // [rows] first id in `ids`; row of `vectors`; kept row;
                                            // place in the last codes (block_codes)
  const std::int32_t* id_table = nullptr;   // [rows]
  const std::int32_t* position_table = nullptr;  // [rows] or -1
  const std::int32_t* position_row = nullptr;    // [rows] in that table
  const std::int32_t* kept_row = nullptr;        // [rows] where StoreContext keeps the row
  const std::int32_t* applies_prior = nullptr;   // [rows] 0 or 1
  const std::int32_t* draw = nullptr;            // [rows] draw of a conditional row, or -1
  const std::int32_t* segment_begin = nullptr;   // [rows] first row of the row's segment
  const std::int32_t* segment_end = nullptr;     // [rows] one past its last row
  const std::int32_t* chain_begin = nullptr;     // [rows] first row of the segments that this one
                                                 // continues in this launch, itself included
  const std::int32_t* chain_end = nullptr;       // [rows] one past the last row of that chain
  const std::int32_t* table_at = nullptr;        // [rows] the sequence's first block in `blocks`
  const std::int32_t* blocks = nullptr;          // block tables, one behind the other
  const std::int32_t* ids = nullptr;             // codes [codebooks] per row, or one id per row
  const float* vectors = nullptr;                // [given rows, dim]

  const std::int32_t* draw_slot = nullptr;           // [draws]
  const std::int32_t* draw_conditional = nullptr;    // [draws] row
  const std::int32_t* draw_unconditional = nullptr;  // [draws] row, or -1: no guidance
  const std::int32_t* draw_forced = nullptr;  // [draws] first forced code in `ids`, or -1: none
  const std::int32_t* draw_rows = nullptr;    // [draws] rows of each branch, from those above on

  // Of launches that may verify drafts (rules/ahead.h); absent where none does.
  const std::int32_t* draw_ahead = nullptr;   // [draws] as step::Draw
  const std::int32_t* draw_drafts = nullptr;  // [draws] first draft, from `ids` on
  const std::int32_t* draw_guess = nullptr;   // [draws] 0 or 1

  const std::int32_t* pick_draw = nullptr;    // [picks] draws that use the local transformer
  const std::int32_t* pick_first = nullptr;   // [picks] the conditional row's place in pick_source;
                                              // the unconditional one follows
  const std::int32_t* pick_source = nullptr;  // [pick_rows] row of the launch

  // Of whole items; absent where no op of the Program asks for them.
  const std::int32_t* segment = nullptr;       // [rows] index of the row's segment
  const std::int32_t* schedule_row = nullptr;  // [rows] as step::Segment
  const std::int32_t* step_size = nullptr;     // [rows] the bits of a float32
  const std::int32_t* ends_step = nullptr;     // [rows] 0 or 1
  const std::int32_t* is_last = nullptr;       // [rows] 0 or 1
  const std::int32_t* settled_end = nullptr;   // [rows] one past the settled rows of the segment
  const std::int32_t* partner = nullptr;   // [rows] of a conditional row: that of the item's other
                                           // branch, or -1
  const std::int32_t* tile_row = nullptr;  // [tiles] first row of each piece of a segment
                                           // (item_piece)
};

// What step::TokenRules of a slot say, but for the lists.
struct TokenHead {
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  std::int32_t num_seen = 0;
  std::int32_t num_biases = 0;
  std::int32_t num_logprobs = -1;

  // Whether it counts for a score which ids were there before.
  TTSRT_RULE bool counts_ids() const {
    return repetition_penalty != 1.0F || presence_penalty != 0.0F || frequency_penalty != 0.0F;
  }
  TTSRT_RULE bool changes_scores() const { return counts_ids() || num_biases > 0; }
};

// Token rules of the slots; absent where slots take none.
struct TokensView {
  TokenHead* heads = nullptr;          // [slots]
  std::int32_t* seen = nullptr;        // [slots, max_drawn]
  rules::TokenBias* biases = nullptr;  // [slots, kMaxTokenBiases]
  std::int32_t* drawn = nullptr;       // [slots, max_drawn]: what each step drew
  std::int32_t max_drawn = 0;
};

// What the slots keep; [slots] unless said otherwise.
struct SlotsView {
  rules::SlotRules* rules = nullptr;
  rules::SlotState* states = nullptr;
  std::int32_t* counts = nullptr;      // [slots, max_text_len]
  std::int32_t* last_codes = nullptr;  // [slots, codebooks]
  std::uint32_t* seen = nullptr;       // [slots, codebooks, seen_words]
  float* context_rows = nullptr;       // [slots, max_context_rows, dim]
  TokensView tokens;
  std::int32_t num_slots = 0;
  std::int32_t max_text_len = 0;
  std::int32_t codebooks = 0;
  std::int32_t seen_vocab = 0;
  // [blocks * kCacheBlock, schedule_width], or [slots * StateSpec::schedule_rows, schedule_width]
  float* schedule = nullptr;
  std::int64_t schedule_width = 0;
  std::int32_t max_context_rows = 0;
  std::int32_t dim = 0;
};

// Rows that whole items keep: [slots, branches, rows, width].
struct RowArrayView {
  float* data = nullptr;
  std::int32_t rows = 0;
  std::int32_t width = 0;
  bool has_branches = false;  // false: one for both
};

// The history of one convolution: [slots, 2 branches, kernel - 1, width], oldest row first.
struct HistoryView {
  float* data = nullptr;
  std::int32_t kernel = 1;
  std::int32_t width = 0;
};

// Keys and values of one layer of the paged cache: [blocks][kv_heads][2] parts, keys first, each
// [16 positions][padded_dims(head_dim)] and, if int8, the 16 float32 scales of its positions behind
// them.
struct CacheView {
  std::byte* data = nullptr;
  Element element = Element::float32;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int64_t part_bytes = 0;   // keys or values of one head in one block, with their scales
  std::int64_t block_bytes = 0;  // 2 * heads * part_bytes
};

// Keys and values of cross-attention, of one decoder layer and memory of every slot: as the blocks
// of CacheView, consecutive, with `slot_bytes` from slot to slot.
struct MemoryView {
  CacheView blocks;
  std::int64_t slot_bytes = 0;
  bool is_context = false;  // rows are SlotRules::context_len, not text_len
};

// The outcome of a draw, beside its codes; as step::DrawOutput.
struct DrawResult {
  std::int32_t slot = 0;
  std::int32_t end_frame = -1;
  std::int32_t focus = -1;
  std::int32_t has_codes = 1;
  std::int32_t final_rows = 0;
};

// Logarithms of probabilities that a draw tells; as many of the likeliest as its slot asks for.
struct DrawLogprobs {
  float drawn = 0.0F;
  std::int32_t ids[rules::kMaxLogprobs] = {};
  float likeliest[rules::kMaxLogprobs] = {};
};

struct OutcomeView {
  std::int32_t* sampled = nullptr;    // [draws, codebooks], -1: not drawn
  std::int32_t* likeliest = nullptr;  // [draws, codebooks], -1: unknown
  float* scores = nullptr;            // [draws, max_text_len], zeros if a slot does not keep them
  DrawResult* results = nullptr;      // [draws]
  DrawLogprobs* logprobs = nullptr;   // [draws], or none where slots take no token rules
};

// Nanoseconds of the device's clock.
struct LaunchTimes {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// What the host reads of a launch, in pinned memory: the first kernel of the launch writes when it
// began, the last kernel all else.
struct ResultsView {
  LaunchTimes* times = nullptr;
  std::uint32_t* faults = nullptr;   // [max_rows]
  DrawResult* draws = nullptr;       // [max_draws]
  std::int32_t* codes = nullptr;     // [max_draws, codebooks]
  float* scores = nullptr;           // [max_draws, max_text_len], where Count::keeps_scores is 1
  DrawLogprobs* logprobs = nullptr;  // [max_draws], where Count::tells_logprobs is 1
};

// Where an op says that a row is not finite: the smallest word of each row stays (ops/faults.h).
struct FaultsView {
  std::uint32_t* words = nullptr;       // [rows], kNoFault where all is well
  std::uint32_t not_finite = kNoFault;  // the op's words
  std::uint32_t no_choice = kNoFault;
};

// A row-major table of float32, bfloat16 or float16.
struct TableView {
  const void* data = nullptr;
  Element element = Element::float32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// How the weight of a product is stored on the device (fragments.h).
enum class Format : std::int32_t { float32, bfloat16, float16, w8a16, w4a16, w8a8, w4a8 };

// A fragment has the weights of a tile's outputs for so many inputs.
constexpr std::int32_t kTile = 16;  // outputs
constexpr std::int32_t kFragmentBytes = 512;
TTSRT_RULE constexpr std::int32_t unit_of(Format format) {
  if (format == Format::float32) return 4;
  if (format == Format::bfloat16 || format == Format::float16) return 16;
  return format == Format::w4a16 || format == Format::w4a8 ? 64 : 32;
}

// The weight of a product [outputs, inputs] in the order in which the products' kernels read it.
struct ProductWeight {
  const void* data = nullptr;
  const void* scales = nullptr;  // w8: float32 [outputs]; w4: float16 [outputs, groups]; padded
  const std::uint8_t* zeros = nullptr;  // w4: [outputs, groups], or none: 8 everywhere
  Format format = Format::float32;
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  std::int64_t padded_inputs = 0;
  std::int64_t group_size = 0;  // w4
};

// How the weights of a convolution on Hopper are cut (conv_weights.h).
constexpr std::int32_t kConvColumns = 16;    // of a product
constexpr std::int32_t kConvChunkSteps = 4;  // products of a chunk and tap, at most
// Outputs of the smaller of the two large tiles: of causal convolutions, and within segments.
constexpr std::int32_t kCausalUnit = 56;
constexpr std::int32_t kSegmentUnit = 64;

struct ConvWeightShape {
  std::int32_t outputs = 0;
  std::int32_t width = 0;
  std::int32_t kernel = 1;
  std::int32_t unit = kCausalUnit;

  // Outputs of a tile: so few sizes that a kernel is compiled for each.
  TTSRT_RULE constexpr std::int32_t tile() const {
    if (outputs <= 8) return 8;
    if (outputs <= 32) return 32;
    return (outputs + unit - 1) / unit % 2 == 0 ? 2 * unit : unit;
  }
  TTSRT_RULE constexpr std::int32_t tiles() const { return (outputs + tile() - 1) / tile(); }
  TTSRT_RULE constexpr std::int32_t units() const {
    return (width + kConvColumns - 1) / kConvColumns;
  }
  TTSRT_RULE constexpr std::int32_t chunks() const {
    return (units() + kConvChunkSteps - 1) / kConvChunkSteps;
  }
  TTSRT_RULE constexpr std::int32_t steps_of(std::int32_t chunk) const {
    const std::int32_t left = units() - chunk * kConvChunkSteps;
    return left < kConvChunkSteps ? left : kConvChunkSteps;
  }
  TTSRT_RULE constexpr std::int64_t step_bytes() const {
    return std::int64_t{tile()} * kConvColumns * 2;
  }
  TTSRT_RULE constexpr std::int64_t tile_bytes() const { return step_bytes() * units() * kernel; }
};

}  // namespace ttsrt::cuda
