// The kernels compiled for "generic".
// clang-format off: the table is made of what the vectors offer
#include "cpu/kernels/vec_generic.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_generic() {
  static constexpr Kernels kTable = table_of("generic");
  return kTable;
}

}  // namespace ttsrt::cpu
