// Compiles the kernels for "neon".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_neon_mull.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_neon() {
  static constexpr Kernels kTable = table_of("neon");
  return kTable;
}

}  // namespace ttsrt::cpu
