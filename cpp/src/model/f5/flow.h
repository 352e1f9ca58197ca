// The network of one evaluation, and the step of the state behind it, as a Program.
#pragma once

#include <cstdint>

#include "model/f5/config.h"
#include "model/weights.h"
#include "ops/program.h"

namespace ttsrt::model::f5 {

// Arrays of rows that a slot keeps, by frame; its kept rows are the state of the integration.
enum ArrayIndex : std::int32_t {
  kBaseRows,    // the state where the step began [frames, mel_bins]
  kPromptRows,  // the prompt, zeros behind it [frames, mel_bins]
  kMaskRows,    // not 0: the row stays as the prompt has it [frames, 1]
  kInputRows,   // the network's input but the state's part, of both branches [frames, dim]
  kNumArrays,
};

ops::Program write_flow(const Config& config, const Weights& weights, std::int32_t max_frames,
                        bool trace);

}  // namespace ttsrt::model::f5
