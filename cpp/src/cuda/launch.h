// Launchers of all kernels: raw pointers, sizes, and the stream last. None allocates or waits, and
// all may be captured in a graph. Callers check shapes; a refused launch throws DeviceError.
//
// `max_rows` and `max_draws` bound the rows and draws of the launch and size the grids; the true
// counts are in device memory. A result never depends on these bounds nor on the other rows of a
// launch. Activations are float32 and row-major.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/views.h"

namespace ttsrt::cuda {

// Whether the library has kernels for the current device.
bool has_kernels();

enum class Activation : std::int32_t { none, gelu_tanh, silu, gelu, mish, elu };

// --- rows ---------------------------------------------------------------------------------------

// As ops::EmbedRows. `out` [rows, dim].
struct EmbedArgs {
  RowsView rows;
  SlotsView slots;
  FaultsView faults;
  float* out = nullptr;
  std::int64_t dim = 0;
  TableView code_tables;  // [codebooks * vocab, dim]
  std::int32_t codebooks = 0;
  std::int32_t vocab = 0;
  TableView id_tables[kMaxTables];
  TableView position_tables[kMaxTables];
  bool adds_positions = true;
  std::int32_t max_rows = 0;
};
void embed_rows(const EmbedArgs& args, cudaStream_t stream);

// As ops::StoreContext. `x` [rows, width], at most slots.dim.
struct StoreContextArgs {
  RowsView rows;
  SlotsView slots;
  FaultsView faults;
  const float* x = nullptr;
  std::int64_t width = 0;
  std::int32_t max_rows = 0;
};
void store_context(const StoreContextArgs& args, cudaStream_t stream);

// As ops::Norm. `x` and `out` [rows, width], which may be the same.
struct NormArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width] or none
  std::int64_t width = 0;
  float epsilon = 1e-5F;
  bool is_rms = false;
  std::int32_t max_rows = 0;
};
void norm(const NormArgs& args, cudaStream_t stream);
// Warps that share a row, which decide the order of its sums: a warp has 128 values of it, or more
// where the row is wide.
constexpr std::int32_t kNormWarps = 8;
TTSRT_RULE constexpr std::int32_t norm_warps_of(std::int64_t width) {
  const std::int64_t warps = (width + 127) / 128;
  return warps < kNormWarps ? static_cast<std::int32_t>(warps) : kNormWarps;
}

// As ops::Gate. `x` [rows, 2 * width], `out` [rows, width].
struct GateArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  Activation activate = Activation::silu;
  std::int32_t max_rows = 0;
};
void gate(const GateArgs& args, cudaStream_t stream);

// As ops::Unfold. `x` [rows, width], `out` [rows, kernel * width]. With a history, its update is a
// second kernel behind the first.
struct UnfoldArgs {
  RowsView rows;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  std::int32_t kernel = 1;
  bool is_causal = true;
  HistoryView history;  // data null: none
  std::int32_t max_rows = 0;
};
void unfold(const UnfoldArgs& args, cudaStream_t stream);

// --- products -----------------------------------------------------------------------------------

// As ops::Linear: value = activate(x W^T + bias) + addend; out = value, or out += value. Row r of x
// is at x + r * x_stride, row r of out (and of the addend) at out + r * out_stride.
struct LinearArgs {
  const std::int32_t* num_rows = nullptr;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  ProductWeight weight;
  const float* bias = nullptr;    // [outputs] or none
  const float* addend = nullptr;  // or none
  Activation activate = Activation::none;
  bool accumulates = false;
  std::byte* scratch = nullptr;  // linear_scratch_bytes(), for inputs that become int8
  std::int32_t max_rows = 0;
};
void linear(const LinearArgs& args, cudaStream_t stream);
std::size_t linear_scratch_bytes(const ProductWeight& weight, std::int32_t max_rows);

// --- attention ----------------------------------------------------------------------------------

// As ops::SelfAttention over the paged cache (`cache.data` is there) or over the rows of the
// segment. `qkv` [rows, (heads + 2 kv_heads) * head_dim], `out` [rows, heads * head_dim].
struct SelfAttentionArgs {
  RowsView rows;
  SlotsView slots;
  CacheView cache;
  FaultsView faults;
  const float* qkv = nullptr;
  float* out = nullptr;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0.0F;  // of the scores; never 0 here
  bool is_causal = true;
  // Every segment is one row and continues no other, as PackedRows::has_single_rows. It may be
  // false where it could be true: that costs one more kernel and changes no bit.
  bool has_single_rows = false;
  const float* rope = nullptr;  // [positions, rope_width], or none
  std::int32_t rope_width = 0;
  float* scores = nullptr;  // [draws, max_text_len], or none
  std::uint64_t score_heads = 0;
  float score_share = 1.0F;
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
};
void self_attention(const SelfAttentionArgs& args, cudaStream_t stream);

