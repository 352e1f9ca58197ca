#include "ops/nested.h"

#include <variant>

#include "core/check.h"

namespace ttsrt::ops {
namespace {

// Throws for ops that can't stand in a nested Program.
struct NestedOp {
  const Program& program;
  bool needs_causal;

  void operator()(const Norm&) const {}
  void operator()(const Linear&) const {}
  void operator()(const Gate&) const {}
  void operator()(const SelfAttention& op) const {
    TTSRT_CHECK(InternalError, op.cache_layer < 0, program.name,
                ": expected self-attention that keeps nothing in the paged cache, got layer ",
                op.cache_layer);
    TTSRT_CHECK(InternalError, op.num_kv_heads() == op.heads && !op.rope.is_present(), program.name,
                ": expected self-attention without grouped queries and without a rope");
    TTSRT_CHECK(InternalError, op.causal || !needs_causal, program.name,
                ": rows that run one by one can't see what comes after them");
  }
  template <typename Other>
  void operator()(const Other&) const {
    throw InternalError(message(
        program.name,
        ": expected Norm, Linear, Gate and SelfAttention in a nested Program, got another op"));
  }
};

// Throws unless a matrix of products is there and has this shape.
void check_panel(const Weight& weight, std::int64_t rows, std::int64_t cols) {
  TTSRT_CHECK(InternalError, weight.is_present() && weight.rows == rows && weight.cols == cols,
              weight.name, ": expected [", rows, ", ", cols, "], got [", weight.rows, ", ",
              weight.cols, "]");
}

}  // namespace

std::int64_t width_of(const NestedProgram& nested, BufferId buffer) {
  TTSRT_CHECK(InternalError, nested.program != nullptr, "nested Program: absent");
  const Program& program = *nested.program;
  TTSRT_CHECK(InternalError,
              buffer >= 0 && static_cast<std::size_t>(buffer) < program.activations.size(),
              program.name, ": buffer ", buffer, " of ", program.activations.size());
  return program.activations[static_cast<std::size_t>(buffer)].width;
}

void check_nested(const NestedProgram& nested, bool needs_causal) {
  TTSRT_CHECK(InternalError,
              width_of(nested, nested.input) > 0 && width_of(nested, nested.output) > 0,
              "nested Program: expected an input and an output");
  const Program& program = *nested.program;
  TTSRT_CHECK(InternalError, program.num_parts() == 1, program.name,
              ": a nested Program runs whole, got ", program.num_parts(), " parts");
  for (const Activation& activation : program.activations) {
    TTSRT_CHECK(InternalError, activation.space == RowSpace::rows, program.name, ": ",
                activation.name, ": expected one row per row");
  }
  for (const Op& op : program.ops) std::visit(NestedOp{program, needs_causal}, op);
}

void check_pick_codes(const PickCodes& op, std::int32_t codebooks) {
  TTSRT_CHECK(InternalError, op.codebooks == codebooks && codebooks > 0, "codes: expected ",
              codebooks, " tables as the slots have, got ", op.codebooks);
  check_nested(op.network, !op.maskgit);
  const std::int64_t width = width_of(op.network, op.network.input);
  if (op.in_proj.is_present()) check_panel(op.in_proj, width, op.dim);
  TTSRT_CHECK(InternalError, op.in_proj.is_present() || width == op.dim, "pick codes: width ",
              width, " differs from ", op.dim, " without an in-projection");
  TTSRT_CHECK(InternalError,
              op.positions.dtype == DType::float32 && op.positions.cols == width &&
                  op.positions.rows >= op.places(),
              op.positions.name, ": expected float32 [", op.places(), ", ", width, "], got [",
              op.positions.rows, ", ", op.positions.cols, "]");
  TTSRT_CHECK(
      InternalError,
      op.code_tables.cols == op.dim && op.code_tables.rows >= std::int64_t{op.codebooks} * op.vocab,
      op.code_tables.name, ": expected ", op.codebooks, " tables of [", op.vocab, ", ", op.dim,
      "]");
  TTSRT_CHECK(InternalError, op.head_weights.size() == static_cast<std::size_t>(op.codebooks),
              "pick codes: expected ", op.codebooks, " heads, got ", op.head_weights.size());
  for (const Weight& head : op.head_weights)
    check_panel(head, op.vocab, width_of(op.network, op.network.output));
}

}  // namespace ttsrt::ops
