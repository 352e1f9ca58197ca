// The Program inside a LocalTransformer, as lists of numbers: which activations there are, and
// which ops run over them in order.
//
// An op is a record of kRecord numbers, [kind, x, out, ...], and one real. Kinds and what follows:
//   0 norm       is_rms, has_bias; the real is epsilon
//   1 linear     activate, accumulates, addend or -1, has_bias
//   2 gate       activate
//   3 attention  heads, kv_heads, head_dim, is_causal, rope_width or 0; the real is the scale or 0
// `x`, `out` and `addend` are activations, of which `widths` has the columns. Activation 0 is the
// input, and `output` names what the heads read. Weights are inputs of the plugin by the op's
// index.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/bound.h"

namespace ttsrt::plugins {

enum class NestedKind : std::int32_t { norm, linear, gate, attention };

struct NestedOp {
  NestedKind kind = NestedKind::norm;
  std::int32_t x = 0;
  std::int32_t out = 0;
  std::int32_t a = 0;
  std::int32_t b = 0;
  std::int32_t c = 0;
  std::int32_t d = 0;
  std::int32_t e = 0;
  float real = 0.0F;

  bool is_rms() const { return a != 0; }
  bool norm_has_bias() const { return b != 0; }
  std::int32_t activate() const { return a; }
  bool accumulates() const { return b != 0; }
  std::int32_t addend() const { return c; }
  bool linear_has_bias() const { return d != 0; }
  std::int32_t heads() const { return a; }
  std::int32_t kv_heads() const { return b; }
  std::int32_t head_dim() const { return c; }
  bool is_causal() const { return d != 0; }
  std::int32_t rope_width() const { return e; }
};

struct NestedAttributes {
  Numbers widths;
  Numbers ops;  // [ops, kRecord]
  Reals reals;  // [ops]
  std::int32_t output = 0;

  static constexpr std::int32_t kRecord = 8;

  template <class Self, class Visit>
  static void each(Self& self, const Visit& visit) {
    visit("nested_widths", self.widths);
    visit("nested_ops", self.ops);
    visit("nested_reals", self.reals);
    visit("nested_output", self.output);
  }
  std::int64_t size() const { return static_cast<std::int64_t>(reals.size()); }
  NestedOp at(std::int64_t op) const;
  std::int64_t width(std::int32_t activation) const {
    return widths[static_cast<std::size_t>(activation)];
  }
  // Throws ConfigError unless every op is one of these and its activations fit each other.
  void check(const char* plugin, bool needs_causal) const;
};

// The name of a weight of an op: "op3.weight".
std::string nested_weight(std::int64_t op, const char* name);

// The weight of a product as a constant of a network, in the order in which the kernels read it
// (cuda/fragments.h): [outputs padded to 16, inputs padded to 4 for float32, to 16 for float16].
cuda::ProductWeight packed_weight(const void* data, std::int32_t element, std::int64_t outputs,
                                  std::int64_t inputs);
Port packed_port(std::string name, const char* plugin, std::int32_t element, std::int64_t outputs,
                 std::int64_t inputs);

}  // namespace ttsrt::plugins
