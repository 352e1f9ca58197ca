// A weight as a Program names it: bytes in the mapped engine file, with the layout they were packed
// in.
//
// Layouts. `dense` is row-major. `panel16` is what matrix products read: outputs in panels of 16,
// and within a panel the 16 outputs side by side for each small piece of K, so that one or two
// vectors hold one step of the dot product of 16 outputs:
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
// Quantization is symmetric: value = q * scale. w8 has one float32 scale per output, q in
// [-127, 127]; w4 has one float16 scale per output and group of inputs, q in [-8, 7]. Scales lie
// apart: [N/16][groups][16], w8 with one group. A w4 weight may have zero points, a byte in [0, 15]
// for every scale, in the same order: then value = (nibble - zero point) * scale, where nibble is
// the unsigned q + 8. Without zero points all of them are 8. a16: inputs are rounded to bfloat16.
// a8: they become int8 in [-127, 127] with a scale per row (w8) or per row and group (w4), largest
// / 127, and sums are of whole numbers over a row or group. Offsets of 128 and 8 make weights
// unsigned, as the instructions that multiply bytes want one side; what the offset adds is known
// from the inputs.
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
// int32 sums of K products of int8 can't overflow up to here.
constexpr std::int64_t kMaxWholeInputs = std::int64_t{1} << 17;
// An input row or group whose largest magnitude is below this becomes zeros: its scale's inverse
// would overflow.
constexpr float kLeastInput = 1e-30F;

struct Weight {
  std::string name;
  DType dtype = DType::float32;  // of what is stored: int8 or uint8 where quantized
  Layout layout = Layout::dense;
  std::int64_t rows = 0;  // N, logical: outputs of a product, rows of a table, 1 for a vector
  std::int64_t cols = 0;  // K, logical
  const std::byte* data = nullptr;                 // 64-byte aligned, lives as long as the engine
  Quantization quantization = Quantization::none;  // of a panel16
  std::int64_t group_size = 0;                     // w4: inputs that share a scale
  const std::byte* scales = nullptr;               // [N/16][groups][16], 64-byte aligned
  bool has_zeros = false;                          // w4: each scale has a zero point
  const std::byte* zeros = nullptr;                // uint8 [N/16][groups][16], 64-byte aligned

  bool is_present() const { return data != nullptr; }
};

inline const char* name_of(Quantization quantization) {
  return kQuantizationNames[static_cast<std::int32_t>(quantization)];
}
// Bits of a stored q; 0: floats.
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
