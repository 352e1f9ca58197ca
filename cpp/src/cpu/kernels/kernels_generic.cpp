// Compiles the kernels for "generic".
// clang-format off: the table uses functions of the vector headers
#include "cpu/kernels/vec_generic.h"
#include "cpu/kernels/kernels_table.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_generic() {
  static constexpr Kernels kTable = table_of("generic");
  return kTable;
}

}  // namespace ttsrt::cpu
