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

namespace ttsrt::model {

constexpr std::int32_t kMaxDecoderLayers = 64;  // rules name layers by the bits of a 64-bit word
constexpr std::int64_t kMaxDim = 16384;
constexpr std::int64_t kMaxVocab = 1 << 20;
constexpr std::int64_t kMaxPositions = 1 << 20;

struct StackConfig {
  std::int32_t layers = 0;
  std::int32_t dim = 0;
  std::int32_t ffn_dim = 0;
  std::int32_t heads = 0;
  std::int32_t kernel = 1;
  std::int32_t max_positions = 0;
  bool is_causal = true;
  bool has_norm_out = true;

  bool is_present() const { return layers > 0; }
  std::int32_t head_dim() const { return dim / heads; }
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
