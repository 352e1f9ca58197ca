// What every op reads and writes, and how its work may be divided among threads.
//
// Fusion, the checks of Programs (ops/check.h) and the checks of a backend's stages rely on this
// file and on nothing else. Each function below takes its record apart by name, so that a new field
// does not compile until somebody has decided here whether it is a use. A new op does not compile
// without a function.
#pragma once

#include <variant>

#include "ops/program.h"
#include "ops/rate_uses.h"
#include "ops/source_uses.h"
#include "ops/use.h"
#include "ops/whole_uses.h"

namespace ttsrt::ops {

inline Uses uses_of(const EmbedRows& op) {
  const auto& [out, code_tables, codebooks, vocab, id_tables, position_tables, adds_positions] = op;
  Uses uses = {{Part::codes, 0, Access::read, Share::row},
               {Part::kept_rows, 0, Access::read, Share::row}};
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const Norm& op) {
  const auto& [x, out, weight, epsilon, kind, bias] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const Linear& op) {
  const auto& [x, out, weight, bias, activate, accumulate, addend] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, accumulate ? Access::update : Access::write, Share::column);
  add_buffer(uses, addend, Access::read, Share::whole);  // never what is written
  return uses;
}

inline Uses uses_of(const Gate& op) {
  const auto& [x, out, activate] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::column);  // pieces of rows, each of one thread
  return uses;
}

inline Uses uses_of(const Unfold& op) {
  const auto& [x, out, kernel, causal, history] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::row);
  if (history < 0) return uses;
  uses.push_back({Part::history, history, Access::read, Share::whole});
  if (kernel == 1) return uses;
  add_buffer(uses, x, Access::read, Share::whole, 1);
  uses.push_back({Part::history, history, Access::update, Share::row, 1});
  return uses;
}

inline Uses uses_of(const SelfAttention& op) {
  const auto& [qkv, out, heads, head_dim, cache_layer, causal, kv_heads, scale, rope, scores,
               score_heads, score_share, rope_heads, q_norm, k_norm, head_norm_epsilon,
               segment_dtype] = op;
  const Part keys = cache_layer >= 0 ? Part::cache : Part::segment_blocks;
  const std::int32_t layer = cache_layer >= 0 ? cache_layer : 0;
  Uses uses = {{keys, layer, Access::write, Share::row}};
  add_buffer(uses, qkv, Access::read, Share::row);
  uses.push_back({keys, layer, Access::read, Share::whole, 1});
  add_buffer(uses, qkv, Access::read, Share::row, 1);
  add_buffer(uses, out, Access::write, Share::row, 1);
  if (scores == kNoBuffer) return uses;
  uses.push_back({keys, layer, Access::read, Share::whole, 2});
  add_buffer(uses, qkv, Access::read, Share::whole, 2);
  add_buffer(uses, scores, Access::update, Share::draw, 2);
  return uses;
}

inline Uses uses_of(const StoreMemory& op) {
  const auto& [kv, layer, memory] = op;
  Uses uses = {{Part::memory, layer, Access::write, Share::row}};
  add_buffer(uses, kv, Access::read, Share::row);
  return uses;
}

inline Uses uses_of(const CrossAttention& op) {
  const auto& [q, out, scores, heads, head_dim, layer, memory] = op;
  Uses uses = {{Part::memory, layer, Access::read, Share::whole},
               {Part::prior, 0, Access::read, Share::whole}};
  add_buffer(uses, q, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  add_buffer(uses, scores, Access::update, Share::row);
  return uses;
}

inline Uses uses_of(const StoreContext& op) {
  const auto& [x] = op;
  Uses uses = {{Part::kept_rows, 0, Access::write, Share::row}};
  add_buffer(uses, x, Access::read, Share::row);
  return uses;
}

inline Uses uses_of(const ClearScores& op) {
  const auto& [scores] = op;
  Uses uses;
  add_buffer(uses, scores, Access::write, Share::draw);
  return uses;
}

inline Uses uses_of(const UpdatePrior& op) {
  const auto& [scores] = op;
  Uses uses = {{Part::prior, 0, Access::update, Share::draw},
               {Part::outcome, 0, Access::update, Share::draw}};
  add_buffer(uses, scores, Access::read, Share::draw);
  return uses;
}

inline Uses uses_of(const SampleCodes& op) {
  const auto& [logits, guided, codebooks, vocab] = op;
  Uses uses = {{Part::prior, 0, Access::read, Share::whole},
               {Part::codes, 0, Access::read, Share::whole},
               {Part::outcome, 0, Access::update, Share::column}};
  add_buffer(uses, logits, Access::read, Share::whole);
  add_buffer(uses, guided, Access::write, Share::column);
  return uses;
}

inline Uses uses_of(const PickCodes& op) {
  const auto& [hidden, pick_logits, maskgit, codebooks, vocab, dim, mask_id, code_tables, in_proj,
               in_proj_bias, positions, network, head_weights, head_biases] = op;
  Uses uses = {{Part::prior, 0, Access::read, Share::whole},
               {Part::codes, 0, Access::read, Share::whole},
               {Part::outcome, 0, Access::update, Share::draw}};
  add_buffer(uses, hidden, Access::read, Share::whole);
  add_buffer(uses, pick_logits, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const FinishStep& op) {
  const auto& [codebooks, frame_stacking] = op;
  static_cast<void>(codebooks);
  static_cast<void>(frame_stacking);
  return {{Part::prior, 0, Access::update, Share::draw},
          {Part::codes, 0, Access::update, Share::draw},
          {Part::outcome, 0, Access::update, Share::draw}};
}

inline Uses uses_of(const ShiftBlock& op) {
  const auto& [x, out] = op;
  Uses uses = {{Part::prior, 0, Access::read, Share::whole},
               {Part::kept_rows, 0, Access::update, Share::draw}};
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::draw);
  return uses;
}

inline Uses uses_of(const GuessBlock& op) {
  const auto& [logits, scores, prior, places, vocab] = op;
  static_cast<void>(places);
  Uses uses = {{Part::prior, 0, Access::read, Share::whole},
               {Part::codes, 0, Access::read, Share::whole},
               {Part::outcome, 0, Access::update, Share::column}};
  add_buffer(uses, logits, Access::read, Share::whole);
  add_buffer(uses, scores, Access::write, Share::column);
  return uses;
}

inline Uses uses_of(const FinishBlock& op) {
  const auto& [scores, places] = op;
  static_cast<void>(places);
  Uses uses = {{Part::prior, 0, Access::update, Share::draw},
               {Part::codes, 0, Access::update, Share::draw},
               {Part::outcome, 0, Access::update, Share::draw}};
  add_buffer(uses, scores, Access::read, Share::draw);
  return uses;
}

inline Uses uses_of(const Op& op) {
  return std::visit([](const auto& record) { return uses_of(record); }, op);
}

}  // namespace ttsrt::ops
