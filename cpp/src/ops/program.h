// A Program is a list of operations over rows of one kind; a family writes it once, and a
// backend compiles it once.
//
// Operations say *what* is computed, never how. Buffers are ids. Row counts, segments, slots and
// block tables are run-time values (step/batch.h), so one Program serves every batch. Activations
// are float32 at the interface of every backend. A linear product rounds its input to bfloat16 if
// the weight is bfloat16, or as its quantization says (ops/weight.h), and accumulates in float32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ops/activation.h"
#include "ops/rate_ops.h"
#include "ops/source_ops.h"
#include "ops/weight.h"
#include "ops/whole_ops.h"

namespace ttsrt::ops {

// Fills rows from the sources that their segments name (step/batch.h): codec codes (the mean over
// the C*S tables), ids of one of the id tables, given vectors, zeros, the slot's last codes (one
// stack for one row, or a code for each row of a block), the slot's kept rows. If a segment names a
// table of learned positions, their vectors are added.
struct EmbedRows {
  BufferId out = kNoBuffer;             // [rows, dim]
  Weight code_tables;                   // [codebooks * V, dim] dense, or absent
  std::int32_t codebooks = 0;           // C*S tables
  std::int32_t vocab = 0;               // V rows of each
  std::vector<Weight> id_tables;        // each [ids, dim] dense
  std::vector<Weight> position_tables;  // each [positions, dim] dense
  bool adds_positions = true;           // false: positions are not added
};

enum class NormKind : std::int32_t {
  layer,  // (x - mean) / sqrt(variance + epsilon) * weight + bias
  rms,    // x / sqrt(mean of x^2 + epsilon) * weight + bias
};

// Statistics in float32 over the row.
struct Norm {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, width]
  Weight weight;             // [width] float32
  float epsilon = 1e-5F;
  NormKind kind = NormKind::layer;
  Weight bias = {};  // [width] float32, or absent
};

// Computes value = activate(x W^T + bias) + addend, and out = value or out += value. An addend
// keeps the order of sums if two branches are added to one residual: out + (addend + product).
struct Linear {
  BufferId x = kNoBuffer;    // [rows, K]
  BufferId out = kNoBuffer;  // [rows, N]
  Weight weight;             // [N, K] panel16
  Weight bias;               // [N] float32, or absent
  Activate activate = Activate::none;
  bool accumulate = false;
  BufferId addend = kNoBuffer;  // [rows, N], or none
};

// Computes out = activate(gate) * up, between the two products of a gated feed-forward.
struct Gate {
  BufferId x = kNoBuffer;    // [rows, 2 * width], gates first
  BufferId out = kNoBuffer;  // [rows, width]
  Activate activate = Activate::silu;
};

// Concatenates the `kernel` neighbours of a row in its segment, so that a convolution becomes a
// Linear: out[r] = [x[r - before], ..., x[r + after]], before + 1 + after = kernel; causal means
// after = 0. Rows outside the segment are zeros, or, if `history` names a convolution state of the
// slots, the rows before this segment; the op then updates the state. A segment at position 0 has
// no rows before it. A segment that continues the previous segment of the launch uses its rows.
struct Unfold {
  BufferId x = kNoBuffer;    // [rows, width]
  BufferId out = kNoBuffer;  // [rows, kernel * width]
  std::int32_t kernel = 1;
  bool causal = true;
  std::int32_t history = -1;  // index into the slots' conv states, -1: none
};

// Multi-head attention of a row on the rows of its own sequence. qkv rows are [Q | K | V], heads
// contiguous inside each; query head h reads key and value head h * kv_heads / heads. `rope` turns
// queries and keys by their row's position before anything is kept: row p of the table has the
// cosines, then the sines, of the pairs (j, j + r / 2) of each head's first r dimensions:
// (a, b) becomes (a cos - b sin, b cos + a sin). `cache_layer` >= 0: keys and values are appended
// to that layer of the paged cache through the segment's block table, and row at position p sees
// positions 0..p, or, if not causal, 0 to the last of its segment. -1: nothing is kept; a row sees
// its own segment (all of it, or up to itself if causal).
//
// `scores` asks for the alignment of draws whose rules read it (rules::reads_scores): to the row of
// such a draw, each head in the mask `score_heads` adds `score_share` times the probabilities with
// which the conditional row attends to the positions of the text, [text_begin, text_begin +
// text_len). Nothing else changes by that. Needs a cache layer.
struct SelfAttention {
  BufferId qkv = kNoBuffer;  // [rows, (heads + 2 * kv_heads) * head_dim]
  BufferId out = kNoBuffer;  // [rows, heads * head_dim]
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t cache_layer = -1;
  bool causal = true;
  std::int32_t kv_heads = 0;      // 0: as many as heads
  float scale = 0.0F;             // of the scores; 0: 1 / sqrt(head_dim)
  Weight rope = {};               // [positions, r] dense float32, or absent
  BufferId scores = kNoBuffer;    // [draws, max text_len], or none
  std::uint64_t score_heads = 0;  // bit h: query head h
  float score_share = 1.0F;
  std::int32_t rope_heads = 0;  // heads that the rope turns, from the first on; 0: all
  // RMS norms of each head of queries and of keys, before the rope: float32 [heads * head_dim] and
  // [kv_heads * head_dim], or both absent.
  Weight q_norm = {};
  Weight k_norm = {};
  float head_norm_epsilon = 1e-6F;
  // Without a cache layer: keys and values are rounded to this type, and where that is narrow, a
  // backend may round queries and probabilities to it as well.
  DType segment_dtype = DType::float32;

