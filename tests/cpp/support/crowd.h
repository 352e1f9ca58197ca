// A set of requests that differ as much as one model allows, and the models that run them.
#pragma once

#include <utility>
#include <vector>

#include "support/tiny_executor.h"

namespace ttsrt::test {

inline AttentionPrior prior_of(const std::string& mode, bool recompute = false) {
  AttentionPrior prior;
  prior.mode = mode;
  prior.recompute = recompute;
  prior.lookahead = 3;
  if (mode == "window") return prior;
  prior.short_text = 2;
  prior.end_margin = 1;
  return prior;
}

inline Request with_prior(Request request, std::optional<AttentionPrior> prior) {
  request.use_default_prior = false;
  request.prior = std::move(prior);
  return request;
}

// Returns codes [frames, codebooks] that are valid in a context.
inline Matrix<std::int32_t> context_of(std::int64_t frames, std::int64_t codebooks) {
  Matrix<std::int32_t> codes{frames, codebooks, {}};
  for (std::int64_t i = 0; i < frames * codebooks; ++i)
    codes.values.push_back(static_cast<std::int32_t>(i * 7 % 14));
  return codes;
}

// Returns six requests with the same options for every model: greedy and sampled, guided and
// unguided, each kind of prior. Texts and lengths differ; some may end early, others cannot.
inline std::vector<Request> wishes() {
  std::vector<Request> all;
  all.push_back(with_prior(spoken({1, 2, 3}, 11), std::nullopt));
  all.back().cfg_scale = 1.0F;
  all.back().temperature = 0.0F;
  all.push_back(with_prior(spoken({4, 5, 6, 1, 0, 2, 8}, 12), prior_of("nemo")));
  all.back().max_frames = 17;
  all.back().min_frames = 17;
  all.push_back(with_prior(spoken({3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 8, 7}, 13), prior_of("window")));
  all.back().return_alignment = true;
  all.back().top_p = 0.9F;
  all.back().temperature = 1.3F;
  all.push_back(with_prior(spoken({2, 7, 1, 8}, 14), prior_of("nemo", true)));
  all.back().return_alignment = true;
  all.back().max_frames = 15;
  all.back().min_frames = 12;
  all.back().chunk_frames = 4;
  all.push_back(with_prior(spoken({6, 6, 6, 1, 2}, 15), prior_of("window", true)));
  all.back().cfg_scale = 1.0F;
  all.back().min_frames = 9;
  all.back().top_k = 0;
  all.push_back(spoken({8}, 16));
  all.back().temperature = 0.0F;
  all.back().cfg_scale = 3.5F;
  all.back().max_frames = 30;
  all.back().min_frames = 30;
  all.back().return_alignment = true;
  return all;
}

// The most blocks that idle prefixes of these requests hold: guided contexts of 1, 2, 3, 7 and 8
// rows.
constexpr std::int32_t kCrowdPrefixes = 5;

// Returns requests with contexts of every kind, and with texts as features and encoder output.
inline std::vector<Request> crowd_with_rows(std::int64_t codebooks) {
  std::vector<Request> all = wishes();
  all[1].voice = "bob";
  all[3].voice.reset();
  all[3].context_embeddings = random_rows(1, 8, 40);  // one row of context: one-row segments
  all[4].voice.reset();
  all[4].context_codes = context_of(7, codebooks);
  all[5].voice.reset();
  all[5].context_text_ids = {1, 2, 3, 4, 5, 6, 7, 8};
  all.push_back(all[1]);
  all.back().text_ids.clear();
  all.back().text_features = random_rows(9, 8, 41);
  all.back().use_local_transformer = true;
  all.push_back(all[2]);
  all.back().text_ids.clear();
  all.back().encoder_output = random_rows(5, 8, 42);
  all.back().use_local_transformer = true;
  all.back().chunk_frames = 3;
  all.push_back(all[4]);
  all.back().cfg_scale = 2.0F;
  all.back().use_local_transformer = true;
  all.back().temperature = 0.0F;
  return all;
}

inline std::vector<Request> crowd_with_memory() {
  std::vector<Request> all = wishes();
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].voice.reset();
    all[i].context_codes = context_of(1 + static_cast<std::int64_t>(i), 2);
  }
  return all;
}

struct CrowdModel {
  std::string name;
  Json config;
  BuildOptions build;
  std::vector<Request> requests;
};

// The models: the tiny model; with convolutions in the decoder; with a context memory; with MaskGit
// and stacked frames; in bfloat16.
inline std::vector<CrowdModel> crowd_models() {
  std::vector<CrowdModel> models;
  models.push_back({"plain", tiny_config(), crowd_limits(), crowd_with_rows(2)});
  Json convs = tiny_config();
  convs["model"]["decoder"]["kernel"] = 3;
  models.push_back({"convs", convs, crowd_limits(), crowd_with_rows(2)});
  models.push_back({"memory", multi_encoder_config(), crowd_limits(), crowd_with_memory()});
  Json maskgit = tiny_config();
  maskgit["model"]["local_transformer"]["kind"] = "maskgit";
  maskgit["model"]["frame_stacking"] = 2;
  models.push_back({"maskgit", maskgit, crowd_limits(), crowd_with_rows(2)});
  for (Request& request : models.back().requests) {
    if (request.chunk_frames != 3) continue;
    request.maskgit.emplace();
    request.maskgit->sampling = "causal";
  }
  BuildOptions half = crowd_limits();
  half.dtype = DType::bfloat16;
  models.push_back({"bfloat16", tiny_config(), half, crowd_with_rows(2)});
  return models;
}

}  // namespace ttsrt::test
