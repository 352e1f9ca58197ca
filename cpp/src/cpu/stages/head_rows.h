// Heads of queries and keys as they stand at their positions: normalised and turned, where the op
// says so.
#pragma once

#include "core/check.h"
#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {

class HeadRows {
 public:
  HeadRows(const Site& site, const ops::SelfAttention& op)
      : kernels_(site.kernels),
        op_(op),
        q_norm_(vector_of(op.q_norm, std::int64_t{op.heads} * op.head_dim)),
        k_norm_(vector_of(op.k_norm, std::int64_t{op.num_kv_heads()} * op.head_dim)) {}

  // A head [head_dim] of a row at a position: x, or what `scratch` [head_dim] then holds.
  const float* query(std::int32_t position, std::int32_t head, const float* x,
                     float* scratch) const {
    return turned(position, head, q_norm_, x, scratch);
  }
  const float* key(std::int32_t position, std::int32_t head, const float* x, float* scratch) const {
    return turned(position, head, k_norm_, x, scratch);
  }

 private:
  const float* turned(std::int32_t position, std::int32_t head, const float* norm, const float* x,
                      float* scratch) const {
    const ops::Weight& rope = op_.rope;
    if (norm != nullptr) {
      const float* weight = norm + std::int64_t{head} * op_.head_dim;
      kernels_->norm(x, {weight, nullptr, op_.head_dim, op_.head_norm_epsilon, false, false},
                     scratch);
      x = scratch;
    }
    if (!rope.is_present() || (op_.rope_heads > 0 && head >= op_.rope_heads)) return x;
    TTSRT_CHECK(InternalError, position < rope.rows, rope.name, ": position ", position, " of ",
                rope.rows);
    const auto* angles = reinterpret_cast<const float*>(table_row(rope, position));
    kernels_->rotate(x, angles, static_cast<std::int32_t>(rope.cols), op_.head_dim, scratch);
    return scratch;
  }

  const Kernels* kernels_;
  ops::SelfAttention op_;
  const float* q_norm_;  // [heads, head_dim], or null
  const float* k_norm_;
};

}  // namespace ttsrt::cpu
