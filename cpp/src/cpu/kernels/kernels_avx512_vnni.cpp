// Compiles the kernels for "avx512_vnni".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_avx512_pairs.h"
#include "cpu/kernels/vec_avx512_vnni.h"
#include "cpu/kernels/kernels_table.inl"
#include "cpu/kernels/split_kernels.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_avx512_vnni() {
  static constexpr Kernels kTable = with_split_inputs(table_of("avx512_vnni"));
  return kTable;
}

}  // namespace ttsrt::cpu
