// What models of all families are made of, as checked numbers: stacks of transformer layers and
// their cross-attention. Each family's own configuration puts these together.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "model/rope.h"
#include "ops/program.h"

namespace ttsrt::model {

constexpr std::int32_t kMaxDecoderLayers = 64;  // rules name layers by the bits of a 64-bit word
constexpr std::int64_t kMaxDim = 16384;
constexpr std::int64_t kMaxVocab = 1 << 20;
constexpr std::int64_t kMaxPositions = 1 << 20;

// The form of one transformer layer: variants are fields, not other layers.
struct BlockConfig {
  std::int32_t dim = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;   // 0: as many as heads; else a divisor of them
  std::int32_t head_size = 0;  // 0: dim / heads
  std::int32_t kernel = 1;     // taps of the feed-forward's two convolutions
  bool is_causal = true;
  bool is_parallel = false;  // attention and feed-forward read one norm: x += attention + ffn
  ops::NormKind norm = ops::NormKind::layer;
  bool has_norm_bias = false;
  float norm_epsilon = 1e-5F;
  bool has_attention_bias = false;  // of queries, keys, values and what comes out
  float attention_scale = 0.0F;     // 0: 1 / sqrt(head dimensions)
  RopeConfig rope;
  ops::Activate activation = ops::Activate::gelu_tanh;
  bool is_gated = false;  // the feed-forward's first product gives gates, then values
  bool has_ffn_bias = false;
  bool has_taps = false;  // feed-forward weights are stored with an axis of taps

  std::int32_t head_dim() const { return head_size > 0 ? head_size : dim / heads; }
  std::int32_t num_kv_heads() const { return kv_heads > 0 ? kv_heads : heads; }
  std::int32_t attention_width() const { return heads * head_dim(); }
  std::int32_t qkv_width() const { return (heads + 2 * num_kv_heads()) * head_dim(); }
};

struct StackConfig : BlockConfig {
  std::int32_t layers = 0;
  std::int32_t max_positions = 0;
  bool has_positions = false;  // a learned vector for each of them
  bool has_norm_out = true;

  bool is_present() const { return layers > 0; }
};

struct CrossConfig {
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  bool has_memory_norm = true;
  std::vector<bool> sees_text;     // [decoder layers]
  std::vector<bool> sees_context;  // [decoder layers]

  std::int32_t width() const { return heads * head_dim; }
};

// Layers, widths, heads and positions, all of them without the fields that only some stacks have.
// Throws FormatError naming the field.
StackConfig read_stack_sizes(const JsonReader& reader);
// Those, and kernel, causal and norm_out.
StackConfig read_stack(const JsonReader& reader);
// A causal stack with every field of BlockConfig but taps.
StackConfig read_causal_stack(const JsonReader& reader);
CrossConfig read_cross(const JsonReader& reader, std::int32_t layers);

// The kind a field names. Throws FormatError listing the known names.
template <typename Kind>
Kind read_kind(const JsonReader& reader, const char* key,
               std::initializer_list<std::pair<const char*, Kind>> known) {
  const std::string name = reader.string(key);
  std::string names;
  for (const auto& [candidate, kind] : known) {
    if (name == candidate) return kind;
    names += names.empty() ? candidate : std::string(", ") + candidate;
  }
  throw FormatError(
      message(reader.where(), ".", key, ": expected one of ", names, ", got \"", name, "\""));
}

}  // namespace ttsrt::model
