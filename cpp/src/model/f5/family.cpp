#include "model/f5/family.h"

#include <algorithm>

#include "model/f5/itinerary.h"
#include "model/f5/programs.h"
#include "model/f5/schedule.h"
#include "model/whole_request.h"

namespace ttsrt::model::f5 {
namespace {

constexpr std::int32_t kBranches = 2;
constexpr std::int32_t kUsualFrames = 3000;  // 32 seconds, the prompt's included

}  // namespace

F5Family::F5Family(const JsonReader& model, const JsonReader& defaults)
    : config_(read_config(model)), defaults_(read_defaults(defaults)) {}

Manifest F5Family::manifest() const { return declare(config_); }

LimitBounds F5Family::limit_bounds(const Manifest& /*stored*/) const {
  LimitBounds bounds;
  bounds.most_positions = config_.max_frames;
  bounds.most_input = config_.max_frames - 1;
  bounds.most_text = config_.max_frames - 1;
  bounds.usual_text = kUsualFrames - 1;
  bounds.usual_steps = kUsualFrames;
  bounds.usual_input = kUsualFrames;
  bounds.item_branches = kBranches;
  return bounds;
}

void F5Family::describe(EngineInfo& info) const {
  info.dim = config_.dim;
  info.text_vocab = config_.text_vocab;
  info.mel_bins = config_.mel_bins;
  info.frame_rate = config_.frame_rate();
  info.sample_rate = config_.sample_rate;
  info.has_vocoder = config_.vocoder.has_value();
}

StoredVoices F5Family::read_voices(const Weights& /*weights*/) const { return {}; }

step::Facts F5Family::facts(const Limits& limits) const {
  step::Facts facts = facts_within(limits, "f5", config_.frame_rate());
  facts.sample_rate = config_.vocoder ? config_.vocoder->sample_rate : 0;
  return facts;
}

std::unique_ptr<model::Itineraries> F5Family::itineraries(const Limits& limits,
                                                          const Weights* /*weights*/) const {
  return std::make_unique<Itineraries>(config_, defaults_, limits);
}

ops::StateSpec F5Family::state(const Limits& limits, const StateOptions& options) const {
  // Requests of equal times share a schedule: there is room for the longest, or for four of 32
  // evaluations, and for as many as there are slots if they are asked for.
  const std::int64_t one = ops::blocks_for(kMaxEvaluations);
  const std::int64_t most = one * limits.num_slots();
  const std::int64_t asked =
      options.cache_positions == 0 ? one : ops::blocks_for(options.cache_positions);
  ops::StateSpec spec;
  spec.slots = limits.num_slots();
  spec.cache_dtype = options.cache_dtype;
  spec.num_blocks = static_cast<std::int32_t>(std::min(most, asked));
  spec.schedule_width = config_.schedule_width();
  spec.rows = arrays_of(config_, limits.max_seq_len);
  spec.max_text_len = limits.max_encoder_input_len;
  spec.max_context_rows = limits.max_seq_len;
  spec.dim = config_.mel_bins;
  return spec;
}

std::vector<FamilyProgram> F5Family::programs(const Weights& weights, const Limits& limits,
                                              bool trace) const {
  return write_programs(config_, weights, limits, trace);
}

}  // namespace ttsrt::model::f5
