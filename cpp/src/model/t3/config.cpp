#include "model/t3/config.h"

#include "core/check.h"

namespace ttsrt::model::t3 {

Config read_config(const JsonReader& model) {
  Config config;
  config.speech_vocab = model.int32("speech_vocab", 2, kMaxVocab);
  config.text_vocab = model.int32("text_vocab", 1, kMaxVocab);
  config.frame_rate = model.number("frame_rate", 1e-3, 1e6);
  config.bos_id = model.int32("bos", 0, config.speech_vocab - 1);
  config.eos_id = model.int32("eos", 0, config.speech_vocab - 1);
  config.start_rows = model.int32("start_rows", 1, 2);
  config.text_positions = model.int32("text_positions", 0, kMaxPositions);
  config.speech_positions = model.int32("speech_positions", 0, kMaxPositions);
  config.has_head_bias = model.boolean("head_bias");
  config.decoder = read_causal_stack(model.object("decoder"));
  TTSRT_CHECK(FormatError, (config.text_positions > 0) == (config.speech_positions > 0),
              model.where(), ".speech_positions: expected some exactly where text_positions are, ",
              "got ", config.speech_positions);
  TTSRT_CHECK(FormatError, !config.restarts_positions() || !config.decoder.has_positions,
              model.where(),
              ".decoder.learned_positions: expected false beside text_positions, got true");
  return config;
}

}  // namespace ttsrt::model::t3
