#include "model/vocos/family.h"

#include <utility>

#include "core/check.h"
#include "model/request_rows.h"
#include "model/vocos/vocoder.h"
#include "model/whole_request.h"

namespace ttsrt::model::vocos {
namespace {

constexpr std::int32_t kMaxFrames = 1 << 16;  // of one request
constexpr std::int32_t kUsualFrames = 3000;   // 32 seconds, as of F5-TTS
constexpr const char* kNoVoices = "add_voice: vocoders have no voices";

class VocosItineraries final : public Itineraries {
 public:
  VocosItineraries(const Config& config, const Limits& limits) : config_(config), limits_(limits) {}

  step::Itinerary itinerary(Request&& request, const VoiceFinder& /*voices*/) const override {
    TTSRT_CHECK(ConfigError, is_given(request.mel),
                "mel: expected the spectrogram to turn into sound, got none");
    refuse_beside_mel(request);
    step::Itinerary itinerary;
    step::Stop& stop = itinerary.stops.emplace_back();
    stop.rows = {rows_of_mel(std::move(request.mel), config_.mel_bins, limits_.max_seq_len)};
    stop.emitted_rows = config_.sound_rows(stop.rows.front().rows);
    return itinerary;
  }

  Voice voice_of_vectors(Matrix<float>&& /*rows*/) const override { throw ConfigError(kNoVoices); }
  Voice voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const override {
    throw ConfigError(kNoVoices);
  }

 private:
  const Config config_;
  const Limits limits_;
};

}  // namespace

VocosFamily::VocosFamily(const JsonReader& model, const JsonReader& /*defaults*/)
    : config_(read_config(model)) {}

Manifest VocosFamily::manifest() const {
  Manifest manifest;
  declare_vocoder(manifest, "", config_);
  return manifest;
}

LimitBounds VocosFamily::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = kMaxFrames;
  bounds.most_input = 1;
  bounds.usual_steps = kUsualFrames;
  bounds.item_branches = 1;
  return bounds;
}

void VocosFamily::describe(EngineInfo& info) const {
  info.dim = config_.dim;
  info.mel_bins = config_.mel_bins;
  info.frame_rate = config_.frame_rate();
  info.sample_rate = config_.sample_rate;
  info.has_vocoder = true;
}

StoredVoices VocosFamily::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts VocosFamily::facts(const Limits& limits) const {
  step::Facts facts = facts_within(limits, "vocos", config_.frame_rate());
  facts.sample_rate = config_.sample_rate;
  return facts;
}

std::unique_ptr<Itineraries> VocosFamily::itineraries(const Limits& limits,
                                                      const Weights* /*weights*/) const {
  return std::make_unique<VocosItineraries>(config_, limits);
}

ops::StateSpec VocosFamily::state(const Limits& limits, const StateOptions& options) const {
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  spec.dim = config_.mel_bins;
  return spec;
}

std::vector<FamilyProgram> VocosFamily::programs(const Weights& weights, const Limits& limits,
                                                 bool trace) const {
  std::vector<FamilyProgram> programs;
  programs.push_back(write_vocoder(weights, "", config_, limits.max_num_tokens, trace));
  return programs;
}

}  // namespace ttsrt::model::vocos
