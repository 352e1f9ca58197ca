// What a launch gave, as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "step/batch.h"
#include "step/fault.h"

namespace ttsrt::step {

// One draw's outcome, in the order of the stepwise Program's draws.
struct DrawOutput {
  std::int32_t slot = 0;
  std::int32_t end_frame = -1;  // frames of the stack that are kept where speech ended, -1: not yet
  std::int32_t focus = -1;      // text position in focus after this step, -1: no prior
  bool has_codes = true;        // false: a step in a block, which gave no codes
  std::int32_t final_rows =
      0;  // of a block: rows whose keys and values stay as this step left them
};

// A traced stage: the values of one buffer of one Program.
struct TapOutput {
  std::string name;
  std::int32_t program = 0;
  bool is_per_draw = false;  // one row per draw; else one per row of the launch
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::vector<float> values;
};

// What the rows of a Program that makes sound or spectrograms became (ProgramInfo::emits).
struct RowsOutput {
  std::int32_t program = 0;
  std::int64_t width = 0;     // values of a row
  std::vector<float> values;  // [rows of the Program in this launch, width]
};

struct StepOutput {
  std::vector<DrawOutput> draws;
  std::vector<std::int32_t> codes;  // [draws, C*S]
  std::vector<float> scores;        // [draws, max text_len], of draws that keep their alignment
  std::int32_t max_text_len = 0;
  std::int32_t num_threads = 0;  // of the CPU that ran the launch; 0: another device did
  // Of draws whose rules ask for logarithms of probabilities; empty where none does.
  std::vector<float> logprobs;              // [draws], of the codes
  std::vector<std::int32_t> likeliest_ids;  // [draws, rules::kMaxLogprobs]
  std::vector<float> likeliest_logprobs;    // [draws, rules::kMaxLogprobs]
  std::vector<RowsOutput> rows;
  std::vector<TapOutput> taps;  // only under trace
  std::vector<double> seconds;  // [programs] that each one ran, 0: it didn't
  // Rows that are not finite, by Program and row. Their codes, scores and rows mean nothing.
  std::vector<Fault> faults;
};

}  // namespace ttsrt::step
