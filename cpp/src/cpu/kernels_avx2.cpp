// The kernels compiled for "avx2".
#include "cpu/kernels_table.inl"
#include "cpu/vec_avx2.h"

namespace ttsrt::cpu {

const Kernels& kernels_avx2() {
  static constexpr Kernels kTable = table_of("avx2");
  return kTable;
}

}  // namespace ttsrt::cpu
