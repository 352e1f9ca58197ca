// Compiles the kernels for "neon_dot".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_neon_dot.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_neon_dot() {
  static constexpr Kernels kTable = table_of("neon_dot");
  return kTable;
}

}  // namespace ttsrt::cpu
