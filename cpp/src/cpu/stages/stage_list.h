// The state of lowering a Program to stages: the stages so far, and the buffers that they need.
#pragma once

#include <vector>

#include "cpu/aligned_buffer.h"
#include "cpu/stages/linear_stage.h"
#include "cpu/stages/row_stages.h"
#include "cpu/stages/stage.h"

namespace ttsrt::cpu {

struct StageList {
  Site site;
  ops::ProgramLimits limits;
  bool has_weights = true;  // false if only sizes are asked for: weights may not be read then
  Stages stages;
  std::vector<AlignedBuffer> buffers;
  // Packed inputs of products, in one buffer for all, which is allocated when every product is
  // known.
  std::uint32_t* packed = nullptr;
  std::size_t packed_room = 0;
  // Keys and values of segments that do not use the cache, in one buffer for all layers.
  std::byte* segment_blocks = nullptr;
  std::int64_t segment_room = 0;  // bytes

  Rows allocate(std::int64_t rows, std::int64_t width) {
    buffers.emplace_back(static_cast<std::size_t>(rows * width) * sizeof(float));
    return {buffers.back().as<float>(), width, width};
  }

  void add_product(const LinearSpec& linear, Stages& target) {
    packed_room = std::max(packed_room, packed_bytes(*site.kernels, linear));
    add_linear(site, linear, &packed, target);
  }

  void finish() {
    buffers.emplace_back(packed_room);
    packed = buffers.back().as<std::uint32_t>();
    buffers.emplace_back(static_cast<std::size_t>(segment_room));
    segment_blocks = buffers.back().data();
  }
};

}  // namespace ttsrt::cpu
