// Compiles the kernels for "avx512".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_avx512_pairs.h"
#include "cpu/kernels/vec_avx512_madd.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_avx512() {
  static constexpr Kernels kTable = table_of("avx512");
  return kTable;
}

}  // namespace ttsrt::cpu
