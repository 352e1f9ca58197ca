// What a launch gave, as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "step/batch.h"

namespace ttsrt::step {

// One draw's outcome, in the order of StepBatch's draws.
struct DrawOutput {
  std::int32_t slot = 0;
  std::int32_t end_frame = -1;  // first frame of the stack where speech had ended, -1: not yet
  std::int32_t focus = -1;      // text position in focus after this step, -1: no prior
};

// A traced stage: rows of one buffer of one program.
struct TapOutput {
  std::string name;
  std::int32_t row_class = 0;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::vector<float> values;
};

struct StepOutput {
  std::vector<DrawOutput> draws;
  std::vector<std::int32_t> codes;  // [draws, C*S]
  std::vector<float> scores;        // [draws, max text_len], of draws that keep their alignment
  std::int32_t max_text_len = 0;
  std::vector<TapOutput> taps;  // only under trace
  std::vector<double> seconds;  // [Programs] that each ran on the device, 0: it didn't
};

}  // namespace ttsrt::step
