#include "model/s3gen/itinerary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "core/check.h"
#include "model/hift/noise.h"
#include "model/hift/vocoder.h"
#include "model/normal_rows.h"
#include "model/request_rows.h"
#include "model/s3gen/programs.h"
#include "model/s3gen/schedule.h"
#include "model/whole_request.h"
#include "step/packed_rows.h"

namespace ttsrt::model::s3gen {
namespace {

using step::Input;
using step::RowSource;
using step::Stop;

constexpr float kNoGuidance = 1e-5F;  // strengths below it
constexpr double kLeastNorm = 1e-12;  // of a speaker's embedding

// Parts of a voice, in order; the first two are absent where it has no prompt.
enum VoicePart : std::size_t { kPromptTokens, kPromptFrames, kSpeaker, kNumParts };

// Rows without a source are zeros.
RowSource rows_of(std::int32_t rows) {
  RowSource source;
  source.rows = rows;
  return source;
}

Stop prompt_stop(const Voice& voice, std::int32_t prompt_frames, std::int32_t frames) {
  std::vector<RowSource> rows;
  if (prompt_frames > 0) rows.push_back(voice.parts[kPromptFrames]);
  rows.push_back(rows_of(frames - prompt_frames));
  return stop_of(kPromptProgram, std::move(rows), {});
}

Stop encode_stop(std::vector<std::int32_t>&& ids) {
  RowSource source;
  source.input = Input::ids;
  source.rows = static_cast<std::int32_t>(ids.size());
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(ids));
  return stop_of(kEncodeProgram, {std::move(source)}, {});
}

// The second branch has the same rows: what it is told is zeros.
Stop flow_stop(const std::vector<float>& times, std::int32_t frames, bool is_guided) {
  std::vector<RowSource> rows = {kept_rows(0, frames)};
  if (is_guided) {
    rows.push_back(rows.front());
    rows.back().is_unconditional = true;
  }
  Stop stop =
      stop_of(kFlowProgram, std::move(rows),
              {kNoiseProgram, kPromptProgram, kSpeakerProgram, kScheduleProgram, kFramesProgram});
  std::vector<step::Evaluation> evaluations = evaluations_of(times);
  stop.repeats = static_cast<std::int32_t>(evaluations.size());
  stop.evaluations = std::make_shared<const std::vector<step::Evaluation>>(std::move(evaluations));
  return stop;
}

// What flows over a spectrogram have beside steps and guidance.
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

void refuse_beside_tokens(const Request& request) {
  TTSRT_CHECK(ConfigError, request.text_ids.empty(),
              "text_ids: expected none, as this model makes sound of speech tokens: give codes");
  TTSRT_CHECK(ConfigError, request.samples.empty(),
              "samples: expected none, as this engine makes no tokens of sound");
  TTSRT_CHECK(ConfigError, !is_given(request.context_embeddings),
              "context_embeddings: expected none: give a voice, of which they are a part");
  TTSRT_CHECK(ConfigError, request.edit_mask.empty(),
              "edit_mask: expected none, as the prompt stays as it is");
  TTSRT_CHECK(ConfigError, !request.audio_start,
              "audio_start: expected none, as sound begins behind the prompt");
  TTSRT_CHECK(ConfigError, !request.codes_only,
              "codes_only: expected false, as this model makes no codes");
}

}  // namespace

std::vector<std::int32_t> sound_ids(const std::vector<std::int32_t>& drawn, const Config& config) {
  auto begin = drawn.begin();
  auto end = drawn.end();
  if (!config.is_meanflow) {
    const auto start = std::find(begin, end, config.vocab);
    const auto stop = std::find(begin, end, config.vocab + 1);
    if (start != end) begin = start + 1;
    if (stop != end) end = stop;
  }
  std::vector<std::int32_t> ids;
  if (begin < end)
    std::copy_if(begin, end, std::back_inserter(ids),
                 [&config](std::int32_t id) { return id < config.vocab; });
  return ids;
}

