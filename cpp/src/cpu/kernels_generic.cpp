// The kernels compiled for "generic".
#include "cpu/kernels_table.inl"
#include "cpu/vec_generic.h"

namespace ttsrt::cpu {

const Kernels& kernels_generic() {
  static constexpr Kernels kTable = table_of("generic");
  return kTable;
}

}  // namespace ttsrt::cpu
