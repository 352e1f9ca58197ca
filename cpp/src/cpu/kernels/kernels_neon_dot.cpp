// The kernels compiled for "neon_dot".
// clang-format off: the table is made of what the vectors offer
#include "cpu/kernels/vec_neon_dot.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_neon_dot() {
  static constexpr Kernels kTable = table_of("neon_dot");
  return kTable;
}

}  // namespace ttsrt::cpu
