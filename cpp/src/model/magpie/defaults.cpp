#include "model/magpie/defaults.h"

#include "model/config.h"

namespace ttsrt::model::magpie {
namespace {

constexpr std::int64_t kMaxCount = 1 << 20;

AttentionPrior read_prior(const JsonReader& reader) {
  AttentionPrior prior;
  prior.mode = reader.string("mode");
  prior.epsilon = static_cast<float>(reader.number("epsilon", 0.0, 1.0));
  prior.lookahead = reader.int32("lookahead", 1, kMaxCount);
  prior.left = reader.int32("left", 0, kMaxCount);
  prior.right = reader.int32("right", 0, kMaxCount);
  prior.estimate_layers =
      reader.integers("estimate_layers", 0, kMaxDecoderLayers - 1, kMaxDecoderLayers);
  prior.apply_layers = reader.integers("apply_layers", 0, kMaxDecoderLayers - 1, kMaxDecoderLayers);
  prior.start_step = reader.int32("start_step", 0, kMaxCount);
  prior.skip_after = reader.int32("skip_after", 0, kMaxCount);
  prior.suppress_after = reader.int32("suppress_after", 0, kMaxCount);
  prior.suppress = reader.string("suppress");
  prior.short_text = reader.int32("short_text", 0, kMaxCount);
  prior.end_margin = reader.int32("end_margin", 0, kMaxCount);
  prior.count_end = reader.boolean("count_end");
  prior.track_finish = reader.boolean("track_finish");
  prior.unfinished_grace = reader.int32("unfinished_grace", 0, kMaxCount);
  prior.force_after = reader.int32("force_after", 0, kMaxCount);
  prior.end_after = reader.int32("end_after", 0, kMaxCount);
  prior.recompute = reader.boolean("recompute");
  return prior;
}

}  // namespace

Defaults read_defaults(const JsonReader& reader) {
  Defaults defaults;
  defaults.cfg_scale = static_cast<float>(reader.number("cfg_scale", 0.0, 100.0));
  defaults.temperature = static_cast<float>(reader.number("temperature", 0.0, 100.0));
  defaults.top_k = reader.int32("top_k", 0, kMaxCount);
  defaults.max_frames = reader.int32("max_frames", 1, kMaxCount);
  defaults.min_frames = reader.int32("min_frames", 0, kMaxCount);
  defaults.eos_method = reader.string("eos_method");
  defaults.use_local_transformer = reader.boolean("use_local_transformer");
  if (reader.has("prior")) defaults.prior = read_prior(reader.object("prior"));
  return defaults;
}

}  // namespace ttsrt::model::magpie
