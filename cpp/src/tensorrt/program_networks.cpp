#include "tensorrt/program_networks.h"

#include <algorithm>
#include <variant>

#include "core/check.h"
#include "cuda/launch_limits.h"
#include "ops/check.h"
#include "ops/uses.h"
#include "rules/slot_rules.h"
#include "tensorrt/network_text.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {
namespace {

// Ops that have a native layer or a plugin.
struct IsOffered {
  bool operator()(const ops::AddModulated&) const { return true; }
  bool operator()(const ops::EmbedRows&) const { return true; }
  bool operator()(const ops::FlowStep& op) const { return op.mask >= 0; }
  bool operator()(const ops::GroupedConv& op) const { return op.activate != ops::Activate::elu; }
  bool operator()(const ops::LoadRows& op) const { return op.repeat == 1; }
  bool operator()(const ops::ModulatedNorm&) const { return true; }
  bool operator()(const ops::Norm&) const { return true; }
  bool operator()(const ops::Linear& op) const { return op.activate != ops::Activate::elu; }
  bool operator()(const ops::Gate& op) const { return op.activate != ops::Activate::elu; }
  bool operator()(const ops::Unfold&) const { return true; }
  bool operator()(const ops::SelfAttention& op) const {
    return op.cache_layer < 0 || (op.rope_heads == 0 && !op.q_norm.is_present());
  }
  bool operator()(const ops::StoreMemory&) const { return true; }
  bool operator()(const ops::CrossAttention&) const { return true; }
  bool operator()(const ops::StoreContext&) const { return true; }
  bool operator()(const ops::ClearScores&) const { return true; }
  bool operator()(const ops::UpdatePrior&) const { return true; }
  bool operator()(const ops::SampleCodes&) const { return true; }
  bool operator()(const ops::PickCodes&) const { return true; }
  bool operator()(const ops::FinishStep&) const { return true; }
  bool operator()(const ops::EmitRows&) const { return true; }
  template <class Other>
  bool operator()(const Other&) const {
    return false;
  }
};

void check_weight(const ops::Program& program, const ops::Weight& weight) {
  if (!weight.is_present()) return;
  TTSRT_CHECK(ConfigError, weight.quantization == ops::Quantization::none,
              "tensorrt: ", program.name, ": ", weight.name, ": expected float32 or float16, got ",
              ops::name_of(weight.quantization), ": build the engine with quantization none");
  TTSRT_CHECK(ConfigError, weight.dtype == DType::float32 || weight.dtype == DType::float16,
              "tensorrt: ", program.name, ": ", weight.name, ": expected float32 or float16, got ",
              name_of(weight.dtype), ": build the engine with dtype float16 or float32");
}

struct CheckWeights {
  const ops::Program& program;

  void check(const ops::Weight& weight) const { check_weight(program, weight); }
  void operator()(const ops::EmbedRows& op) const {
    check(op.code_tables);
    for (const ops::Weight& table : op.id_tables) check(table);
    for (const ops::Weight& table : op.position_tables) check(table);
  }
  void operator()(const ops::Linear& op) const { check(op.weight); }
  void operator()(const ops::GroupedConv& op) const { check(op.weight); }
  void operator()(const ops::SelfAttention& op) const {
    TTSRT_CHECK(ConfigError, op.segment_dtype == DType::float32, "tensorrt: ", program.name,
                ": SelfAttention: expected keys of float32, got ", name_of(op.segment_dtype));
  }
  void operator()(const ops::PickCodes& op) const {
    check(op.code_tables);
    check(op.in_proj);
    for (const ops::Weight& head : op.head_weights) check(head);
    for (const ops::Op& nested : op.network.program->ops) std::visit(*this, nested);
  }
  template <class Other>
  void operator()(const Other&) const {}
};

template <class Kind>
bool has(const ops::Program& program) {
  return std::any_of(program.ops.begin(), program.ops.end(),
                     [](const ops::Op& op) { return std::holds_alternative<Kind>(op); });
}

}  // namespace

