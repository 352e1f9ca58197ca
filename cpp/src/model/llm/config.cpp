#include "model/llm/config.h"

#include "rules/slot_rules.h"

namespace ttsrt::model::llm {

Config read_config(const JsonReader& model) {
  Config config;
  config.vocab = model.int32("vocab", 2, kMaxVocab);
  config.num_tokens = model.has("tokens") ? model.int32("tokens", 1, config.vocab) : config.vocab;
  const std::int32_t last = config.num_tokens - 1;
  config.eos_id = model.int32("eos", 0, last);
  if (model.has("more_eos"))
    config.more_eos_ids = model.integers("more_eos", 0, last, rules::kMaxStopIds);
  config.has_head_bias = model.boolean("head_bias");
  config.decoder = read_causal_stack(model.object("decoder"));
  return config;
}

}  // namespace ttsrt::model::llm
