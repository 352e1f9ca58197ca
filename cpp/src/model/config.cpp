#include "model/config.h"

namespace ttsrt::model {
namespace {

std::vector<bool> read_layers(const JsonReader& reader, const char* key, std::int32_t layers) {
  std::vector<bool> chosen(static_cast<std::size_t>(layers), false);
  for (const std::int32_t layer : reader.integers(key, 0, layers - 1, kMaxDecoderLayers)) {
    chosen[static_cast<std::size_t>(layer)] = true;
  }
  return chosen;
}

}  // namespace

StackConfig read_stack_sizes(const JsonReader& reader) {
  StackConfig stack;
  stack.layers = reader.int32("layers", 1, kMaxDecoderLayers);
  stack.dim = reader.int32("dim", 2, kMaxDim);
  stack.ffn_dim = reader.int32("ffn_dim", 2, 4 * kMaxDim);
  stack.heads = reader.int32("heads", 1, 256);
  stack.max_positions = reader.int32("max_positions", 1, kMaxPositions);
  stack.has_positions = true;
  stack.has_taps = true;
  TTSRT_CHECK(FormatError, stack.dim % stack.heads == 0, reader.where(),
              ".heads: expected a divisor of dim ", stack.dim, ", got ", stack.heads);
  return stack;
}

StackConfig read_causal_stack(const JsonReader& reader) {
  StackConfig stack;
  stack.layers = reader.int32("layers", 1, kMaxDecoderLayers);
  stack.dim = reader.int32("dim", 2, kMaxDim);
  stack.ffn_dim = reader.int32("ffn_dim", 2, 4 * kMaxDim);
  stack.heads = reader.int32("heads", 1, 256);
  stack.kv_heads = reader.int32("kv_heads", 1, stack.heads);
  TTSRT_CHECK(FormatError, stack.heads % stack.kv_heads == 0, reader.where(),
              ".kv_heads: expected a divisor of heads ", stack.heads, ", got ", stack.kv_heads);
  stack.head_size = reader.int32("head_dim", 1, kMaxDim);
  stack.max_positions = reader.int32("max_positions", 1, kMaxPositions);
  stack.has_positions = reader.boolean("learned_positions");
  stack.is_parallel = reader.boolean("parallel");
  stack.norm = read_kind<ops::NormKind>(
      reader, "norm", {{"layer", ops::NormKind::layer}, {"rms", ops::NormKind::rms}});
  stack.has_norm_bias = reader.boolean("norm_bias");
  stack.norm_epsilon = static_cast<float>(reader.number("norm_epsilon", 0.0, 1.0));
  stack.has_attention_bias = reader.boolean("attention_bias");
  if (reader.has("attention_scale"))
    stack.attention_scale = static_cast<float>(reader.number("attention_scale", 1e-6, 1e6));
  if (reader.has("rope")) stack.rope = read_rope(reader.object("rope"), stack.head_dim());
  stack.activation = read_kind<ops::Activate>(
      reader, "activation",
      {{"gelu_tanh", ops::Activate::gelu_tanh}, {"silu", ops::Activate::silu}});
  stack.is_gated = reader.boolean("gated");
  stack.has_ffn_bias = reader.boolean("ffn_bias");
  return stack;
}

StackConfig read_stack(const JsonReader& reader) {
  StackConfig stack = read_stack_sizes(reader);
  stack.kernel = reader.int32("kernel", 1, 31);
  stack.is_causal = reader.boolean("causal");
  stack.has_norm_out = reader.boolean("norm_out");
  TTSRT_CHECK(FormatError, stack.is_causal || stack.kernel % 2 == 1, reader.where(),
              ".kernel: expected an odd kernel in a stack that isn't causal, got ", stack.kernel);
  return stack;
}

CrossConfig read_cross(const JsonReader& reader, std::int32_t layers) {
  CrossConfig cross;
  cross.heads = reader.int32("cross_heads", 1, 256);
  cross.head_dim = reader.int32("cross_head_dim", 1, kMaxDim);
  cross.has_memory_norm = reader.boolean("memory_norm");
  cross.sees_text = read_layers(reader, "text_layers", layers);
  cross.sees_context = read_layers(reader, "context_layers", layers);
  for (std::int32_t l = 0; l < layers; ++l) {
    const auto at = static_cast<std::size_t>(l);
    TTSRT_CHECK(FormatError, !(cross.sees_text[at] && cross.sees_context[at]), reader.where(),
                ": layer ", l, " stands in text_layers and in context_layers");
  }
  return cross;
}

}  // namespace ttsrt::model
