// Compiles the kernels for "avx512_bf16".
// clang-format off: the table uses functions of the vector headers
namespace ttsrt::cpu {
namespace {
constexpr bool kAlwaysPrefetches = true;
}  // namespace
}  // namespace ttsrt::cpu
#include "cpu/kernels/vec_avx512_bf16.h"
#include "cpu/kernels/vec_avx512_vnni.h"
#include "cpu/kernels/kernels_table.inl"
#include "cpu/kernels/split_kernels.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_avx512_bf16() {
  static constexpr Kernels kTable = with_split_inputs(table_of("avx512_bf16"));
  return kTable;
}

}  // namespace ttsrt::cpu
