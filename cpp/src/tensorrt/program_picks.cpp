// The Program inside a local transformer as the plugin's lists of numbers, and its weights.
#include <variant>

#include "core/check.h"
#include "cuda/launch.h"
#include "ops/nested.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {
namespace {

using plugins::NestedAttributes;
using plugins::NestedKind;

// Adds the record of an op (common/nested.h).
struct AddRecord {
  NestedAttributes& at;

  void add(NestedKind kind, ops::BufferId x, ops::BufferId out, plugins::Numbers rest,
           float real) const {
    at.ops.push_back(static_cast<std::int32_t>(kind));
    at.ops.push_back(x);
    at.ops.push_back(out);
    rest.resize(NestedAttributes::kRecord - 3);
    at.ops.insert(at.ops.end(), rest.begin(), rest.end());
    at.reals.push_back(real);
  }
  static std::int32_t flag(bool value) { return value ? 1 : 0; }

  void operator()(const ops::Norm& op) const {
    add(NestedKind::norm, op.x, op.out,
        {flag(op.kind == ops::NormKind::rms), flag(op.bias.is_present())}, op.epsilon);
  }
  void operator()(const ops::Linear& op) const {
    add(NestedKind::linear, op.x, op.out,
        {number_of(op.activate), flag(op.accumulate), op.addend, flag(op.bias.is_present())}, 0.0F);
  }
  void operator()(const ops::Gate& op) const {
    add(NestedKind::gate, op.x, op.out, {number_of(op.activate)}, 0.0F);
  }
  void operator()(const ops::SelfAttention& op) const {
    const auto rope_width = static_cast<std::int32_t>(op.rope.is_present() ? op.rope.cols : 0);
    add(NestedKind::attention, op.qkv, op.out,
        {op.heads, op.num_kv_heads(), op.head_dim, flag(op.causal), rope_width}, op.scale);
  }
  template <class Other>
  void operator()(const Other&) const {
    throw InternalError("tensorrt: an op that no nested Program has");
  }
};

}  // namespace

// As cuda/launch.h counts them.
std::int32_t number_of(ops::Activate activate) {
  switch (activate) {
    case ops::Activate::none:
      return static_cast<std::int32_t>(cuda::Activation::none);
    case ops::Activate::gelu_tanh:
      return static_cast<std::int32_t>(cuda::Activation::gelu_tanh);
    case ops::Activate::silu:
      return static_cast<std::int32_t>(cuda::Activation::silu);
    case ops::Activate::gelu:
      return static_cast<std::int32_t>(cuda::Activation::gelu);
    case ops::Activate::mish:
      return static_cast<std::int32_t>(cuda::Activation::mish);
    case ops::Activate::elu:
      break;
  }
  throw ConfigError(
      "tensorrt: an activation inside a plugin: expected none, gelu, silu or mish, got elu");
}

// The plugin's activation 0 is the input, which is buffer 0 of what write_nested() writes.
NestedAttributes ProgramWriter::nested(const ops::NestedProgram& network) const {
  TTSRT_CHECK(InternalError, network.input == 0, "tensorrt: nested Program: expected input 0, got ",
              network.input);
  NestedAttributes at;
  for (const ops::Activation& activation : network.program->activations)
    at.widths.push_back(static_cast<std::int32_t>(activation.width));
  for (const ops::Op& op : network.program->ops) std::visit(AddRecord{at}, op);
  at.output = network.output;
  return at;
}

ProgramWriter::Given ProgramWriter::nested_weights(const ops::PickCodes& op) {
  Given given;
  const std::int32_t element = element_of(op.code_tables.dtype);
  const auto add_product = [&](const std::string& port, const ops::Weight& weight) {
    TTSRT_CHECK(ConfigError, weight.dtype == op.code_tables.dtype, "tensorrt: ", weight.name,
                ": expected the type of ", op.code_tables.name, ", got ", name_of(weight.dtype));
    const plugins::Port shape =
        plugins::packed_port(port, "LocalTransformer", element, weight.rows, weight.cols);
    given.emplace_back(
        port, bind_product(weight, shape.type, {shape.shape[0].number, shape.shape[1].number}));
  };
  const auto add_vector = [&](const std::string& port, const ops::Weight& weight) {
    if (weight.is_present())
      given.emplace_back(port, bind_table(weight, Type::float32, {weight.rows * weight.cols}));
  };
  // Of tables that have more rows than there are places, the first are bound.
  const auto add_rows = [&](const std::string& port, const ops::Weight& weight, std::int64_t rows) {
    given.emplace_back(port, bind_table(weight, type_of(weight.dtype), {rows, weight.cols}));
  };
  add_rows("code_tables", op.code_tables, std::int64_t{op.codebooks} * op.vocab);
  add_rows("positions", op.positions, op.places());
  if (op.in_proj.is_present()) add_product("in_proj", op.in_proj);
  add_vector("in_proj_bias", op.in_proj_bias);
  for (std::size_t i = 0; i < op.head_weights.size(); ++i)
    add_product(message("head", i), op.head_weights[i]);
  add_vector("head_biases", op.head_biases);
  for (std::size_t i = 0; i < op.network.program->ops.size(); ++i) {
    const ops::Op& inner = op.network.program->ops[i];
    const auto index = static_cast<std::int64_t>(i);
    if (const auto* norm = std::get_if<ops::Norm>(&inner)) {
      add_vector(plugins::nested_weight(index, "weight"), norm->weight);
      add_vector(plugins::nested_weight(index, "bias"), norm->bias);
    } else if (const auto* linear = std::get_if<ops::Linear>(&inner)) {
      add_product(plugins::nested_weight(index, "weight"), linear->weight);
      add_vector(plugins::nested_weight(index, "bias"), linear->bias);
    } else if (const auto* attention = std::get_if<ops::SelfAttention>(&inner)) {
      if (attention->rope.is_present())
        add_rows(plugins::nested_weight(index, "rope"), attention->rope, op.places());
    }
  }
  return given;
}

}  // namespace ttsrt::tensorrt