std::int64_t Binding::bytes(std::int64_t rows) const {
  std::int64_t bytes = type == Type::float16 ? 2 : 4;
  for (const std::int64_t extent : dims) bytes *= extent == kRowsExtent ? rows : extent;
  return bytes;
}

std::string refusal(const ops::Program& program) {
  if (program.has_many_rows && !has<ops::FlowStep>(program))
    return "its launches are whole items, and no evaluations of a flow";
  if (!has<ops::Linear>(program)) return "it has no product";
  for (const ops::Activation& activation : program.activations) {
    if (activation.rate != 1 || activation.beyond != 0)
      return message("its rows have another rate in ", activation.name);
  }
  for (const ops::Op& op : program.ops) {
    if (!std::visit(IsOffered{}, op)) return message("it has ", ops::name_of(op));
  }
  return {};
}

void check_types(const ops::Program& program, const ops::StateSpec& state) {
  for (const ops::Op& op : program.ops) std::visit(CheckWeights{program}, op);
  TTSRT_CHECK(
      ConfigError, state.cache_dtype == DType::float32 || state.cache_dtype == DType::float16,
      "tensorrt: kv_cache_dtype: expected float32 or float16, got ", name_of(state.cache_dtype));
}

ProgramNetworks::ProgramNetworks(const ops::Program& program, const ops::ProgramLimits& limits,
                                 const ops::StateSpec& state)
    : program_(program), limits_(limits), state_(state) {
  check_types(program, state);
  const ops::BatchNeeds needs = ops::needs_of(program, limits, state);
  rows_ = cuda::row_limits(program, limits, needs, state);
  rows_.max_drafts = 0;  // the plugins know none; their arrays lie behind all others
  // Steps are launched row by row: a row of each branch of each request.
  has_single_rows_ = limits.max_draws > 0 && needs.uses_cache;
  find_cleared_scores();
}

// As cuda::Lowering: scores that nothing has used before.
void ProgramNetworks::find_cleared_scores() {
  for (auto op = program_.ops.begin(); op != program_.ops.end(); ++op) {
    const auto* clear = std::get_if<ops::ClearScores>(&*op);
    if (clear == nullptr) continue;
    const bool is_first = std::none_of(program_.ops.begin(), op, [&](const ops::Op& before) {
      const ops::Uses uses = ops::uses_of(before);
      return std::any_of(uses.begin(), uses.end(), [&](const ops::Use& use) {
        return use.part == ops::Part::buffer && use.index == clear->scores;
      });
    });
    if (is_first) cleared_scores_ = clear->scores;
    return;
  }
}

bool ProgramNetworks::uses_float16() const {
  return std::any_of(program_.ops.begin(), program_.ops.end(), [](const ops::Op& op) {
    const auto* linear = std::get_if<ops::Linear>(&op);
    return linear != nullptr && linear->weight.dtype == DType::float16;
  });
}

ops::BufferId ProgramNetworks::emitted() const {
  for (const ops::Op& op : program_.ops) {
    if (const auto* emit = std::get_if<ops::EmitRows>(&op)) return emit->x;
  }
  return ops::kNoBuffer;
}

std::int32_t ProgramNetworks::most_passes() const {
  return has<ops::PickCodes>(program_) ? rules::MaskGitRules{}.steps : 0;
}

std::int32_t ProgramNetworks::most_score_heads() const {
  std::int32_t most = 0;
  for (const ops::Op& op : program_.ops) {
    const auto* cross = std::get_if<ops::CrossAttention>(&op);
    if (cross != nullptr && cross->scores != ops::kNoBuffer) most = std::max(most, cross->heads);
  }
  return most;
}

bool ProgramNetworks::is_left(ops::BufferId buffer) const {
  const bool is_tap = std::any_of(program_.taps.begin(), program_.taps.end(),
                                  [buffer](const ops::Tap& tap) { return tap.buffer == buffer; });
  return is_tap || buffer == emitted();
}

std::vector<Binding> ProgramNetworks::write(NetworkWriter& writer) const {
  return ProgramWriter(*this, writer).run();
}

std::string ProgramNetworks::text() const {
  NetworkText network;
  write(network);
  return network.text();
}

}  // namespace ttsrt::tensorrt
