// What requests are checked against: facts about the loaded model as plain values, so that decoding
// and scheduling know no network and no file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/options.h"

namespace ttsrt::step {

// How a request's context reaches the decoder.
enum class ContextRoute : std::int32_t {
  rows,     // rows in front of the audio: embedded codes, a voice or given vectors
  encoder,  // through the context encoder, then as rows in front of the audio
  memory,   // through the context encoder into a memory of its own; nothing in front of the audio
};

struct ModelFacts {
  std::string family;
  std::int32_t dim = 0;
  std::int32_t codebooks = 0;       // C
  std::int32_t codebook_vocab = 0;  // V
  std::int32_t frame_stacking = 1;  // S
  std::int32_t text_vocab = 0;
  std::int32_t context_text_vocab = 0;  // 0: text can't stand for the context
  std::int32_t context_text_table = 0;  // its table among the Programs' id tables
  double frame_rate = 0.0;
  std::int32_t bos_id = 0;
  std::int32_t eos_id = 0;
  std::vector<std::int32_t> forbidden;
  std::int32_t decoder_layers = 0;
  std::vector<std::int32_t> text_layers;  // decoder layers that cross-attend to the text
  bool has_local_transformer = false;
  bool is_maskgit = false;

  ContextRoute context_route = ContextRoute::rows;
  bool takes_context_codes = false;
  bool pads_context =
      false;  // context codes fill one row per frame: the stacked rows, then rows of zeros
  bool shares_unconditional = true;  // the unconditional context depends on its length alone
  std::map<std::string, std::int32_t> speakers;                   // names of stored voices
  std::vector<std::shared_ptr<const std::vector<float>>> voices;  // [rows * dim] each

  // Limits of the running network.
  std::int32_t max_batch_size = 0;
  std::int32_t max_seq_len = 0;
  std::int32_t max_input_len = 0;
  std::int32_t max_text_len = 0;
  std::int32_t max_rows = 0;  // of one class in one launch

  // Defaults of the checkpoint.
  float cfg_scale = 1.0F;
  float temperature = 0.7F;
  std::int32_t top_k = 80;
  std::int32_t max_frames = 500;
  std::int32_t min_frames = 0;
  std::string eos_method;
  bool use_local_transformer = false;
  std::optional<AttentionPrior> prior;

  std::int32_t stack_codes() const { return codebooks * frame_stacking; }  // C*S
};

}  // namespace ttsrt::step