// As ops::SelfAttention of a nested Program (ops::PickCodes). Rows are places of groups.
// Autoregressive (`place` >= 0): row g of qkv is place `place` of group g, of which the keys and
// values of the places before are in `kept` [groups, places, 2, kv_heads * padded_dims(head_dim)],
// which begins as zeros; the kernel adds its own. MaskGit (`place` -1): row g * places + p of qkv
// is place p of group g.
struct LocalAttentionArgs {
  const std::int32_t* num_groups = nullptr;
  const float* qkv = nullptr;
  float* out = nullptr;
  float* kept = nullptr;
  std::int32_t place = -1;
  std::int32_t places = 0;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0.0F;
  bool is_causal = true;
  const float* rope = nullptr;  // [positions, rope_width], or none
  std::int32_t rope_width = 0;
  std::int32_t max_groups = 0;
};
void local_attention(const LocalAttentionArgs& args, cudaStream_t stream);

// As ops::StoreMemory. `kv` [rows, 2 * heads * head_dim].
struct StoreMemoryArgs {
  RowsView rows;
  MemoryView memory;
  FaultsView faults;
  const float* kv = nullptr;
  std::int32_t max_rows = 0;
};
void store_memory(const StoreMemoryArgs& args, cudaStream_t stream);

// As ops::CrossAttention. `q` and `out` [rows, heads * head_dim].
struct CrossAttentionArgs {
  RowsView rows;
  SlotsView slots;
  MemoryView memory;
  const float* q = nullptr;
  float* out = nullptr;
  float* scores = nullptr;  // [draws, max_text_len], or none
  // With scores: what the heads of a draw add up, and how many of them have come. The counts must
  // be zeros before the first launch and are zeros after each. All layers may share both.
  float* head_scores = nullptr;         // [draws, heads, max_text_len]
  std::uint32_t* heads_done = nullptr;  // [draws]
  // No kernel of the same graph stores in the memory, so that it may be read before the kernel
  // before has finished. False is always right.
  bool has_kept_memory = false;
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t layer = 0;
  std::int32_t max_rows = 0;
};
void cross_attention(const CrossAttentionArgs& args, cudaStream_t stream);

// --- state --------------------------------------------------------------------------------------

// One reset of a slot, as step::SlotReset.
struct SlotResetEntry {
  std::int32_t slot = 0;
  rules::SlotRules rules;
  TokenHead tokens;  // of lists that are in the slots' arrays already
};
// Takes `count` entries in device memory: rules, a fresh state, counts, codes, seen sets and
// histories of their slots. `histories` [num_histories] are in device memory.
void reset_slots(const SlotResetEntry* entries, std::int32_t count, const SlotsView& slots,
                 const HistoryView* histories, std::int32_t num_histories, cudaStream_t stream);

// Copies blocks in every layer; `pairs` [count, 2] in device memory: from, to. No block is both.
void copy_blocks(const std::int32_t* pairs, std::int32_t count, const CacheView& first_layer,
                 std::int64_t layer_bytes, std::int32_t layers, cudaStream_t stream);

// The first kernel of a launch: tells the time, and, where the launch begins with the first part of
// its Program, clears fault words, scores of ops::ClearScores and the outcome (codes -1, scores 0).
struct BeginArgs {
  const std::int32_t* counts = nullptr;  // [Count::num_counts]
  LaunchTimes* times[kStages] = {};
  bool starts = true;
  std::uint32_t* faults = nullptr;  // [max_rows]
  OutcomeView outcome;
  float* scores = nullptr;  // [draws, max_text_len], or none
  std::int32_t codebooks = 0;
  std::int32_t max_text_len = 0;
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
};
void begin_launch(const BeginArgs& args, cudaStream_t stream);

// The last kernel of a launch: writes what the host reads to the buffers of its stage.
struct GiveArgs {
  ResultsView results[kStages];
  const std::int32_t* counts = nullptr;   // [Count::num_counts]
  const std::uint32_t* faults = nullptr;  // [max_rows]
  OutcomeView outcome;
  std::int32_t codebooks = 0;
  std::int32_t max_text_len = 0;
  std::int32_t max_rows = 0;
  std::int32_t max_draws = 0;
};
void give_results(const GiveArgs& args, cudaStream_t stream);

// --- draws --------------------------------------------------------------------------------------

// As ops::ClearScores. `scores` [draws, max_text_len].
void clear_scores(const RowsView& rows, float* scores, std::int32_t max_text_len,
                  std::int32_t max_draws, cudaStream_t stream);

// As ops::UpdatePrior.
struct UpdatePriorArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  FaultsView faults;
  const float* scores = nullptr;  // [draws, max_text_len]
  std::int32_t max_draws = 0;
};
void update_prior(const UpdatePriorArgs& args, cudaStream_t stream);

// As ops::SampleCodes. `logits` [rows, codebooks * vocab]; `guided` [draws, codebooks * vocab] or
// none. `scratch` has draw_scratch_bytes(max_draws * codebooks, vocab).
struct SampleArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  FaultsView faults;
  const float* logits = nullptr;
  float* guided = nullptr;
  std::int32_t vocab = 0;
  std::byte* scratch = nullptr;
  std::int32_t max_draws = 0;
};
void sample_codes(const SampleArgs& args, cudaStream_t stream);
std::size_t draw_scratch_bytes(std::int64_t num_draws, std::int32_t vocab);