Voice Itineraries::voice_of_vectors(Matrix<float>&& /*rows*/) const {
  throw ConfigError(
      "add_voice: embeddings: expected none, as a voice of this model is an embedding, speech "
      "tokens and their spectrogram");
}

Voice Itineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError(
      "add_voice: codes: expected none, as a voice of this model is an embedding, speech tokens "
      "and their spectrogram");
}

Voice Itineraries::voice_of_speaker(Speaker&& speaker) const {
  const auto tokens = static_cast<std::int64_t>(speaker.prompt_codes.size());
  const std::int64_t frames = speaker.prompt_spectrogram.rows;
  const std::int64_t expected = tokens * config_.upsampling;
  TTSRT_CHECK(ConfigError, !speaker.emotion,
              "add_voice: emotion: expected none, as this model is not conditioned on an emotion");
  TTSRT_CHECK(ConfigError, frames == expected || frames == expected + 1,
              "add_voice: prompt_feat: expected ", expected, " frames for ", tokens,
              " tokens, or one more, got ", frames);
  TTSRT_CHECK(ConfigError,
              speaker.embedding.size() == static_cast<std::size_t>(config_.speaker_dim),
              "add_voice: embedding: expected [", config_.speaker_dim, "], got [",
              speaker.embedding.size(), "]");
  Voice voice;
  voice.parts.resize(kNumParts);
  if (tokens > 0)
    voice.parts[kPromptTokens] =
        rows_of_ids("add_voice: prompt_token", std::move(speaker.prompt_codes), config_.vocab,
                    limits_.max_encoder_input_len);
  if (frames > 0)
    voice.parts[kPromptFrames] =
        rows_of_vectors("add_voice: prompt_feat", std::move(speaker.prompt_spectrogram),
                        config_.mel_bins, limits_.max_input_len);
  double squares = 0.0;
  for (std::size_t i = 0; i < speaker.embedding.size(); ++i) {
    const double value = speaker.embedding[i];
    TTSRT_CHECK(ConfigError, std::isfinite(value), "add_voice: embedding[", i,
                "]: expected a finite number, got ", value);
    squares += value * value;
  }
  const double norm = std::max(std::sqrt(squares), kLeastNorm);
  for (float& value : speaker.embedding)
    value = static_cast<float>(static_cast<double>(value) / norm);
  voice.parts[kSpeaker] = given_rows(std::move(speaker.embedding), 1);
  return voice;
}

Matrix<float> Itineraries::rows_of_voice(const Voice& voice) const {
  const RowSource& prompt = voice.parts[kPromptFrames];
  if (prompt.rows == 0) return {0, config_.mel_bins, {}};
  return {prompt.rows, config_.mel_bins, *prompt.vectors};
}

Itineraries::Tokens Itineraries::tokens_of(Request& request, const Voice& voice) const {
  const Matrix<std::int32_t>& codes = request.codes;
  const bool fits = codes.rows >= 1 && codes.cols == 1 &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows;
  TTSRT_CHECK(ConfigError, fits, "codes: expected speech tokens [at least 1, 1], got [", codes.rows,
              ", ", codes.cols, "]");
  for (std::size_t i = 0; i < codes.values.size(); ++i)
    TTSRT_CHECK(ConfigError, codes.values[i] >= 0, "codes[", i, "]: expected 0 or more, got ",
                codes.values[i]);
  std::vector<std::int32_t> ids = sound_ids(codes.values, config_);
  TTSRT_CHECK(ConfigError, !ids.empty(), "codes: expected at least one token of sound, below ",
              config_.vocab, ", got none among ", codes.rows);
  ids.insert(ids.end(), static_cast<std::size_t>(defaults_.silence_tokens),
             defaults_.silence_token);
  Tokens tokens;
  if (voice.parts[kPromptTokens].rows > 0) tokens.ids = *voice.parts[kPromptTokens].ids;
  tokens.prompt_frames = voice.parts[kPromptFrames].rows;
  tokens.ids.insert(tokens.ids.end(), ids.begin(), ids.end());
  const auto all = static_cast<std::int64_t>(tokens.ids.size());
  const std::int64_t most =
      std::min(limits_.max_encoder_input_len, limits_.max_seq_len / config_.upsampling);
  TTSRT_CHECK(ConfigError, all <= most, "codes: expected at most ", most,
              " tokens (max_encoder_input_len ", limits_.max_encoder_input_len, ", max_seq_len ",
              limits_.max_seq_len, " frames) with the voice's prompt, got ", all,
              "; split the text");
  tokens.frames = static_cast<std::int32_t>(all) * config_.upsampling;
  return tokens;
}

