#include "model/stack_weights.h"

namespace ttsrt::model {
namespace {

// A tensor: where its weight stands once loaded, and what the manifest says of it.
template <typename Holder>
struct Field {
  ops::Weight Holder::* weight;
  const char* name;
  Role role;
  std::vector<std::int64_t> shape;
};

std::vector<Field<LayerWeights>> fields_of_layer(const StackConfig& config) {
  const std::int64_t dim = config.dim;
  const std::int64_t inner = config.ffn_dim;
  const std::int64_t outputs = (config.is_gated ? 2 : 1) * inner;
  const std::int64_t qkv = config.qkv_width();
  const auto product = config.has_taps ? Role::convolution : Role::matrix;
  const auto shape = [&config](std::int64_t rows, std::int64_t cols) {
    std::vector<std::int64_t> sizes = {rows, cols};
    if (config.has_taps) sizes.push_back(config.kernel);
    return sizes;
  };
  using W = LayerWeights;
  std::vector<Field<W>> fields;
  const auto add = [&fields](bool is_there, const Field<W>& field) {
    if (is_there) fields.push_back(field);
  };
  const bool has_ffn_norm = !config.is_parallel;
  add(true, {&W::self_norm, "self_norm", Role::vector, {dim}});
  add(config.has_norm_bias, {&W::self_norm_bias, "self_norm_bias", Role::vector, {dim}});
  add(true, {&W::self_qkv, "self_qkv", Role::matrix, {qkv, dim}});
  add(config.has_attention_bias, {&W::self_qkv_bias, "self_qkv_bias", Role::vector, {qkv}});
  add(true, {&W::self_out, "self_out", Role::matrix, {dim, config.attention_width()}});
  add(config.has_attention_bias, {&W::self_out_bias, "self_out_bias", Role::vector, {dim}});
  add(has_ffn_norm, {&W::ffn_norm, "ffn_norm", Role::vector, {dim}});
  add(has_ffn_norm && config.has_norm_bias,
      {&W::ffn_norm_bias, "ffn_norm_bias", Role::vector, {dim}});
  add(true, {&W::ffn_in, "ffn_in", product, shape(outputs, dim)});
  add(config.has_ffn_bias, {&W::ffn_in_bias, "ffn_in_bias", Role::vector, {outputs}});
  add(true, {&W::ffn_out, "ffn_out", product, shape(dim, inner)});
  add(config.has_ffn_bias, {&W::ffn_out_bias, "ffn_out_bias", Role::vector, {dim}});
  return fields;
}

std::vector<Field<StackWeights>> fields_before_layers(const StackConfig& config) {
  if (!config.has_positions) return {};
  return {
      {&StackWeights::positions, "positions", Role::vector, {config.max_positions, config.dim}}};
}

std::vector<Field<StackWeights>> fields_behind_layers(const StackConfig& config) {
  using W = StackWeights;
  std::vector<Field<W>> fields;
  if (!config.has_norm_out) return fields;
  fields.push_back({&W::norm_out, "norm_out", Role::vector, {config.dim}});
  if (config.has_norm_bias)
    fields.push_back({&W::norm_out_bias, "norm_out_bias", Role::vector, {config.dim}});
  return fields;
}

std::vector<Field<CrossWeights>> fields_of_cross(const CrossConfig& config, std::int64_t dim) {
  const std::int64_t width = config.width();
  using W = CrossWeights;
  std::vector<Field<W>> fields = {{&W::query_norm, "cross_query_norm", Role::vector, {dim}}};
  if (config.has_memory_norm)
    fields.push_back({&W::memory_norm, "cross_memory_norm", Role::vector, {dim}});
  fields.push_back({&W::q, "cross_q", Role::matrix, {width, dim}});
  fields.push_back({&W::kv, "cross_kv", Role::matrix, {2 * width, dim}});
  fields.push_back({&W::out, "cross_out", Role::matrix, {dim, width}});
  return fields;
}

template <typename Holder>
void declare(Manifest& manifest, const std::string& prefix,
             const std::vector<Field<Holder>>& fields) {
  for (const Field<Holder>& field : fields)
    manifest.add(field.role, prefix + field.name, field.shape);
}

template <typename Holder>
void load(const Weights& weights, const std::string& prefix,
          const std::vector<Field<Holder>>& fields, Holder& into) {
  for (const Field<Holder>& field : fields) into.*field.weight = weights.at(prefix + field.name);
}

std::string layer_prefix(const std::string& stack, std::int32_t layer) {
  return stack + ".layers." + std::to_string(layer) + ".";
}

}  // namespace

void declare_stack(Manifest& manifest, const std::string& name, const StackConfig& config) {
  declare(manifest, name + ".", fields_before_layers(config));
  for (std::int32_t l = 0; l < config.layers; ++l)
    declare(manifest, layer_prefix(name, l), fields_of_layer(config));
  declare(manifest, name + ".", fields_behind_layers(config));
}

StackWeights load_stack(const Weights& weights, const std::string& name,
                        const StackConfig& config) {
  StackWeights stack;
  load(weights, name + ".", fields_before_layers(config), stack);
  for (std::int32_t l = 0; l < config.layers; ++l)
    load(weights, layer_prefix(name, l), fields_of_layer(config), stack.layers.emplace_back());
  load(weights, name + ".", fields_behind_layers(config), stack);
  return stack;
}

LayerWeights layer_of(const StackConfig& config,
                      const std::function<ops::Weight(const std::string& name)>& find) {
  LayerWeights layer;
  for (const Field<LayerWeights>& field : fields_of_layer(config))
    layer.*field.weight = find(field.name);
  return layer;
}

void declare_cross(Manifest& manifest, const std::string& stack, const CrossConfig& config,
                   std::int32_t dim) {
  for (std::size_t l = 0; l < config.sees_text.size(); ++l) {
    std::vector<Field<CrossWeights>> fields = fields_of_cross(config, dim);
    if (!config.sees_text[l] && !config.sees_context[l]) {
      for (Field<CrossWeights>& field : fields) field.role = Role::unused;
    }
    declare(manifest, layer_prefix(stack, static_cast<std::int32_t>(l)), fields);
  }
}

CrossWeights load_cross(const Weights& weights, const std::string& stack, std::int32_t layer,
                        const CrossConfig& config) {
  CrossWeights cross;
  load(weights, layer_prefix(stack, layer), fields_of_cross(config, 0), cross);
  return cross;
}

}  // namespace ttsrt::model