// As ops::FinishStep.
struct FinishStepArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  std::int32_t max_draws = 0;
};
void finish_step(const FinishStepArgs& args, cudaStream_t stream);

// --- blocks: codes that steps decide together ----------------------------------------------------

// As ops::ShiftBlock. `x` and `out` [rows, width] are not the same. Kept rows are those of
// SlotsView::context_rows. `places` bounds the rows of a draw, here and below.
struct ShiftBlockArgs {
  RowsView rows;
  SlotsView slots;
  FaultsView faults;
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t width = 0;
  std::int32_t places = 0;
  std::int32_t max_draws = 0;
};
void shift_block(const ShiftBlockArgs& args, cudaStream_t stream);

// As ops::GuessBlock. `logits` [rows, vocab], `scores` [draws, places], `prior` [vocab]. The
// guesses are in outcome.sampled. `scratch` has draw_scratch_bytes(max_draws * places, vocab).
struct GuessBlockArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  FaultsView faults;
  const float* logits = nullptr;
  float* scores = nullptr;
  const float* prior = nullptr;
  std::int32_t places = 0;
  std::int32_t vocab = 0;
  std::byte* scratch = nullptr;
  std::int32_t max_draws = 0;
};
void guess_block(const GuessBlockArgs& args, cudaStream_t stream);

// As ops::FinishBlock. `scores` [draws, places].
struct FinishBlockArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  const float* scores = nullptr;
  std::int32_t places = 0;
  std::int32_t max_draws = 0;
};
void finish_block(const FinishBlockArgs& args, cudaStream_t stream);

// --- picks: what a local transformer does beside its Program -------------------------------------

// Gathers the inputs of a place, before in_proj. Autoregressive: place 0 takes the decoder outputs
// `hidden` [rows, dim] of the pick rows, place p the embedding of the code that was picked at place
// p - 1. `out` [pick_rows, dim]. MaskGit (`place` -1): all places of all groups, fed by `fed`;
// `out` [pick_rows * places, dim], places = codebooks + 1.
struct PickInputArgs {
  RowsView rows;
  OutcomeView outcome;
  const float* hidden = nullptr;
  TableView code_tables;              // [codebooks * vocab, dim]
  const std::int32_t* fed = nullptr;  // MaskGit: [picks, codebooks]
  float* out = nullptr;
  std::int32_t place = 0;
  std::int32_t codebooks = 0;
  std::int32_t vocab = 0;
  std::int64_t dim = 0;
  std::int32_t max_picks = 0;
};
void pick_inputs(const PickInputArgs& args, cudaStream_t stream);

// Adds learned positions [places, width] to `x`: row r is place `place`, or r % places if -1.
struct AddPositionsArgs {
  const std::int32_t* num_rows = nullptr;
  float* x = nullptr;  // [num_rows, width]
  const float* positions = nullptr;
  std::int64_t width = 0;
  std::int32_t place = 0;
  std::int32_t places = 0;
  std::int32_t max_rows = 0;
};
void add_positions(const AddPositionsArgs& args, cudaStream_t stream);

// The arrays that MaskGit keeps from pass to pass, each [picks, codebooks].
struct GuessesView {
  std::int32_t* fed = nullptr;
  std::int32_t* guessed = nullptr;
  float* confidences = nullptr;
  std::uint8_t* is_fixed = nullptr;
};

// Draws the codes of picks from `logits` [pick_rows, codebooks * vocab] (raw, of each branch).
struct PickDrawArgs {
  RowsView rows;
  SlotsView slots;
  OutcomeView outcome;
  FaultsView faults;
  const float* logits = nullptr;
  std::int32_t vocab = 0;
  std::int32_t place = 0;  // autoregressive: the place to draw
  GuessesView guesses;     // MaskGit
  std::int32_t pass = 0;
  std::int32_t mask_id = 0;
  std::byte* scratch = nullptr;  // draw_scratch_bytes(max_picks * codebooks, vocab)
  std::int32_t max_picks = 0;
};
void pick_code(const PickDrawArgs& args, cudaStream_t stream);       // autoregressive
void start_guesses(const PickDrawArgs& args, cudaStream_t stream);   // MaskGit: before pass 0
void fix_confident(const PickDrawArgs& args, cudaStream_t stream);   // at the start of a pass
void guess_codes(const PickDrawArgs& args, cudaStream_t stream);     // at the end of a pass
void finish_guesses(const PickDrawArgs& args, cudaStream_t stream);  // writes outcome.sampled

// Copies raw logits to the rows that the picks came from, and zeros to rows without picks: `kept`
// [rows, width], `logits` [pick_rows, width].
void keep_pick_logits(const RowsView& rows, const float* logits, float* kept, std::int64_t width,
                      std::int32_t max_rows, std::int32_t max_pick_rows, cudaStream_t stream);

}  // namespace ttsrt::cuda