// The numbers of a frame follow from its place behind the prompt, whatever the prompt is.
Stop Itineraries::noise_stop(Request& request, const Tokens& tokens) const {
  const std::int32_t bins = config_.mel_bins;
  if (!is_given(request.noise)) {
    std::vector<float> drawn = normal_rows(rules::DrawKind::flow_noise, request.seed,
                                           -tokens.prompt_frames, tokens.frames, bins);
    return stop_of(kNoiseProgram, {given_rows(std::move(drawn), tokens.frames)}, {});
  }
  TTSRT_CHECK(ConfigError, !request.noise.is_on_gpu(),
              "noise: expected rows in the memory of the host");
  TTSRT_CHECK(ConfigError, request.noise.rows == tokens.frames && request.noise.cols == bins,
              "noise: expected [", tokens.frames, ", ", bins, "], got [", request.noise.rows, ", ",
              request.noise.cols, "]");
  return stop_of(kNoiseProgram,
                 {rows_of_vectors("noise", std::move(request.noise), bins, tokens.frames)}, {});
}

// The schedule's rows are shared by all requests of equal times. They fill whole blocks, so that no
// request needs a copy of the last one.
Stop Itineraries::schedule_stop(const std::vector<float>& times) const {
  const std::size_t evaluations = times.size() - 1;
  const std::int64_t rows =
      step::blocks_for(static_cast<std::int64_t>(evaluations)) * std::int64_t{step::kBlockSize};
  std::vector<float> features;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t i = std::min(static_cast<std::size_t>(row), evaluations - 1);
    add_time_features(times[i], config_.time_width(), features);
    if (config_.is_meanflow) add_time_features(times[i + 1], config_.time_width(), features);
  }
  const auto count = static_cast<std::int32_t>(rows);
  Stop stop = stop_of(kScheduleProgram, {given_rows(std::move(features), count)}, {});
  std::string content(times.size() * sizeof(float), '\0');
  std::memcpy(content.data(), times.data(), content.size());
  stop.shared = step::PrefixKey{"schedule " + content, count};
  return stop;
}

float Itineraries::guidance_of(const Request& request) const {
  const Flow flow = request.flow.value_or(Flow{});
  const double guidance = flow.cfg_strength.value_or(defaults_.guidance);
  const double most = config_.is_meanflow ? 0.0 : kMaxGuidance;
  TTSRT_CHECK(ConfigError, guidance >= 0.0 && guidance <= most, "flow.cfg_strength: expected 0 to ",
              most, config_.is_meanflow ? ", as a mean flow has no guidance" : "", ", got ",
              guidance);
  return static_cast<float>(guidance);
}

