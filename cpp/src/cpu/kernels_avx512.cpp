// The kernels compiled for "avx512".
#include "cpu/kernels_table.inl"
#include "cpu/vec_avx512_pairs.h"

namespace ttsrt::cpu {

const Kernels& kernels_avx512() {
  static constexpr Kernels kTable = table_of("avx512");
  return kTable;
}

}  // namespace ttsrt::cpu
