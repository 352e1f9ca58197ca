// The kernels compiled for "avx512_bf16".
#include "cpu/kernels_table.inl"
#include "cpu/vec_avx512_bf16.h"

namespace ttsrt::cpu {

const Kernels& kernels_avx512_bf16() {
  static constexpr Kernels kTable = table_of("avx512_bf16");
  return kTable;
}

}  // namespace ttsrt::cpu
