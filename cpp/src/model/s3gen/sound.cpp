#include "model/s3gen/sound.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "core/check.h"
#include "model/hift/noise.h"
#include "model/hift/vocoder.h"
#include "model/normal_rows.h"
#include "model/s3gen/programs.h"
#include "model/s3gen/schedule.h"
#include "model/whole_request.h"

namespace ttsrt::model::s3gen {
namespace {

using step::RowSource;
using step::Stop;

constexpr float kNoGuidance = 1e-5F;  // strengths below it
constexpr std::int32_t kUsualHops[] = {25, 50, 100};
constexpr std::size_t kMostHops = 1000;
constexpr std::int32_t kMaxHop = 1 << 15;  // tokens
constexpr std::int32_t kNumSetUp = 2;      // stops that no token changes

// Rows without a source are zeros.
RowSource rows_of(std::int32_t rows) {
  RowSource source;
  source.rows = rows;
  return source;
}

std::vector<float> times_of(const Flow& flow, const SoundSite& site) {
  const std::int32_t steps = flow.steps.value_or(site.defaults.steps);
  TTSRT_CHECK(ConfigError, steps >= 1 && steps <= kMaxEvaluations, "flow.steps: expected 1 to ",
              kMaxEvaluations, ", got ", steps);
  return time_grid(steps, !site.config.is_meanflow);
}

float guidance_of(const Flow& flow, const SoundSite& site) {
  const bool is_meanflow = site.config.is_meanflow;
  const double guidance = flow.cfg_strength.value_or(site.defaults.guidance);
  const double most = is_meanflow ? 0.0 : kMaxGuidance;
  TTSRT_CHECK(ConfigError, guidance >= 0.0 && guidance <= most, "flow.cfg_strength: expected 0 to ",
              most, is_meanflow ? ", as a mean flow has no guidance" : "", ", got ", guidance);
  return static_cast<float>(guidance);
}

void read_chunks(const Flow& flow, SoundRequest& sound) {
  const std::string mode = flow.mode.value_or("whole");
  TTSRT_CHECK(ConfigError, mode == "whole" || mode == "chunks",
              "flow.mode: expected \"whole\" or \"chunks\", got \"", mode.substr(0, 40), "\"");
  if (mode == "whole") {
    TTSRT_CHECK(ConfigError, flow.hops.empty() && !flow.history, "flow.",
                flow.history ? "history" : "hops", ": expected none without mode \"chunks\"");
    return;
  }
  sound.hops.assign(std::begin(kUsualHops), std::end(kUsualHops));
  if (!flow.hops.empty()) sound.hops = flow.hops;
  TTSRT_CHECK(ConfigError, sound.hops.size() <= kMostHops, "flow.hops: expected at most ",
              kMostHops, " numbers, got ", sound.hops.size());
  for (std::size_t i = 0; i < sound.hops.size(); ++i)
    TTSRT_CHECK(ConfigError, sound.hops[i] >= 1 && sound.hops[i] <= kMaxHop, "flow.hops[", i,
                "]: expected 1 to ", kMaxHop, " tokens, got ", sound.hops[i]);
  if (!flow.history) return;
  TTSRT_CHECK(ConfigError, *flow.history >= 1 && *flow.history <= kMaxHop,
              "flow.history: expected 1 to ", kMaxHop, " tokens, got ", *flow.history);
  sound.history = *flow.history;
}

// Its rows are given once for each request: a few megabytes at most.
Stop schedule_stop(const std::vector<float>& times, const Config& config, std::int32_t program) {
  std::vector<float> features;
  const auto rows = static_cast<std::int32_t>(times.size()) - 1;
  for (std::size_t i = 0; i + 1 < times.size(); ++i) {
    add_time_features(times[i], config.time_width(), features);
    if (config.is_meanflow) add_time_features(times[i + 1], config.time_width(), features);
  }
  return stop_of(program, {given_rows(std::move(features), rows)}, {});
}

Stop encode_stop(std::vector<std::int32_t>&& ids, std::int32_t program) {
  RowSource source;
  source.input = step::Input::ids;
  source.rows = static_cast<std::int32_t>(ids.size());
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(ids));
  return stop_of(program, {std::move(source)}, {});
}

}  // namespace

