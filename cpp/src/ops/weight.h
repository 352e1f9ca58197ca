// A weight as a Program refers to it: a place in memory with its layout. The bytes are
// there while the engine's weights are in use.
//
// There are two layouts. `dense` is row-major. `panel16` is for matrix products: outputs are in
// panels of 16, and a panel has, for each small piece of K, the values of its 16 outputs, so that
// one or two vectors hold one step of the dot products of 16 outputs:
//   float32  [N/16][K][16]          bfloat16 [N/16][K/2][16][2]          float16  [N/16][K][16]
//   w8a16    [N/16][K][16]      bytes, q as int8
//   w8a8     [N/16][K/4][16][4] bytes, q + 128 as uint8
//   w4a16    [N/16][K/8][16][2] words of 16 bits; nibble i (lowest first) of word j of a block of 8
//            inputs is q + 8 of input 2 i + j
//   w4a8     [N/16][K/8][16][4] bytes; of byte j of a block of 8 inputs the low nibble is q + 8 of
//            input j, the high one of input j + 4
// N is padded to 16; K to 2 (floats), 4 (w8) or the group (w4); with zeros. Every instruction set
// reads the same bytes.
//
// Quantization is symmetric: value = q * scale. w8 has one float32 scale per output and q in
// [-127, 127]; w4 has one float16 scale per output and group of inputs and q in [-8, 7]. Scales are
// stored separately: [N/16][groups][16], where w8 has one group. A w4 weight may have zero points,
// a byte in [0, 15] for every scale, in the same order; then value = (nibble - zero point) * scale,
// where nibble is the unsigned q + 8. Without zero points, every zero point is 8. With a16, inputs
// are rounded to bfloat16. With a8, inputs become int8 in [-127, 127] with a scale per row (w8) or
// per row and group (w4), largest / 127, and sums over a row or group are integers. The offsets of
// 128 and 8 make weights unsigned, which byte products need on one side; the inputs determine the
// correction for the offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ttsrt/tensor.h"

namespace ttsrt::ops {

enum class Layout : std::int32_t { dense, panel16 };

enum class Quantization : std::int32_t { none, w8a16, w4a16, w8a8, w4a8 };
constexpr const char* kQuantizationNames[] = {"none", "w8a16", "w4a16", "w8a8", "w4a8"};

constexpr std::int64_t kPanel = 16;
constexpr std::int64_t kGroupSizes[] = {32, 64, 128};
// Up to this K, int32 sums of int8 products cannot overflow.
constexpr std::int64_t kMaxWholeInputs = std::int64_t{1} << 17;
// An input row or group whose largest magnitude is below this becomes zeros, because the inverse of
// its scale would overflow.
constexpr float kLeastInput = 1e-30F;

struct Weight {
  std::string name;
  DType dtype = DType::float32;  // of the stored values: int8 or uint8 if quantized
  Layout layout = Layout::dense;
  std::int64_t rows = 0;  // N, logical: outputs of a product, rows of a table, 1 for a vector
  std::int64_t cols = 0;  // K, logical
  const std::byte* data = nullptr;                 // 64-byte aligned
  Quantization quantization = Quantization::none;  // only for panel16
  std::int64_t group_size = 0;                     // w4: inputs that share a scale
  const std::byte* scales = nullptr;               // [N/16][groups][16], 64-byte aligned
  bool has_zeros = false;                          // w4: each scale has a zero point
  const std::byte* zeros = nullptr;                // uint8 [N/16][groups][16], 64-byte aligned

  bool is_present() const { return data != nullptr; }
};

inline const char* name_of(Quantization quantization) {
  return kQuantizationNames[static_cast<std::int32_t>(quantization)];
}
// Returns the bits of a stored q; 0 for floats.
inline std::int64_t weight_bits(Quantization quantization) {
  if (quantization == Quantization::none) return 0;
  const bool is_byte = quantization == Quantization::w8a16 || quantization == Quantization::w8a8;
  return is_byte ? 8 : 4;
}
inline bool has_groups(Quantization quantization) { return weight_bits(quantization) == 4; }
inline bool quantizes_inputs(Quantization quantization) {
  return quantization == Quantization::w8a8 || quantization == Quantization::w4a8;
}

constexpr std::int64_t padded_to(std::int64_t size, std::int64_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}
inline std::int64_t padded_rows(std::int64_t rows) { return padded_to(rows, kPanel); }
// K of a panel16 as stored.
inline std::int64_t padded_cols(const Weight& weight) {
  if (has_groups(weight.quantization)) return padded_to(weight.cols, weight.group_size);
  return padded_to(weight.cols, weight.quantization == Quantization::none ? 2 : 4);
}
// Scales of one output.
inline std::int64_t num_groups(const Weight& weight) {
  return has_groups(weight.quantization) ? padded_cols(weight) / weight.group_size : 1;
}

}  // namespace ttsrt::ops
