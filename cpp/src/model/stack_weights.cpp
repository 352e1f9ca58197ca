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
  const std::int64_t ffn = config.ffn_dim;
  using W = LayerWeights;
  return {
      {&W::self_norm, "self_norm", Role::vector, {dim}},
      {&W::self_qkv, "self_qkv", Role::matrix, {3 * dim, dim}},
      {&W::self_out, "self_out", Role::matrix, {dim, dim}},
      {&W::ffn_norm, "ffn_norm", Role::vector, {dim}},
      {&W::ffn_in, "ffn_in", Role::convolution, {ffn, dim, config.kernel}},
      {&W::ffn_out, "ffn_out", Role::convolution, {dim, ffn, config.kernel}},
  };
}

std::vector<Field<StackWeights>> fields_before_layers(const StackConfig& config) {
  return {
      {&StackWeights::positions, "positions", Role::vector, {config.max_positions, config.dim}}};
}

std::vector<Field<StackWeights>> fields_behind_layers(const StackConfig& config) {
  if (!config.has_norm_out) return {};
  return {{&StackWeights::norm_out, "norm_out", Role::vector, {config.dim}}};
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