void refuse_other_flows(const Flow& flow) {
  const std::pair<const char*, bool> options[] = {
      {"sway_sampling_coef", flow.sway_sampling_coef.has_value()},
      {"use_epss", flow.use_epss.has_value()},
      {"method", flow.method.has_value()},
      {"duration", flow.duration.has_value()},
      {"max_duration", flow.max_duration.has_value()},
      {"lens", flow.lens.has_value()},
      {"no_ref_audio", flow.no_ref_audio}};
  for (const auto& [name, is_given] : options)
    TTSRT_CHECK(ConfigError, !is_given, "flow.", name,
                ": expected none, as the speech tokens say how long the sound is");
}

SoundRequest read_sound(const Request& request, const SoundSite& site) {
  const Flow flow = request.flow.value_or(Flow{});
  refuse_other_flows(flow);
  SoundRequest sound;
  sound.seed = request.seed;
  sound.times = times_of(flow, site);
  sound.guidance = guidance_of(flow, site);
  read_chunks(flow, sound);
  const bool has_vocoder = site.config.vocoder.has_value();
  sound.has_audio = request.return_audio.value_or(has_vocoder);
  TTSRT_CHECK(ConfigError, !sound.has_audio || has_vocoder,
              "return_audio: expected false, as this engine was built without a vocoder");
  sound.has_spectrogram = request.return_spectrogram.value_or(!sound.has_audio);
  return sound;
}

std::int32_t most_tokens(const SoundRequest& request, const SoundSite& site) {
  const Config& config = site.config;
  const std::int32_t silence = site.defaults.silence_tokens;
  const std::int32_t prompt = request.prompt_tokens();
  const std::int32_t together = std::min(site.max_tokens, site.max_frames / config.upsampling);
  if (request.hops.empty() || request.history < 0) return together - prompt - silence;
  const std::int32_t hop = *std::max_element(request.hops.begin(), request.hops.end());
  const std::int32_t most = prompt + request.history + hop + config.lookahead;
  if (most > together) return together - most;  // no chunk fits
  return site.max_frames / config.upsampling - silence;
}

std::vector<std::int32_t> sound_ids(const std::vector<std::int32_t>& drawn, const Config& config,
                                    bool in_chunks) {
  auto begin = drawn.begin();
  auto end = drawn.end();
  if (!config.is_meanflow) {
    const auto start = std::find(begin, end, config.vocab);
    const auto stop = std::find(begin, end, config.vocab + 1);
    if (start != end && !in_chunks) begin = start + 1;
    if (stop != end) end = stop;
  }
  std::vector<std::int32_t> ids;
  if (begin < end)
    std::copy_if(begin, end, std::back_inserter(ids),
                 [&config](std::int32_t id) { return id < config.vocab; });
  return ids;
}

Sound::Sound(std::shared_ptr<const SoundSite> site, SoundRequest&& request,
             std::vector<Stop>& stops)
    : site_(std::move(site)),
      request_(std::move(request)),
      set_up_(static_cast<std::int32_t>(stops.size())) {
  const std::int32_t program = site_->first_program;
  stops.push_back(stop_of(program + kSpeakerProgram, {request_.voice->parts[kSpeaker]}, {}));
  stops.push_back(schedule_stop(request_.times, site_->config, program + kScheduleProgram));
}

// The first token behind so many chunks.
std::int32_t Sound::boundary(std::int32_t chunk) const {
  const auto known = static_cast<std::int32_t>(request_.hops.size());
  std::int64_t sum = 0;
  for (std::int32_t i = 0; i < std::min(chunk, known); ++i)
    sum += request_.hops[static_cast<std::size_t>(i)];
  if (chunk > known) sum += std::int64_t{chunk - known} * request_.hops.back();
  return static_cast<std::int32_t>(
      std::min<std::int64_t>(sum, std::numeric_limits<std::int32_t>::max() / 2));
}

// Of the sound of so many tokens.
std::int32_t Sound::count_parts(std::int32_t tokens) const {
  if (!in_chunks()) return tokens > 0 ? 1 : 0;
  std::int32_t parts = 0;
  while (boundary(parts) < tokens) ++parts;
  return parts;
}