std::vector<float> Itineraries::times_of(const Request& request) const {
  const Flow flow = request.flow.value_or(Flow{});
  refuse_other_flows(flow);
  const std::int32_t steps = flow.steps.value_or(defaults_.steps);
  TTSRT_CHECK(ConfigError, steps >= 1 && steps <= kMaxEvaluations, "flow.steps: expected 1 to ",
              kMaxEvaluations, ", got ", steps);
  return time_grid(steps, !config_.is_meanflow);
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  if (is_given(request.mel)) return of_mel(std::move(request));
  refuse_draw_options(request);
  refuse_beside_tokens(request);
  TTSRT_CHECK(ConfigError, request.voice.has_value(),
              "voice: expected the name of one that was added, got none");
  const std::shared_ptr<const Voice> voice = voices.find(*request.voice);
  const std::vector<float> times = times_of(request);
  const float guidance = guidance_of(request);
  Tokens tokens = tokens_of(request, *voice);
  step::Itinerary itinerary;
  itinerary.rules.cfg_scale = guidance;
  std::vector<Stop>& stops = itinerary.stops;  // each stands at the index of its Program
  stops.push_back(noise_stop(request, tokens));
  stops.push_back(prompt_stop(*voice, tokens.prompt_frames, tokens.frames));
  stops.push_back(stop_of(kSpeakerProgram, {voice->parts[kSpeaker]}, {}));
  stops.push_back(schedule_stop(times));
  stops.push_back(encode_stop(std::move(tokens.ids)));
  stops.push_back(stop_of(kFramesProgram, {rows_of(tokens.frames)}, {kEncodeProgram}));
  stops.push_back(flow_stop(times, tokens.frames, guidance >= kNoGuidance));
  add_outputs(request, tokens, itinerary);
  return itinerary;
}

// What becomes of the frames behind the prompt.
void Itineraries::add_outputs(const Request& request, const Tokens& tokens,
                              step::Itinerary& itinerary) const {
  const bool has_vocoder = config_.vocoder.has_value();
  const bool has_audio = request.return_audio.value_or(has_vocoder);
  TTSRT_CHECK(ConfigError, !has_audio || has_vocoder,
              "return_audio: expected false, as this engine was built without a vocoder");
  const bool has_spectrogram = request.return_spectrogram.value_or(!has_audio);
  TTSRT_CHECK(ConfigError, has_audio || has_spectrogram,
              "return_audio: expected a result, got neither audio nor spectrogram");
  const std::int32_t first = tokens.prompt_frames;
  const std::int32_t frames = tokens.frames - first;
  if (has_spectrogram)
    itinerary.stops.push_back(
        stop_of(kSpectrogramProgram, {kept_rows(first, frames)}, {kFlowProgram}));
  if (!has_audio) return;
  hift::append_stops(*config_.vocoder,
                     {hift::noise_rows(*config_.vocoder, request.seed, frames),
                      kept_rows(first, frames + 1),
                      kVocoderPrograms,
                      {kFlowProgram}},
                     itinerary.stops);
}

// Noise beside a spectrogram is that of the vocoder's source.
std::vector<float> Itineraries::source_noise(InputRows&& given, std::uint64_t seed,
                                             std::int32_t frames) const {
  const std::int32_t width = config_.vocoder->noise_width();
  if (!is_given(given)) return hift::noise_rows(*config_.vocoder, seed, frames);
  TTSRT_CHECK(ConfigError, !given.is_on_gpu() && given.rows == frames && given.cols == width,
              "noise: expected rows in the memory of the host, [", frames, ", ", width, "], got [",
              given.rows, ", ", given.cols, "]");
  return *rows_of_vectors("noise", std::move(given), width, frames).vectors;
}

// A vocoder's rows have one behind the last.
step::Itinerary Itineraries::of_mel(Request&& request) const {
  InputRows noise = std::exchange(request.noise, {});
  refuse_beside_mel(request);
  TTSRT_CHECK(ConfigError, config_.vocoder.has_value(),
              "mel: expected none, as this engine was built without a vocoder");
  const auto frames = static_cast<std::int32_t>(request.mel.rows);
  RowSource mel = rows_of_mel(std::move(request.mel), config_.mel_bins, limits_.max_seq_len);
  TTSRT_CHECK(ConfigError, mel.vectors != nullptr, "mel: expected rows in the memory of the host");
  std::vector<float> rows = *mel.vectors;
  rows.resize(rows.size() + static_cast<std::size_t>(config_.mel_bins), 0.0F);
  step::Itinerary itinerary;
  hift::append_stops(*config_.vocoder,
                     {source_noise(std::move(noise), request.seed, frames),
                      given_rows(std::move(rows), frames + 1),
                      kVocoderPrograms,
                      {}},
                     itinerary.stops);
  return itinerary;
}

}  // namespace ttsrt::model::s3gen
