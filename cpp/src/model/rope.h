// Rotary position embeddings: the angles of every position, computed once in float64 and kept as a
// table of float32 that SelfAttention reads (ops/program.h). Values differ from implementations
// that compute angles in float32 by their rounding.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/json.h"
#include "ops/weight.h"

namespace ttsrt::model {

enum class RopeKind : std::int32_t {
  none,
  standard,  // pair j of r / 2 turns by position * theta^(-2 j / r)
  linear,    // those frequencies divided by factor
  llama3,    // low frequencies divided by factor, high ones kept, those between interpolated
};

struct RopeConfig {
  RopeKind kind = RopeKind::none;
  std::int32_t dims = 0;  // r: the first dims of a head, in pairs (j, j + r / 2)
  double theta = 10000.0;
  double factor = 1.0;  // linear, llama3
  // llama3: wavelengths above original_positions / low_freq_factor are divided by factor, those
  // below original_positions / high_freq_factor are kept.
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_positions = 8192.0;

  bool is_present() const { return kind != RopeKind::none; }
};

// `reader` is the object "rope" of a stack whose heads have head_dim dimensions. Throws FormatError
// naming the field.
RopeConfig read_rope(const JsonReader& reader, std::int32_t head_dim);

// Radians that pair `pair` turns from one position to the next.
double rope_frequency(const RopeConfig& rope, std::int32_t pair);

// A table of positions [positions, dims]: in each row the cosines of all pairs, then their sines.
struct RopeTable {
  std::shared_ptr<const std::vector<float>> values;
  ops::Weight weight;  // reads them
};
RopeTable make_rope_table(const RopeConfig& rope, std::int32_t positions);

}  // namespace ttsrt::model
