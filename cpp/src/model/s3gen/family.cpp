#include "model/s3gen/family.h"

#include "model/s3gen/itinerary.h"
#include "model/s3gen/programs.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr const char* kFamily = "s3gen";
constexpr std::int32_t kBranches = 2;
constexpr std::int32_t kMostFrames = 1 << 15;
constexpr std::int32_t kUsualTokens = 1250;  // 50 seconds, those of the prompt included
constexpr std::int32_t kUsualPrompt = 501;   // frames: 10 seconds, and an odd one

}  // namespace

S3GenFamily::S3GenFamily(const JsonReader& model, const JsonReader& defaults)
    : config_(read_config(model)), defaults_(read_defaults(defaults, config_)) {}

Manifest S3GenFamily::manifest() const {
  Manifest manifest;
  declare(manifest, "", config_);
  return manifest;
}

LimitBounds S3GenFamily::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = kMostFrames;
  bounds.most_input = kMostFrames - 1;
  bounds.most_text = kMostFrames / config_.upsampling;
  bounds.usual_text = kUsualTokens;
  bounds.usual_steps = kUsualTokens * config_.upsampling;
  bounds.usual_input = kUsualPrompt;
  bounds.item_branches = kBranches;
  return bounds;
}

void S3GenFamily::describe(EngineInfo& info) const {
  info.dim = config_.speaker_dim;
  info.codebooks = 1;
  info.codebook_vocab = config_.vocab;
  info.mel_bins = config_.mel_bins;
  info.frame_rate = config_.frame_rate();
  info.sample_rate = config_.sample_rate;
  info.has_vocoder = config_.vocoder.has_value();
}

StoredVoices S3GenFamily::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts S3GenFamily::facts(const Limits& limits) const {
  step::Facts facts = facts_within(limits, kFamily, config_.frame_rate());
  facts.codebook_vocab = config_.vocab;
  facts.sample_rate = config_.vocoder ? config_.sample_rate : 0;
  return facts;
}

std::unique_ptr<model::Itineraries> S3GenFamily::itineraries(const Limits& limits,
                                                             const Weights* /*weights*/) const {
  return std::make_unique<Itineraries>(config_, defaults_, limits);
}

ops::StateSpec S3GenFamily::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  add_state(config_, limits, spec);
  return spec;
}

std::vector<FamilyProgram> S3GenFamily::programs(const Weights& weights, const Limits& limits,
                                                 bool trace) const {
  std::vector<FamilyProgram> programs;
  append_programs({config_, weights, ""}, limits, trace, programs);
  return programs;
}

}  // namespace ttsrt::model::s3gen
