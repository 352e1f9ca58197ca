// The kernels compiled for "avx512".
#include "cpu/vec_avx512_pairs.h"

#include "cpu/kernels_table.inl"

namespace ttsrt::cpu {

const Kernels& kernels_avx512() {
  static constexpr Kernels kTable = table_of("avx512");
  return kTable;
}

}  // namespace ttsrt::cpu
