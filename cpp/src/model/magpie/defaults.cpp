#include "model/magpie/defaults.h"

#include "core/check.h"
#include "core/quote.h"
#include "decode/prior_options.h"
#include "model/config.h"

namespace ttsrt::model::magpie {
namespace {

constexpr std::int64_t kMaxCount = 1 << 20;

// Every number is checked; those that the mode does not have are left out. Engines of earlier
// versions call both generations "nemo" and repeat `lookahead` in `right`.
AttentionPrior read_prior(const JsonReader& reader) {
  AttentionPrior prior;
  prior.mode = reader.string("mode");
  prior.epsilon = static_cast<float>(reader.number("epsilon", 0.0, 1.0));
  prior.lookahead = reader.int32("lookahead", 1, kMaxCount);
  prior.left = reader.int32("left", 0, kMaxCount);
  if (prior.mode != decode::kNemoMode || !reader.value("right").is_null())
    prior.right = reader.int32("right", 0, kMaxCount);
  prior.estimate_layers =
      reader.integers("estimate_layers", 0, kMaxDecoderLayers - 1, kMaxDecoderLayers);
  prior.apply_layers = reader.integers("apply_layers", 0, kMaxDecoderLayers - 1, kMaxDecoderLayers);
  prior.skip_after = reader.int32("skip_after", 0, kMaxCount);
  prior.recompute = reader.boolean("recompute");
  const std::int32_t end_after = reader.int32("end_after", 0, kMaxCount);
  AttentionPrior nemo = prior;
  nemo.start_step = reader.int32("start_step", 0, kMaxCount);
  nemo.suppress_after = reader.int32("suppress_after", 0, kMaxCount);
  nemo.suppress = reader.string("suppress");
  nemo.short_text = reader.int32("short_text", 0, kMaxCount);
  nemo.end_margin = reader.int32("end_margin", 0, kMaxCount);
  nemo.count_end = reader.boolean("count_end");
  nemo.track_finish = reader.boolean("track_finish");
  nemo.unfinished_grace = reader.int32("unfinished_grace", 0, kMaxCount);
  nemo.force_after = reader.int32("force_after", 0, kMaxCount);
  if (prior.mode == decode::kWindowMode) {
    prior.end_after = end_after;
    return prior;
  }
  if (nemo.mode == decode::kNemoMode && nemo.suppress == "single")
    nemo.mode = decode::kNemo2503Mode;
  if (nemo.mode == decode::kNemoMode && nemo.right == nemo.lookahead) nemo.right.reset();
  return nemo;
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
  if (defaults.prior) defaults.prior_mode = defaults.prior->mode.value_or(defaults.prior_mode);
  if (reader.has("prior_mode")) defaults.prior_mode = reader.string("prior_mode");
  TTSRT_CHECK(FormatError, decode::is_prior_mode(defaults.prior_mode), reader.where(),
              ".prior_mode: expected ", decode::kPriorModes, ", got ",
              in_quotes(defaults.prior_mode, 50));
  return defaults;
}

}  // namespace ttsrt::model::magpie
