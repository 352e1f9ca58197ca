// The stage of TimeConv (ops/rate_ops.h).
#pragma once

#include "cpu/stages/rate_stages.h"

namespace ttsrt::cpu {

struct TimeConvSpec {
  const ops::TimeConv* op = nullptr;
  Rows x;
  Rows out;
  Rows addend;              // or absent
  std::int64_t rate = 1;    // of x
  std::int64_t beyond = 0;  // rows of x behind the item, and of out
  std::int64_t out_beyond = 0;
  SnakeSpec snake;  // with a width: an activation of the outputs follows,
  Rows activated;   // which is stored here; may be `out`
};

// Adds the convolution, and the stage that keeps its past rows if it has any.
void add_time_conv(StageList& list, const TimeConvSpec& spec, Stages& stages);

}  // namespace ttsrt::cpu
