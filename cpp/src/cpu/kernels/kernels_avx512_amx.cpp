// Compiles the kernels for "avx512_amx": those of "avx512_bf16", and kernels over tiles.
// clang-format off: the table uses functions of the vector headers
namespace ttsrt::cpu {
namespace {
// Of float32, 1200 rows, K 1024, one Sapphire Rapids core: 198 GFLOP/s, and 173 with prefetch.
constexpr bool kAlwaysPrefetches = false;
}  // namespace
}  // namespace ttsrt::cpu
#include "cpu/kernels/tile_amx.h"
#include "cpu/kernels/vec_avx512_vnni.h"
#include "cpu/kernels/kernels_table.inl"
#include "cpu/kernels/split_kernels.inl"
#include "cpu/kernels/tile_products.inl"
#include "cpu/kernels/tile_blocks.inl"
#include "cpu/kernels/tile_wide.inl"
#include "cpu/kernels/tile_group_products.inl"
#include "cpu/kernels/tile_time.inl"
#include "cpu/kernels/tile_attention.inl"
#include "cpu/kernels/tile_kernels.inl"
// clang-format on

namespace ttsrt::cpu {

const Kernels& kernels_avx512_amx() {
  static constexpr Kernels kTable = [] {
    Kernels table = with_split_inputs(table_of("avx512_amx"));
    table.tiles = &kTiles;
    return table;
  }();
  return kTable;
}

}  // namespace ttsrt::cpu
