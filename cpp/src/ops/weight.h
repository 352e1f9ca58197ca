// A weight as a Program names it: bytes in the mapped engine file, with the layout they were packed
// in.
//
// Layouts. `dense` is row-major. `panel16` is what matrix products read: outputs in panels of 16,
// and within a panel, for every 4 bytes of K, the 16 outputs side by side, so that one 64-byte
// vector holds one step of the dot product of 16 outputs:
//   float32  [N/16][K][16]          bfloat16 [N/16][K/2][16][2]          float16  [N/16][K][16]
//   (2-byte elements)
// N is padded to 16 and K to 2 with zeros. Every instruction set reads the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ttsrt/tensor.h"

namespace ttsrt::ops {

enum class Layout : std::int32_t { dense, panel16 };

constexpr std::int64_t kPanel = 16;

struct Weight {
  std::string name;
  DType dtype = DType::float32;
  Layout layout = Layout::dense;
  std::int64_t rows = 0;  // N, logical: outputs of a product, rows of a table, 1 for a vector
  std::int64_t cols = 0;  // K, logical
  const std::byte* data = nullptr;  // 64-byte aligned, lives as long as the engine

  bool is_present() const { return data != nullptr; }
};

inline std::int64_t padded_rows(std::int64_t rows) { return (rows + kPanel - 1) / kPanel * kPanel; }
inline std::int64_t padded_cols(std::int64_t cols) { return (cols + 1) / 2 * 2; }

}  // namespace ttsrt::ops
