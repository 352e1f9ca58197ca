// What every op record is made of: buffers of rows, and the activations of products.
#pragma once

#include <cstdint>
#include <string>

namespace ttsrt::ops {

using BufferId = std::int32_t;
constexpr BufferId kNoBuffer = -1;

// The number of rows that an activation has at run time.
enum class RowSpace : std::int32_t {
  rows,   // one per row of the launch
  draws,  // one per draw (a request that picks codes in this launch)
};

// An activation buffer: float32 [rows of its space * rate, width], owned by the Executable.
struct Activation {
  std::string name;  // for traces and messages
  RowSpace space = RowSpace::rows;
  std::int64_t width = 0;
  std::int32_t rate = 1;    // rows for each row of the launch (ops/rate_ops.h)
  std::int32_t beyond = 0;  // the last so many rows of a segment lie behind its item

  std::int64_t values() const { return width * rate; }  // for each row of its space
};

enum class Activate : std::int32_t { none, gelu_tanh, silu, gelu, mish, elu };  // gelu: the exact

}  // namespace ttsrt::ops
