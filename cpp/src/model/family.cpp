#include "model/family.h"

namespace ttsrt::model {

step::Facts facts_within(const Limits& limits, const char* family, double frame_rate) {
  step::Facts facts;
  facts.family = family;
  facts.frame_rate = frame_rate;
  facts.max_batch_size = limits.max_batch_size;
  facts.max_seq_len = limits.max_seq_len;
  facts.max_input_len = limits.max_input_len;
  facts.max_text_len = limits.max_encoder_input_len;
  facts.max_rows = limits.max_num_tokens;
  return facts;
}

}  // namespace ttsrt::model
