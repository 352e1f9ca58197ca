#include "nested_call.h"

#include <string>
#include <variant>

#include "common/nested.h"
#include "cuda/device_slots.h"
#include "cuda/lowering.h"
#include "plugin_lowering.h"

namespace ttsrt::plugins::test {
namespace {

class NestedWriter {
 public:
  NestedWriter(const ops::PickCodes& op, cuda::DeviceWeights& weights)
      : op_(op), weights_(weights) {}

  PluginCall run() {
    call_.kind = "LocalTransformer";
    TTSRT_CHECK(ConfigError, op_.network.input == 0, "expected activation 0 as the input");
    const ops::Program& program = *op_.network.program;
    Numbers widths;
    for (const ops::Activation& activation : program.activations)
      widths.push_back(static_cast<std::int32_t>(activation.width));
    for (; index_ < static_cast<std::int64_t>(program.ops.size()); ++index_)
      std::visit([this](const auto& op) { write(op); },
                 program.ops[static_cast<std::size_t>(index_)]);
    write_weights();
    add("nested_output", op_.network.output);
    add("is_maskgit", op_.maskgit ? 1 : 0);
    add("max_passes", op_.maskgit ? kMostPasses : 0);
    add("mask_id", op_.mask_id);
    add("vocab", op_.vocab);
    add("width", op_.dim);
    add("weight_type", static_cast<std::int32_t>(cuda::element_of(op_.code_tables.dtype)));
    add("keep_logits", op_.pick_logits == ops::kNoBuffer ? 0 : 1);
    call_.fields.push_back({"nested_widths", widths});
    call_.fields.push_back({"nested_ops", ops_});
    call_.fields.push_back({"nested_reals", reals_});
    return std::move(call_);
  }

 private:
  void add(const char* name, std::int64_t value) { call_.fields.push_back(number(name, value)); }

  void write_op(NestedKind kind, const Numbers& numbers, float real) {
    ops_.push_back(static_cast<std::int32_t>(kind));
    ops_.insert(ops_.end(), numbers.begin(), numbers.end());
    reals_.push_back(real);
  }

  void add_vector(const std::string& name, const ops::Weight& weight) {
    if (weight.is_present()) call_.addresses[name] = weights_.vector(weight);
  }
  void add_product(const std::string& name, const ops::Weight& weight) {
    TTSRT_CHECK(ConfigError, weight.dtype == op_.code_tables.dtype, name,
                ": expected the type of the tables");
    call_.addresses[name] = weights_.product(weight).data;
  }

  void write(const ops::Norm& op) {
    write_op(NestedKind::norm,
             {op.x, op.out, op.kind == ops::NormKind::rms ? 1 : 0, op.bias.is_present() ? 1 : 0, 0,
              0, 0},
             op.epsilon);
    add_vector(nested_weight(index_, "weight"), op.weight);
    add_vector(nested_weight(index_, "bias"), op.bias);
  }
  void write(const ops::Linear& op) {
    write_op(NestedKind::linear,
             {op.x, op.out, static_cast<std::int32_t>(cuda::activation_of(op.activate)),
              op.accumulate ? 1 : 0, op.addend, op.bias.is_present() ? 1 : 0, 0},
             0.0F);
    add_product(nested_weight(index_, "weight"), op.weight);
    add_vector(nested_weight(index_, "bias"), op.bias);
  }
  void write(const ops::Gate& op) {
    write_op(
        NestedKind::gate,
        {op.x, op.out, static_cast<std::int32_t>(cuda::activation_of(op.activate)), 0, 0, 0, 0},
        0.0F);
  }
  void write(const ops::SelfAttention& op) {
    write_op(NestedKind::attention,
             {op.qkv, op.out, op.heads, op.num_kv_heads(), op.head_dim, op.causal ? 1 : 0,
              static_cast<std::int32_t>(op.rope.is_present() ? op.rope.cols : 0)},
             op.scale);
    add_vector(nested_weight(index_, "rope"), op.rope);
  }
  template <class Other>
  void write(const Other&) {
    throw ConfigError("a nested Program with an op that the plugins do not take");
  }

  void write_weights() {
    call_.addresses["code_tables"] = weights_.table(op_.code_tables).data;
    add_vector("positions", op_.positions);
    add("has_in_proj", op_.in_proj.is_present() ? 1 : 0);
    add("has_in_proj_bias", op_.in_proj_bias.is_present() ? 1 : 0);
    add("has_head_biases", op_.head_biases.is_present() ? 1 : 0);
    if (op_.in_proj.is_present()) add_product("in_proj", op_.in_proj);
    add_vector("in_proj_bias", op_.in_proj_bias);
    add_vector("head_biases", op_.head_biases);
    for (std::size_t i = 0; i < op_.head_weights.size(); ++i)
      add_product("head" + std::to_string(i), op_.head_weights[i]);
  }

  const ops::PickCodes& op_;
  cuda::DeviceWeights& weights_;
  PluginCall call_;
  Numbers ops_;
  Reals reals_;
  std::int64_t index_ = 0;
};

}  // namespace

PluginCall local_transformer_call(const ops::PickCodes& op, cuda::DeviceWeights& weights) {
  return NestedWriter(op, weights).run();
}

}  // namespace ttsrt::plugins::test
