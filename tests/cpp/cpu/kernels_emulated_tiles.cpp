// Compiles a level for tests: plain vectors, and the kernels over tiles by emulation.
#include "support/emulated_level.h"
// clang-format off: the table uses functions of the vector headers
#include "cpu/emulated_tiles.h"
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

namespace ttsrt::test {

const cpu::Kernels& emulated_tiles() {
  static constexpr cpu::Kernels kTable = [] {
    cpu::Kernels table = cpu::with_split_inputs(cpu::table_of(kEmulatedTiles));
    table.tiles = &cpu::kTiles;
    return table;
  }();
  return kTable;
}

}  // namespace ttsrt::test
