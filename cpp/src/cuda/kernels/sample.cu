// Samples from independent heads (ops::SampleCodes): a block per draw and codebook mixes and masks
// its logits, takes the likeliest code, and draws one where no local transformer does.
//
// Decided: the likeliest code alone is found while the logits are read, and the common chain of
// top-k and temperature draws from registers (top_k_draw.cuh). Whatever is unusual in a row, rows
// of which token rules change scores, and all other chains, are for draw.cuh. All ways have the
// same results.
#include "cuda/check.h"
#include "cuda/kernels/draw_block.cuh"
#include "cuda/kernels/token_row.cuh"
#include "cuda/kernels/top_k_draw.cuh"
#include "cuda/launch.h"

namespace ttsrt::cuda {
namespace {

// --- a draw -------------------------------------------------------------------------------------

// What a block draws, from rows and rules that are there before the launch.
struct SampleSite {
  std::int32_t draw;
  std::int32_t place;
  std::int32_t slot;
  std::int32_t conditional;
  std::int32_t unconditional;
  std::int32_t ahead;
  std::int64_t at;  // of the code in the outcome

  __device__ explicit SampleSite(const SampleArgs& args)
      : draw(static_cast<std::int32_t>(blockIdx.y)),
        place(static_cast<std::int32_t>(blockIdx.x)),
        slot(args.rows.draw_slot[draw]),
        conditional(args.rows.draw_conditional[draw]),
        unconditional(args.rows.draw_unconditional[draw]),
        ahead(ahead_of(args.rows, draw)),
        at(std::int64_t{draw} * args.slots.codebooks + place) {}

  __device__ RawLogits raw(const SampleArgs& args, float scale) const {
    const std::int64_t width = std::int64_t{args.slots.codebooks} * args.vocab;
    const float* logits = args.logits + std::int64_t{place} * args.vocab;
    return {logits + conditional * width,
            unconditional < 0 ? nullptr : logits + unconditional * width, scale};
  }

  // After kernels of earlier launches.
  __device__ TokenHead tokens(const SampleArgs& args) const {
    const TokenHead* heads = args.slots.tokens.heads;
    return heads == nullptr ? TokenHead{} : heads[slot];
  }

