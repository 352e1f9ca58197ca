#include "model/nanocodec/family.h"

#include <utility>

#include "core/check.h"
#include "model/nanocodec/decoder.h"
#include "model/nanocodec/encoder.h"
#include "model/nanocodec/itinerary.h"

namespace ttsrt::model::nanocodec {
namespace {

constexpr std::int32_t kStreamFrames = 2;     // of each stream in a launch, all of them running
constexpr std::int32_t kMaxFrames = 1 << 17;  // of one request
constexpr std::int32_t kUsualFrames = 1 << 13;
constexpr std::int32_t kMaxRecording = 1 << 14;  // frames, which an encoder sees together

}  // namespace

CodecFamily::CodecFamily(const JsonReader& model, const JsonReader& /*defaults*/)
    : config_(read_config(model)) {}

Manifest CodecFamily::manifest() const {
  Manifest manifest;
  declare_decoder(manifest, "", config_);
  if (config_.encoder) declare_encoder(manifest, *config_.encoder, config_);
  return manifest;
}

LimitBounds CodecFamily::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = kMaxFrames;
  bounds.usual_steps = kUsualFrames;
  bounds.most_input = config_.encoder ? kMaxRecording : 1;
  return bounds;
}

void CodecFamily::describe(EngineInfo& info) const {
  info.dim = config_.quantizer.latent();
  info.codebooks = config_.quantizer.groups;
  info.codebook_vocab = config_.quantizer.codes();
  info.frame_rate = config_.frame_rate();
  info.sample_rate = config_.sample_rate;
  info.samples_per_frame = config_.samples_per_frame;
  info.has_vocoder = true;
  info.has_encoder = config_.encoder.has_value();
}

StoredVoices CodecFamily::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts CodecFamily::facts(const Limits& limits) const {
  step::Facts facts = facts_within(limits, "nanocodec", config_.frame_rate());
  facts.codebooks = config_.quantizer.groups;
  facts.codebook_vocab = config_.quantizer.codes();
  facts.sample_rate = config_.sample_rate;
  return facts;
}

std::unique_ptr<Itineraries> CodecFamily::itineraries(const Limits& limits,
                                                      const Weights* /*weights*/) const {
  return std::make_unique<CodecItineraries>(config_, limits);
}

ops::StateSpec CodecFamily::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  spec.dim = config_.samples_per_frame;
  spec.past = decoder_past(config_);
  return spec;
}

std::vector<FamilyProgram> CodecFamily::programs(const Weights& weights, const Limits& limits,
                                                 bool trace) const {
  std::vector<FamilyProgram> programs;
  const CodeLayout codes{config_.quantizer, config_.quantizer.codes()};
  programs.push_back(
      write_decoder(weights, "", config_, codes, launch_frames(limits, kStreamFrames), trace));
  if (config_.encoder)
    programs.push_back(write_encoder(weights, config_, limits.max_input_len, trace));
  return programs;
}

}  // namespace ttsrt::model::nanocodec