  std::int32_t num_kv_heads() const { return kv_heads > 0 ? kv_heads : heads; }
};

// The memory that cross-attention reads: the text or, in multi-encoder models, the context.
enum class Memory : std::int32_t { text, context };

// Stores projected cross-attention keys and values of the segment's rows in its slot.
struct StoreMemory {
  BufferId kv = kNoBuffer;  // [rows, 2 * heads * head_dim], keys first
  std::int32_t layer = 0;   // decoder layer
  Memory memory = Memory::text;
};

// Cross-attention of conditional rows to their slot's memory. Rows of an unconditional branch get
// exactly zero, which zero keys and values would give. In the layers that the slot's rules name,
// the prior multiplies the probabilities, which are then renormalised. Layers named for estimation
// add their mean over heads to `scores` (decode rows only).
struct CrossAttention {
  BufferId q = kNoBuffer;       // [rows, heads * head_dim]
  BufferId out = kNoBuffer;     // [rows, heads * head_dim]
  BufferId scores = kNoBuffer;  // [draws, max text_len], or none
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t layer = 0;
  Memory memory = Memory::text;
};

// Stores rows in the slot's context buffer, from the segment's kept_offset on, as inputs of the
// decoder.
struct StoreContext {
  BufferId x = kNoBuffer;  // [rows, dim]
};

// Sets the draws' rows of `scores` to zero, before the first attention that adds to them.
struct ClearScores {
  BufferId scores = kNoBuffer;  // [draws, max text_len]
};

// Updates focus, counts and marks of each draw from its scores (rules/prior.h), and what its
// analyzer says (rules/analyzer.h); keeps the scores of draws that return them.
struct UpdatePrior {
  BufferId scores = kNoBuffer;  // [draws, max text_len]
};

// Samples from independent heads: guidance, the analyzer's verdict, masks, filters and a draw per
// slice, for draws whose rules do not use a local transformer. For every draw, it also takes the
// argmax of each slice after guidance and masks.
struct SampleCodes {
  BufferId logits = kNoBuffer;  // [rows, C*S*V], rows of both branches
  BufferId guided = kNoBuffer;  // [draws, C*S*V]: the guided mix before masks (kept for traces)
  std::int32_t codebooks = 0;   // C*S
  std::int32_t vocab = 0;
};

struct Program;

// A Program inside an op. The op defines its rows, writes `input` and reads `output`. Each group of
// rows is a segment that begins at position 0 and does not use the paged cache. Its ops are Norm,
// Linear, Gate and SelfAttention (ops/nested.h).
struct NestedProgram {
  std::shared_ptr<const Program> program;
  BufferId input = kNoBuffer;   // [rows, h]
  BufferId output = kNoBuffer;  // [rows, h]
};

// Picks codes with a local transformer, from one decoder output per branch, for draws whose rules
// say so. A group of the transformer's rows is one branch of one draw, and a row is a place in it.
// The input of place 0 is the decoder output, that of place p + 1 the embedding of code p; in_proj
// and the place's learned position are then applied.
//
// Autoregressive: head p reads place p, and its code feeds place p + 1. Attention is causal, so a
// backend may run one place after the other and keep the keys and values of a launch, or run the
// whole group again. MaskGit (rules/maskgit.h): passes over all C*S + 1 places, head p reads place
// p + 1.
struct PickCodes {
  BufferId hidden = kNoBuffer;       // [rows, dim], after the decoder's final norm
  BufferId pick_logits = kNoBuffer;  // [rows, C*S*V] raw per branch, kept where present (traces;
                                     // MaskGit: the last pass)
  bool maskgit = false;
  std::int32_t codebooks = 0;    // C*S
  std::int32_t vocab = 0;        // V
  std::int32_t dim = 0;          // width of `hidden` and of the tables
  std::int32_t mask_id = 0;      // MaskGit's code for places that are not fixed yet
  Weight code_tables;            // [C*S * V, dim] dense
  Weight in_proj, in_proj_bias;  // [h, dim], [h]; absent: widths match
  Weight positions;              // [>= places, h] dense float32
  NestedProgram network;
  std::vector<Weight> head_weights;  // C*S of [V, h] panel16
  Weight head_biases;                // [C*S * V] float32, or absent