  // The token rules behind the drafts of the draw; `step` counts these.
  __device__ rules::TokenScores scores(const SampleArgs& args, const TokenHead& head,
                                       std::int32_t step) const {
    const TokensView& tokens = args.slots.tokens;
    const std::int64_t first = std::int64_t{slot} * tokens.max_drawn;
    rules::TokenScores of;
    of.repetition_penalty = head.repetition_penalty;
    of.presence_penalty = head.presence_penalty;
    of.frequency_penalty = head.frequency_penalty;
    of.seen = tokens.seen + first;
    of.num_seen = head.num_seen;
    of.drawn = tokens.drawn + first;
    of.num_drawn = min(step - ahead, tokens.max_drawn);
    of.ahead = ahead == 0 ? nullptr : args.rows.ids + args.rows.draw_drafts[draw];
    of.num_ahead = ahead;
    of.biases = tokens.biases + std::int64_t{slot} * kMaxTokenBiases;
    of.num_biases = head.num_biases;
    return of;
  }
};

__device__ bool takes_likeliest(const SampleArgs& args, const rules::SlotRules& rules,
                                const TokenHead& tokens) {
  const rules::SamplerRules& sampler = rules.sampler;
  const bool is_greedy = sampler.temperature <= 0.0F && !rules::counts_seen(sampler);
  return args.guided == nullptr &&
         ((is_greedy && !tokens.changes_scores()) || rules.use_local_transformer);
}

__device__ bool takes_top_k(const SampleArgs& args, const rules::SlotRules& rules,
                            const TokenHead& tokens) {
  return args.guided == nullptr && blockDim.x == kTopKThreads && !rules.use_local_transformer &&
         !tokens.changes_scores() && draws_top_k(rules.sampler, args.vocab);
}

// Finds the likeliest code of a row without keeping the row. Returns it packed, or 0 if the row is
// unusual: not finite, without a choice, or with a mask on this very code.
__device__ std::uint64_t find_likeliest(ThreadBlock& block, const DrawSlot& slot,
                                        const RawLogits& raw, std::int32_t vocab) {
  constexpr int kBatch = 6;
  const RowMask mask(slot.rules, slot.state, true);
  const bool is_guided = raw.unconditional != nullptr;
  std::uint64_t best = 0;
  bool is_finite = true;
  for (int first = block.rank(); first < vocab; first += kBatch * block.size()) {
    float mix[kBatch];
    float unconditional[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int id = first + i * block.size();
      mix[i] = id < vocab ? raw.conditional[id] : 0.0F;
      unconditional[i] = is_guided && id < vocab ? raw.unconditional[id] : 0.0F;
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int id = first + i * block.size();
      if (id >= vocab) continue;
      if (is_guided)
        mix[i] = guided_logit(slot.rules.guidance, mix[i], unconditional[i], raw.scale);
      is_finite = is_finite && mix[i] - mix[i] == 0.0F;
      const std::uint64_t packed = pack_best(mask.apply(id, mix[i]), id);
      best = packed > best ? packed : best;
    }
  }
  best = block.max(is_finite ? best : ~std::uint64_t{0});
  if (best == ~std::uint64_t{0} || !(best_value(best) > rules::kNever)) return 0;
  const auto lane = static_cast<std::int32_t>(threadIdx.x) % kWarp;
  bool is_masked = false;
  for (std::int32_t i = lane; i < kMaskedIds && !mask.ends; i += kWarp)
    is_masked = is_masked || masked_id(slot.rules, slot.state, i) == best_index(best);
  return __any_sync(kAllLanes, is_masked) ? 0 : best;
}

// Takes the likeliest code as it is; returns whether it did.
__device__ bool take_likeliest(const SampleArgs& args, ThreadBlock& block, const SampleSite& site,
                               const DrawSlot& slot, const RawLogits& raw) {
  const std::uint64_t best = find_likeliest(block, slot, raw, args.vocab);
  if (best == 0) return false;
  if (block.rank() != 0) return true;
  const std::int32_t code = best_index(best);
  args.outcome.likeliest[site.at] = code;
  if (!slot.rules.use_local_transformer)
    args.outcome.sampled[site.at] = code_of(args.rows, site.draw, site.place, code);
  return true;
}

// Draws a code with top-k and temperature; returns whether it did.
__device__ bool take_top_k(const SampleArgs& args, DrawShared& shared, TopKShared& top_k,
                           const SampleSite& site, const DrawSlot& slot, const RawLogits& raw) {
  float mixed[kTopKValues] = {};
  float unconditional[kTopKValues] = {};
#pragma unroll
  for (int i = 0; i < kTopKValues; ++i) {
    const int id = TopKDraw::first_id() + i;
    if (id >= args.vocab) continue;
    mixed[i] = raw.conditional[id];
    if (raw.unconditional != nullptr) unconditional[i] = raw.unconditional[id];
  }
  const TopKDraw draw{top_k, slot, args.vocab, shared.number, true};
  draw.prepare();
#pragma unroll
  for (int i = 0; i < kTopKValues; ++i) {
    if (raw.unconditional != nullptr)
      mixed[i] = guided_logit(slot.rules.guidance, mixed[i], unconditional[i], raw.scale);
  }
  std::int32_t code = -1;
  const bool is_drawn = draw.draw(mixed, code);
  if (is_drawn && code >= 0) {
    args.outcome.likeliest[site.at] = top_k.likeliest;
    args.outcome.sampled[site.at] = code_of(args.rows, site.draw, site.place, code);
  }
  __syncthreads();
  return is_drawn;
}

// Draws from a whole row of logits.
template <bool kInShared>
__device__ void take_from_row(const SampleArgs& args, DrawShared& shared, ThreadBlock& block,
                              std::byte* dynamic, const SampleSite& site, const DrawSlot& slot,
                              const TokenHead& tokens, const RawLogits& raw) {
  BlockRow row = draw_row<kInShared>(dynamic, args.scratch, site.at, args.vocab);
  row.seen = copy_seen<kInShared>(dynamic, args.slots, slot.rules.sampler, site.slot, site.place,
                                  args.vocab);
  float* guided = args.guided == nullptr ? nullptr : args.guided + site.at * args.vocab;
  if (!mask_row(block, slot.rules, slot.state, raw, true, guided, row.logits, args.vocab))
    add_fault(args.faults, site.conditional, args.faults.not_finite);
  std::uint64_t best = largest_of(block, row.logits, args.vocab);
  if (block.rank() == 0) args.outcome.likeliest[site.at] = best_index(best);
  if (slot.rules.use_local_transformer) return;
  if (tokens.changes_scores()) {
    // The memory of weights and offsets is free until the draw.
    const TokenRow of{row.logits, reinterpret_cast<std::uint32_t*>(row.weights), row.offsets,
                      args.vocab};
    if (!change_scores(block, site.scores(args, tokens, slot.state.step), tokens.counts_ids(), of))
      add_fault(args.faults, site.conditional, args.faults.not_finite);
    best = 0;
  }
  const rules::DrawOutcome drawn = draw_code(block, slot.rules.sampler, row, shared.number, best);
  if (block.rank() != 0) return;
  add_fault_of(args.faults, site.conditional, drawn.fault);
  args.outcome.sampled[site.at] = code_of(args.rows, site.draw, site.place, drawn.code);
}

// --- kernels ------------------------------------------------------------------------------------

// Grid: (codebooks, draws).
template <bool kInShared>
__global__ void __launch_bounds__(kMostDrawThreads)
    sample_codes_kernel(const __grid_constant__ SampleArgs args) {
  __shared__ DrawShared shared;
  __shared__ TopKShared top_k;
  extern __shared__ __align__(16) std::byte dynamic[];
  if (static_cast<std::int32_t>(blockIdx.y) >= count_of(args.rows, Count::draws)) {
    wait_for_previous_kernel();
    return;
  }
  const SampleSite site(args);
  const DrawSlot slot(shared);
  DrawSlot::copy_rules(shared, args.slots, site.slot);
  wait_for_previous_kernel();
  DrawSlot::copy_state(shared, args.slots, site.slot, site.ahead);
  const TokenHead tokens = site.tokens(args);
  __syncthreads();
  slot.write_number(shared, site.place, 0);
  const RawLogits raw = site.raw(args, slot.rules.cfg_scale);
  ThreadBlock block(shared.room);
  const bool is_taken =
      (takes_likeliest(args, slot.rules, tokens) && take_likeliest(args, block, site, slot, raw)) ||
      (takes_top_k(args, slot.rules, tokens) && take_top_k(args, shared, top_k, site, slot, raw));
  if (!is_taken) take_from_row<kInShared>(args, shared, block, dynamic, site, slot, tokens, raw);
  if (tokens.num_logprobs < 0 || slot.rules.use_local_transformer) return;
  __syncthreads();  // the code is there
  DrawLogprobs& told = args.outcome.logprobs[site.draw];
  tell_logprobs(block, raw.conditional, args.vocab, tokens.num_logprobs,
                args.outcome.sampled[site.at], &told.drawn, told.ids, told.likeliest);
}

}  // namespace

// --- launchers ----------------------------------------------------------------------------------

void sample_codes(const SampleArgs& args, cudaStream_t stream) {
  if (args.max_draws <= 0) return;
  const dim3 grid(static_cast<unsigned>(args.slots.codebooks),
                  static_cast<unsigned>(args.max_draws));
  const std::int32_t least_threads = args.vocab <= kTopKVocab ? kTopKThreads : 0;
  launch_draws(sample_codes_kernel<true>, sample_codes_kernel<false>, grid, args.vocab, args,
               "sample_codes_kernel", stream, least_threads);
}

std::size_t draw_scratch_bytes(std::int64_t num_draws, std::int32_t vocab) {
  return draws_in_shared(vocab) ? 0 : static_cast<std::size_t>(num_draws) * draw_row_bytes(vocab);
}

}  // namespace ttsrt::cuda
