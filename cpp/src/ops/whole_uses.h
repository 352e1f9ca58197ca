// What the ops of ops/whole_ops.h read and write (ops/uses.h).
#pragma once

#include "ops/use.h"
#include "ops/whole_ops.h"

namespace ttsrt::ops {

inline Uses uses_of(const LoadRows& op) {
  const auto& [out, array, repeat] = op;
  static_cast<void>(repeat);
  Uses uses = {{Part::rows, array, Access::read, Share::row}};
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const SaveRows& op) {
  const auto& [x, array, first] = op;
  static_cast<void>(first);
  Uses uses = {{Part::rows, array, Access::write, Share::row}};
  add_buffer(uses, x, Access::read, Share::row);
  return uses;
}

inline Uses uses_of(const StoreSchedule& op) {
  const auto& [x] = op;
  Uses uses = {{Part::schedule, 0, Access::write, Share::row}};
  add_buffer(uses, x, Access::read, Share::row);
  return uses;
}

inline Uses uses_of(const ModulatedNorm& op) {
  const auto& [x, out, scale, shift, epsilon] = op;
  Uses uses = {{Part::schedule, 0, Access::read, Share::whole}};
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const AddModulated& op) {
  const auto& [x, out, gate] = op;
  static_cast<void>(gate);
  Uses uses = {{Part::schedule, 0, Access::read, Share::whole}};
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::update, Share::row);
  return uses;
}

inline Uses uses_of(const ClearFiller& op) {
  const auto& [x] = op;
  Uses uses;
  add_buffer(uses, x, Access::update, Share::row);
  return uses;
}

inline Uses uses_of(const StretchText& op) {
  const auto& [x, out] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const DepthwiseConv& op) {
  const auto& [x, out, weight, bias] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const GroupedConv& op) {
  const auto& [x, out, weight, bias, groups, kernel, activate, accumulate] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, accumulate ? Access::update : Access::write, Share::column);
  return uses;
}

inline Uses uses_of(const ResponseNorm& op) {
  const auto& [x, sums, gamma, beta, epsilon] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, sums, Access::write, Share::column);
  add_buffer(uses, x, Access::update, Share::row, 1);
  add_buffer(uses, sums, Access::read, Share::whole, 1);
  return uses;
}

inline Uses uses_of(const FlowStep& op) {
  const auto& [velocity, base, fixed, mask] = op;
  Uses uses = {{Part::kept_rows, 0, Access::write, Share::row},
               {Part::rows, base, Access::update, Share::row}};
  if (mask >= 0) {
    uses.push_back({Part::rows, fixed, Access::read, Share::row});
    uses.push_back({Part::rows, mask, Access::read, Share::row});
  }
  add_buffer(uses, velocity, Access::read, Share::whole);
  return uses;
}

inline Uses uses_of(const JoinColumns& op) {
  const auto& [parts, out] = op;
  Uses uses;
  for (const BufferId part : parts) add_buffer(uses, part, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const ActivateRows& op) {
  const auto& [x, out, activate, scale, shift] = op;
  Uses uses;
  if (shift >= 0) uses.push_back({Part::schedule, 0, Access::read, Share::whole});
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const DistanceRows& op) {
  const auto& [out, table] = op;
  Uses uses;
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const RelativeAttention& op) {
  const auto& [qkv, distances, out, content_offset, distance_offset, heads, head_dim] = op;
  static_cast<void>(heads);
  static_cast<void>(head_dim);
  Uses uses = {{Part::segment_blocks, 0, Access::write, Share::row}};
  add_buffer(uses, qkv, Access::read, Share::row);
  add_buffer(uses, distances, Access::read, Share::row);
  uses.push_back({Part::segment_blocks, 0, Access::read, Share::whole, 1});
  add_buffer(uses, qkv, Access::read, Share::row, 1);
  add_buffer(uses, out, Access::write, Share::row, 1);
  return uses;
}

inline Uses uses_of(const PolarSpectrum& op) {
  const auto& [x, out, most, has_sine] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::row);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const OverlapAdd& op) {
  const auto& [x, out, window, trim] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  add_buffer(uses, out, Access::write, Share::row);
  return uses;
}

inline Uses uses_of(const EmitRows& op) {
  const auto& [x] = op;
  Uses uses;
  add_buffer(uses, x, Access::read, Share::whole);
  return uses;
}

}  // namespace ttsrt::ops
