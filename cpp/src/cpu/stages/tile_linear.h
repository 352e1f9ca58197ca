// Linear over tiles of bfloat16 (cpu/kernels/tile_kernels.h), for Programs that have many rows in
// every launch.
#pragma once

#include "cpu/stages/linear_stage.h"

namespace ttsrt::cpu {

bool uses_tiles(const Kernels& kernels, const LinearSpec& plan);
std::size_t tile_packed_bytes(const LinearSpec& plan);
void add_tile_linear(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed,
                     Stages& stages);

}  // namespace ttsrt::cpu