// What becomes sound of the codes of a round, all of them or the first.
std::vector<std::int32_t> Sound::tokens_of(const std::int32_t* begin, const std::int32_t* end,
                                           bool are_all) const {
  std::vector<std::int32_t> tokens = sound_ids({begin, end}, site_->config, in_chunks());
  if (are_all && !tokens.empty())
    tokens.insert(tokens.end(), static_cast<std::size_t>(site_->defaults.silence_tokens),
                  site_->defaults.silence_token);
  return tokens;
}

// Nothing where it needs more tokens.
std::optional<Sound::Stretch> Sound::chunk_of(std::int32_t part, std::int32_t tokens,
                                              bool are_all) const {
  if (!in_chunks()) {
    if (!are_all) return std::nullopt;
    return Stretch{request_.seed, 0, tokens, 0, tokens, true};
  }
  Stretch stretch;
  stretch.begin = boundary(part);
  stretch.end = boundary(part + 1);
  stretch.last = stretch.end + site_->config.lookahead;
  if (stretch.last > tokens && !are_all) return std::nullopt;
  stretch.last = std::min(stretch.last, tokens);
  stretch.end = std::min(stretch.end, tokens);
  stretch.is_last = are_all && stretch.end == tokens;
  if (request_.history >= 0) stretch.first = std::max(stretch.begin - request_.history, 0);
  return stretch;
}

std::optional<std::vector<Stop>> Sound::stops(std::int32_t part, std::int32_t first_stop,
                                              const step::CodesSoFar& given) const {
  step::CodesSoFar codes = given;
  std::int32_t count = 0;
  if (request_.codes != nullptr) {
    count = static_cast<std::int32_t>(request_.codes->size());
    codes = {request_.codes->data(), count, &count, 1, true};
  }
  // A part belongs to the first round that has so many.
  const std::int32_t* begin = codes.ids;
  for (std::int32_t round = 0;; ++round) {
    const bool is_over = round < codes.rounds;
    if (!is_over && codes.are_all) return std::vector<Stop>{};
    if (!is_over && !in_chunks()) return std::nullopt;
    const std::int32_t* end = is_over ? begin + codes.round_codes[round] : codes.ids + codes.count;
    const std::vector<std::int32_t> tokens = tokens_of(begin, end, is_over);
    const auto num_tokens = static_cast<std::int32_t>(tokens.size());
    const std::int32_t parts = count_parts(num_tokens);
    if (!is_over || part < parts) {
      std::optional<Stretch> stretch = chunk_of(part, num_tokens, is_over);
      if (!stretch.has_value()) return std::nullopt;
      stretch->seed = request_.seed + static_cast<std::uint64_t>(round);
      return stops_of(*stretch, tokens, first_stop);
    }
    part -= parts;
    begin = end;
  }
}

// A frame's numbers follow from its place behind the prompt, whatever is integrated with it.
RowSource Sound::noise_of(const Stretch& stretch, std::int32_t frames) const {
  const std::int32_t bins = site_->config.mel_bins;
  const std::int32_t prompt = request_.prompt_frames();
  const std::int32_t first = stretch.first * site_->config.upsampling;
  std::vector<float> rows;
  if (request_.noise != nullptr) {
    const auto begin = request_.noise->begin();
    const auto at = [&](std::int32_t row) { return begin + std::int64_t{row} * bins; };
    rows.assign(begin, at(prompt));
    rows.insert(rows.end(), at(prompt + first), at(first + frames));
    return state_rows(std::move(rows), frames);
  }
  constexpr auto kKind = rules::DrawKind::flow_noise;
  rows = normal_rows(kKind, stretch.seed, -prompt, prompt, bins);
  const std::vector<float> behind = normal_rows(kKind, stretch.seed, first, frames - prompt, bins);
  rows.insert(rows.end(), behind.begin(), behind.end());
  return state_rows(std::move(rows), frames);
}

RowSource Sound::state_rows(std::vector<float>&& values, std::int32_t rows) const {
  RowSource source = given_rows(std::move(values), rows);
  source.kept_offset = site_->first_kept;
  return source;
}

