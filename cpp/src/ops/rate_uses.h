// What the ops of ops/rate_ops.h read and write (ops/uses.h).
//
// Their rows are those of buffers with rates, so that a thread's share may be a part of a row of
// the launch: pieces, as Share::column says.
#pragma once

#include "ops/rate_ops.h"
#include "ops/use.h"

namespace ttsrt::ops {

// Reads the last rows of an input while the op runs, and replaces them when all threads have.
inline void add_past(Uses& uses, BufferId x, std::int32_t past) {
  if (past < 0) return;
  uses.push_back({Part::past, past, Access::read, Share::whole});
  add_buffer(uses, x, Access::read, Share::whole, 1);
  uses.push_back({Part::past, past, Access::update, Share::row, 1});
}

inline Uses uses_of(const DequantizeCodes& op) {
  const auto& [out, table, codebooks] = op;
  static_cast<void>(codebooks);
  Uses uses;
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const HalfSnake& op) {
  const auto& [x, out, alpha, slope, epsilon] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::column);
  add_buffer(uses, out, Access::write, Share::column);
  return uses;
}

inline Uses uses_of(const TimeConv& op) {
  const auto& [x, out, weight, bias, kernel, dilation, stride, before, padding, past, addend, scale,
               accumulate, activate] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, accumulate ? Access::update : Access::write, Share::column);
  add_buffer(uses, addend, Access::read, Share::whole);  // never what is written
  add_past(uses, x, past);
  return uses;
}

inline Uses uses_of(const Upsample& op) {
  const auto& [x, out, weight, bias, factor, past] = op;
  static_cast<void>(factor);
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::column);
  add_past(uses, x, past);
  return uses;
}

inline Uses uses_of(const Clamp& op) {
  const auto& [x, least, most] = op;
  Uses uses;
  add_buffer(uses, x, Access::update, Share::column);
  return uses;
}

inline Uses uses_of(const SplitRows& op) {
  const auto& [x, out] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const ShiftRows& op) {
  const auto& [x, out, count] = op;
  static_cast<void>(count);
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const QuantizeRows& op) {
  const auto& [x, out, levels] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

}  // namespace ttsrt::ops
