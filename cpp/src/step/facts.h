// What the executor knows of a loaded model: what a step yields and the limits of the running
// network, as plain values. What only one family needs stays in that family.
#pragma once

#include <cstdint>
#include <string>

namespace ttsrt::step {

struct Facts {
  std::string family;
  std::int32_t codebooks = 1;       // C
  std::int32_t codebook_vocab = 0;  // V
  std::int32_t frame_stacking = 1;  // S: frames of one step
  bool is_speech = true;            // false: its codes are text, which nobody listens to
  double frame_rate = 1.0;          // frames of a second
  std::int32_t sample_rate = 0;     // of samples, where a Program makes them

  std::int32_t max_batch_size = 0;  // requests that run at once
  std::int32_t max_seq_len = 0;     // cache positions of one branch
  std::int32_t max_input_len = 0;   // rows of a context
  std::int32_t max_text_len = 0;
  std::int32_t max_rows = 0;  // of one Program in one launch

  std::int32_t stack_codes() const { return codebooks * frame_stacking; }  // C*S
};

}  // namespace ttsrt::step
