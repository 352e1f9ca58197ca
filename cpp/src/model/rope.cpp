#include "model/rope.h"

#include <cmath>

#include "model/config.h"

namespace ttsrt::model {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;

double llama3_frequency(const RopeConfig& rope, double frequency) {
  const double wavelength = kTwoPi / frequency;
  if (wavelength < rope.original_positions / rope.high_freq_factor) return frequency;
  if (wavelength > rope.original_positions / rope.low_freq_factor) return frequency / rope.factor;
  const double share = (rope.original_positions / wavelength - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - share) * frequency / rope.factor + share * frequency;
}

}  // namespace

RopeConfig read_rope(const JsonReader& reader, std::int32_t head_dim) {
  RopeConfig rope;
  rope.kind = read_kind<RopeKind>(reader, "kind",
                                  {{"default", RopeKind::standard},
                                   {"linear", RopeKind::linear},
                                   {"llama3", RopeKind::llama3}});
  rope.dims = reader.int32("dims", 2, head_dim);
  TTSRT_CHECK(FormatError, rope.dims % 2 == 0, reader.where(),
              ".dims: expected an even number, got ", rope.dims);
  rope.theta = reader.number("theta", 1.0, 1e12);
  if (rope.kind == RopeKind::standard) return rope;
  rope.factor = reader.number("factor", 1.0, 1e6);
  if (rope.kind == RopeKind::linear) return rope;
  rope.low_freq_factor = reader.number("low_freq_factor", 1e-6, 1e6);
  rope.high_freq_factor = reader.number("high_freq_factor", 1e-6, 1e6);
  rope.original_positions = reader.number("original_positions", 1.0, 1e9);
  TTSRT_CHECK(FormatError, rope.high_freq_factor > rope.low_freq_factor, reader.where(),
              ".high_freq_factor: expected more than low_freq_factor ", rope.low_freq_factor,
              ", got ", rope.high_freq_factor);
  return rope;
}

double rope_frequency(const RopeConfig& rope, std::int32_t pair) {
  const double frequency = std::pow(rope.theta, -2.0 * pair / rope.dims);
  if (rope.kind == RopeKind::linear) return frequency / rope.factor;
  return rope.kind == RopeKind::llama3 ? llama3_frequency(rope, frequency) : frequency;
}

RopeTable make_rope_table(const RopeConfig& rope, std::int32_t positions) {
  const std::int32_t pairs = rope.dims / 2;
  std::vector<float> values(static_cast<std::size_t>(positions) *
                            static_cast<std::size_t>(rope.dims));
  for (std::int32_t pair = 0; pair < pairs; ++pair) {
    const double frequency = rope_frequency(rope, pair);
    for (std::int32_t position = 0; position < positions; ++position) {
      float* row = values.data() + std::int64_t{position} * rope.dims;
      row[pair] = static_cast<float>(std::cos(position * frequency));
      row[pairs + pair] = static_cast<float>(std::sin(position * frequency));
    }
  }
  RopeTable table;
  table.values = std::make_shared<const std::vector<float>>(std::move(values));
  table.weight.name = "rope";
  table.weight.rows = positions;
  table.weight.cols = rope.dims;
  table.weight.data = reinterpret_cast<const std::byte*>(table.values->data());
  return table;
}

}  // namespace ttsrt::model