  std::int32_t places() const { return codebooks + (maskgit ? 1 : 0); }
};

// Decides by the rules of each draw whether speech ended in this stack, and stores the stack as the
// slot's last codes.
struct FinishStep {
  std::int32_t codebooks = 0;  // C*S
  std::int32_t frame_stacking = 1;
};

// Of each branch of a draw that decides a block: moves its rows back by one. The first becomes the
// row of that branch that the slot has kept: kept row 0, or 1 of the unconditional branch. If the
// codes of the block were decided before this step, its last row is kept for the next block.
struct ShiftBlock {
  BufferId x = kNoBuffer;    // [rows, dim]
  BufferId out = kNoBuffer;  // [rows, dim]
};

// Draws a guess for every place of a block that is masked, and scores it (rules/block_diffusion.h).
// Guidance, masks and filters are those of SampleCodes.
struct GuessBlock {
  BufferId logits = kNoBuffer;  // [rows, V], rows of both branches
  BufferId scores = kNoBuffer;  // [draws, places]
  Weight prior;                 // [V] float32, a probability for each code without any context
  std::int32_t places = 0;      // of the slots' blocks
  std::int32_t vocab = 0;
};

// Decides places of each draw's block by the scores of their guesses. A step that finds the block
// decided leaves its keys and values as they are and begins the next one.
struct FinishBlock {
  BufferId scores = kNoBuffer;  // [draws, places]
  std::int32_t places = 0;
};

using Op =
    std::variant<EmbedRows, Norm, Linear, Gate, Unfold, SelfAttention, StoreMemory, CrossAttention,
                 StoreContext, ClearScores, UpdatePrior, SampleCodes, PickCodes, FinishStep,
                 ShiftBlock, GuessBlock, FinishBlock, LoadRows, SaveRows, StoreSchedule,
                 ModulatedNorm, AddModulated, ClearFiller, StretchText, DepthwiseConv, GroupedConv,
                 ResponseNorm, FlowStep, PolarSpectrum, OverlapAdd, EmitRows, DequantizeCodes,
                 HalfSnake, TimeConv, Upsample, Clamp, SplitRows, QuantizeRows, ShiftRows, FadeIn,
                 HarmonicSource, JoinColumns, ActivateRows, DistanceRows, RelativeAttention>;

// "GroupedConv" and the like, for messages.
const char* name_of(const Op& op);

// An activation whose values a trace keeps.
struct Tap {
  std::string name;
  BufferId buffer = kNoBuffer;
};

struct Program {
  std::string name;  // "text_encoder", "prefill", ...
  // Every launch has many rows, those of whole items: a backend may multiply them as it would not
  // multiply single ones. Never both forms for one Program.
  bool has_many_rows = false;
  // From this op on, rows that their segment calls settled are read by nothing but FlowStep, which
  // replaces what becomes of them. kNoOp: all rows are needed.
  static constexpr std::int32_t kNoOp = 1 << 30;
  std::int32_t settled_begin = kNoOp;
  std::vector<Activation> activations;
  std::vector<Op> ops;
  std::vector<Tap> taps;
  // Values that were computed and stand in no engine file; weights above may point into them.
  std::vector<std::shared_ptr<const std::vector<float>>> constants;
  // The first op of each part except the first. A launch may stop there, and a later one may
  // continue with the same rows. In between, the Executable runs nothing else, so its activations
  // stay valid.
  std::vector<std::int32_t> part_begins;

  BufferId add(std::string activation, std::int64_t width, RowSpace space = RowSpace::rows,
               std::int32_t rate = 1, std::int32_t beyond = 0) {
    activations.push_back({std::move(activation), space, width, rate, beyond});
    return static_cast<BufferId>(activations.size()) - 1;
  }
  void end_part() { part_begins.push_back(static_cast<std::int32_t>(ops.size())); }
  std::int32_t num_parts() const { return static_cast<std::int32_t>(part_begins.size()) + 1; }
};

}  // namespace ttsrt::ops
