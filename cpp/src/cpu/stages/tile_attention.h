// Attention of whole segments over tiles of bfloat16 (cpu/kernels/tile_kernels.h).
#pragma once

#include "cpu/stages/stage_list.h"
#include "ops/program.h"

namespace ttsrt::cpu {

bool uses_tiles(const StageList& list, const ops::SelfAttention& op);
// Bytes of the keys and values of all segments of a launch.
std::int64_t tile_segment_bytes(const ops::SelfAttention& op, const ops::ProgramLimits& limits);

// Where those are, which is known when the stages run.
struct TileSegments {
  std::byte* const* data = nullptr;
  std::int32_t max_rows = 0;
};

void add_tile_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                        const Rows& out, const TileSegments& segments, Stages& stages);

}  // namespace ttsrt::cpu