std::vector<Stop> Sound::stops_of(const Stretch& stretch, const std::vector<std::int32_t>& tokens,
                                  std::int32_t first_stop) const {
  const Config& config = site_->config;
  const Voice& voice = *request_.voice;
  std::vector<std::int32_t> ids;
  if (request_.prompt_tokens() > 0) ids = *voice.parts[kPromptTokens].ids;
  ids.insert(ids.end(), tokens.begin() + stretch.first, tokens.begin() + stretch.last);
  const std::int32_t frames = static_cast<std::int32_t>(ids.size()) * config.upsampling;
  const std::int32_t prompt = request_.prompt_frames();
  std::vector<Stop> stops;
  const auto add = [&](ProgramIndex program, Stop&& stop) {
    stop.program = site_->first_program + program;
    stops.push_back(std::move(stop));
    return first_stop + static_cast<std::int32_t>(stops.size()) - 1;
  };
  const std::int32_t noise = add(kNoiseProgram, stop_of(0, {noise_of(stretch, frames)}, {}));
  std::vector<RowSource> prompt_rows = {rows_of(frames - prompt)};
  if (prompt > 0) prompt_rows.insert(prompt_rows.begin(), voice.parts[kPromptFrames]);
  const std::int32_t kept = add(kPromptProgram, stop_of(0, std::move(prompt_rows), {}));
  const std::int32_t encode = add(kEncodeProgram, encode_stop(std::move(ids), 0));
  const std::int32_t encoded = add(kFramesProgram, stop_of(0, {rows_of(frames)}, {encode}));
  // The second branch has the same rows: what it is told is zeros.
  std::vector<RowSource> rows = {kept_rows(site_->first_kept, frames)};
  if (request_.guidance >= kNoGuidance) {
    rows.push_back(rows.front());
    rows.back().is_unconditional = true;
  }
  Stop flow = stop_of(0, std::move(rows), {noise, kept, encoded});
  for (std::int32_t i = 0; i < kNumSetUp; ++i) flow.follows.push_back(set_up_ + i);
  std::vector<step::Evaluation> evaluations = evaluations_of(request_.times);
  flow.repeats = static_cast<std::int32_t>(evaluations.size());
  flow.evaluations = std::make_shared<const std::vector<step::Evaluation>>(std::move(evaluations));
  add_sound(stretch, first_stop, add(kFlowProgram, std::move(flow)), stops);
  return stops;
}

// What becomes of the frames that are kept; those of the prompt are none of them.
void Sound::add_sound(const Stretch& stretch, std::int32_t first_stop, std::int32_t flow,
                      std::vector<Stop>& stops) const {
  const Config& config = site_->config;
  const std::int32_t prompt = request_.prompt_frames();
  // Of a token of the sound, its first frame behind the prompt's; a prompt with a frame more than
  // those of its tokens takes one from the first.
  const auto place = [&](std::int32_t token) {
    return (request_.prompt_tokens() + token) * config.upsampling - prompt;
  };
  const std::int32_t begin = std::max(place(stretch.begin), 0);
  const std::int32_t rows = place(stretch.end) - begin;
  if (rows <= 0) return;
  const std::int32_t first = site_->first_kept + prompt + begin - stretch.first * config.upsampling;
  if (request_.has_spectrogram)
    stops.push_back(
        stop_of(site_->first_program + kSpectrogramProgram, {kept_rows(first, rows)}, {flow}));
  if (!request_.has_audio) return;
  hift::NewRows fresh;
  fresh.first = begin;
  fresh.noise = hift::noise_rows(*config.vocoder, stretch.seed, begin, rows);
  fresh.mel = kept_rows(first, rows);
  fresh.are_last = stretch.is_last;
  fresh.cropped = site_->defaults.cropped_tokens * config.upsampling;
  fresh.heard = std::max(begin - hift::window_halo(*config.vocoder), 0);
  fresh.program = site_->first_program + kVocoderPrograms;
  fresh.first_stop = first_stop;
  fresh.follows = {flow};
  hift::append_stops(*config.vocoder, std::move(fresh), stops);
}

}  // namespace ttsrt::model::s3gen
