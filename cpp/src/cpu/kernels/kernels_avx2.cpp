// Compiles the kernels for "avx2".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_avx2.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_avx2() {
  static constexpr Kernels kTable = table_of("avx2");
  return kTable;
}

}  // namespace ttsrt::cpu
