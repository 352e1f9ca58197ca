#include "model/f5/itinerary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/quote.h"
#include "model/f5/programs.h"
#include "model/normal_rows.h"
#include "model/request_rows.h"
#include "model/whole_request.h"
#include "step/packed_rows.h"

namespace ttsrt::model::f5 {
namespace {

using step::Input;
using step::RowSource;
using step::Stop;

constexpr float kNoGuidance = 1e-5F;  // strengths below it

// The rows of both branches: the second one's are the same but for what `change` does.
template <typename Change>
std::vector<RowSource> branches(RowSource rows, bool is_guided, const Change& change) {
  std::vector<RowSource> both = {rows};
  if (!is_guided) return both;
  change(rows);
  rows.is_unconditional = true;
  both.push_back(std::move(rows));
  return both;
}

// Row i of the table is that of id i - 1; row 0 fills the frames behind the text.
RowSource text_rows(const std::vector<std::int32_t>& ids, std::int32_t frames) {
  auto rows = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(frames), 0);
  std::transform(ids.begin(), ids.end(), rows->begin(), [](std::int32_t id) { return id + 1; });
  RowSource source;
  source.input = Input::ids;
  source.rows = frames;
  source.position_table = 0;
  source.ids = std::move(rows);
  return source;
}

Stop text_stop(const std::vector<std::int32_t>& ids, std::int32_t frames, bool is_guided) {
  const auto without_text = [frames](RowSource& rows) {
    rows.ids =
        std::make_shared<const std::vector<std::int32_t>>(static_cast<std::size_t>(frames), 0);
  };
  return stop_of(kTextProgram, branches(text_rows(ids, frames), is_guided, without_text),
                 {kPromptProgram});
}

// The schedule's rows are shared by all requests of equal times. They fill whole blocks, so that no
// request needs a copy of the last one.
Stop schedule_stop(std::vector<float> times) {
  const std::int64_t rows =
      step::blocks_for(static_cast<std::int64_t>(times.size())) * std::int64_t{step::kBlockSize};
  times.resize(static_cast<std::size_t>(rows), times.back());
  const auto count = static_cast<std::int32_t>(times.size());
  Stop stop = stop_of(kScheduleProgram, {given_rows(time_features(times), count)}, {});
  std::string content(times.size() * sizeof(float), '\0');
  std::memcpy(content.data(), times.data(), content.size());
  stop.shared = step::PrefixKey{"schedule " + content, count};
  return stop;
}

// The first frames, as many as stay those of the prompt: nobody needs what the last evaluation
// makes of them.
std::int32_t settled_frames(const Request& request, std::int32_t lens) {
  const std::vector<std::int32_t>& stays = request.edit_mask;
  const auto changed = std::find(stays.begin(), stays.end(), 0);
  return stays.empty() ? lens : static_cast<std::int32_t>(changed - stays.begin());
}

Stop flow_stop(Schedule&& schedule, std::int32_t frames, bool is_guided) {
  Stop stop =
      stop_of(kFlowProgram, branches(kept_rows(0, frames), is_guided, [](RowSource& /*same*/) {}),
              {kNoiseProgram, kScheduleProgram, kTextProgram});
  stop.repeats = static_cast<std::int32_t>(schedule.evaluations.size());
  stop.evaluations =
      std::make_shared<const std::vector<step::Evaluation>>(std::move(schedule.evaluations));
  return stop;
}

double in_range(const char* name, double value, double least, double most) {
  TTSRT_CHECK(ConfigError, value >= least && value <= most, "flow.", name, ": expected ", least,
              " to ", most, ", got ", value);
  return value;
}

std::int32_t in_range(const char* name, std::int32_t value, std::int32_t least, std::int32_t most) {
  TTSRT_CHECK(ConfigError, value >= least && value <= most, "flow.", name, ": expected ", least,
              " to ", most, ", got ", value);
  return value;
}

}  // namespace

Voice Itineraries::voice_of_vectors(Matrix<float>&& rows) const {
  return {{rows_of_vectors("add_voice: embeddings", std::move(rows), config_.mel_bins,
                           limits_.max_input_len)}};
}

Voice Itineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError(
      "add_voice: codes: expected embeddings, the rows of a spectrogram, as this model has no "
      "codes");
}

Matrix<float> Itineraries::rows_of_voice(const Voice& voice) const {
  const RowSource& rows = voice.parts.front();
  return {rows.rows, config_.mel_bins, *rows.vectors};
}

Itineraries::Prompt Itineraries::prompt_of(Request& request, const Flow& flow,
                                           const VoiceFinder& voices) const {
  TTSRT_CHECK(ConfigError, !request.voice || !is_given(request.context_embeddings),
              "context: expected at most one of voice, context_embeddings; got both");
  Prompt prompt;
  if (request.voice) prompt.rows = voices.find(*request.voice)->parts.front();
  if (is_given(request.context_embeddings)) {
    TTSRT_CHECK(ConfigError, !request.context_embeddings.is_on_gpu(),
                "context_embeddings: expected rows in the memory of the host");
    prompt.rows = rows_of_vectors("context_embeddings", std::move(request.context_embeddings),
                                  config_.mel_bins, limits_.max_input_len);
  }
  prompt.lens = in_range("lens", flow.lens.value_or(prompt.rows.rows), 0, prompt.rows.rows);
  return prompt;
}

// The frames of the utterance: one more than the prompt's and than the text's ids at least. Where
// that is not to be had, the text would be cut off or hurried.
std::int32_t Itineraries::frames_of(const Request& request, const Flow& flow,
                                    std::int32_t lens) const {
  const std::int32_t most = limits_.max_seq_len;
  const auto text_len = static_cast<std::int32_t>(request.text_ids.size());
  const std::int32_t least = std::max(text_len, lens) + 1;
  const bool has_noise = is_given(request.noise);
  TTSRT_CHECK(ConfigError, flow.duration || has_noise,
              "flow.duration: expected the frames of the utterance, prompt included, got none");
  const std::int64_t asked = flow.duration ? std::int64_t{*flow.duration} : request.noise.rows;
  TTSRT_CHECK(ConfigError, asked >= 1, "flow.duration: expected at least 1 frame, got ", asked);
  std::int64_t frames = std::max<std::int64_t>(least, asked);
  if (flow.max_duration) {
    TTSRT_CHECK(ConfigError, *flow.max_duration >= 1,
                "flow.max_duration: expected at least 1 frame, got ", *flow.max_duration);
    frames = std::min<std::int64_t>(frames, *flow.max_duration);
  }
  TTSRT_CHECK(ConfigError, frames >= least, "flow.max_duration: expected at least ", least,
              " frames, one more than the ", text_len, " ids of the text and the ", lens,
              " frames of the prompt, got ", frames, "; split the text");
  TTSRT_CHECK(ConfigError, frames <= most, "flow.duration: expected at most max_seq_len ", most,
              " frames, got ", frames, "; split the text");
  TTSRT_CHECK(ConfigError, !has_noise || request.noise.rows == frames, "noise: expected [", frames,
              ", ", config_.mel_bins, "], got [", request.noise.rows, ", ", request.noise.cols,
              "]");
  return static_cast<std::int32_t>(frames);
}

ScheduleOptions Itineraries::schedule_of(const Flow& flow) const {
  ScheduleOptions options;
  const std::string method = flow.method.value_or(defaults_.method);
  TTSRT_CHECK(ConfigError, method == "euler" || method == "midpoint",
              "flow.method: expected euler or midpoint, got ", in_quotes(method));
  options.is_midpoint = method == "midpoint";
  options.steps = in_range("steps", flow.steps.value_or(defaults_.steps), 1,
                           options.is_midpoint ? kMaxEvaluations / 2 : kMaxEvaluations);
  options.sway = in_range("sway_sampling_coef",
                          static_cast<double>(flow.sway_sampling_coef.value_or(defaults_.sway)),
                          kMinSway, kMaxSway);
  options.use_epss = flow.use_epss.value_or(defaults_.use_epss);
  return options;
}

Stop Itineraries::noise_stop(Request& request, std::int32_t frames) const {
  if (!is_given(request.noise)) {
    return stop_of(kNoiseProgram,
                   {given_rows(normal_rows(rules::DrawKind::flow_noise, request.seed, 0, frames,
                                           config_.mel_bins),
                               frames)},
                   {});
  }
  TTSRT_CHECK(ConfigError, !request.noise.is_on_gpu(),
              "noise: expected rows in the memory of the host");
  RowSource rows = rows_of_vectors("noise", std::move(request.noise), config_.mel_bins, frames);
  return stop_of(kNoiseProgram, {std::move(rows)}, {});
}

// Rows of the prompt, each with 1 behind it where it stays, then zeros.
Stop Itineraries::prompt_stop(const Request& request, const Flow& flow, const Prompt& prompt,
                              std::int32_t frames) const {
  const auto bins = static_cast<std::size_t>(config_.mel_bins);
  const std::vector<std::int32_t>& stays = request.edit_mask;
  TTSRT_CHECK(ConfigError, stays.empty() || stays.size() == static_cast<std::size_t>(prompt.lens),
              "edit_mask: expected a number for each of the ", prompt.lens,
              " frames of the prompt, got ", stays.size());
  std::vector<float> rows(static_cast<std::size_t>(prompt.lens) * (bins + 1));
  for (std::size_t i = 0; i < static_cast<std::size_t>(prompt.lens); ++i) {
    TTSRT_CHECK(ConfigError, stays.empty() || stays[i] == 0 || stays[i] == 1, "edit_mask[", i,
                "]: expected 0 or 1, got ", stays[i]);
    if (!stays.empty() && stays[i] == 0) continue;
    float* row = rows.data() + i * (bins + 1);
    if (!flow.no_ref_audio) std::copy_n(prompt.rows.vectors->data() + i * bins, bins, row);
    row[bins] = 1.0F;
  }
  std::vector<RowSource> sources;
  if (prompt.lens > 0) sources.push_back(given_rows(std::move(rows), prompt.lens));
  RowSource rest;
  rest.rows = frames - prompt.lens;
  sources.push_back(rest);
  return stop_of(kPromptProgram, std::move(sources), {});
}

void Itineraries::add_outputs(const Request& request, std::int32_t frames, std::int32_t lens,
                              step::Itinerary& itinerary) const {
  const bool has_vocoder = config_.vocoder.has_value();
  const bool has_audio = request.return_audio.value_or(has_vocoder);
  TTSRT_CHECK(ConfigError, !has_audio || has_vocoder,
              "return_audio: expected false, as this engine was built without a vocoder");
  const bool has_spectrogram = request.return_spectrogram.value_or(!has_audio);
  TTSRT_CHECK(ConfigError, has_audio || has_spectrogram,
              "return_audio: expected a result, got neither audio nor spectrogram");
  TTSRT_CHECK(ConfigError, has_audio || !request.audio_start,
              "audio_start: expected none without audio");
  if (has_spectrogram)
    itinerary.stops.push_back(stop_of(kSpectrogramProgram, {kept_rows(0, frames)}, {kFlowProgram}));
  if (!has_audio) return;
  const std::int32_t first = request.audio_start.value_or(std::max(lens - 1, 0));
  TTSRT_CHECK(ConfigError, first >= 0 && first <= frames - 2, "audio_start: expected 0 to ",
              frames - 2, ", as 2 frames become sound at least, got ", first);
  Stop& stop = itinerary.stops.emplace_back(
      stop_of(kVocoderProgram, {kept_rows(first, frames - first)}, {kFlowProgram}));
  stop.emitted_rows = config_.vocoder->sound_rows(frames - first);
}

step::Itinerary Itineraries::of_mel(Request&& request) const {
  refuse_beside_mel(request);
  TTSRT_CHECK(ConfigError, config_.vocoder.has_value(),
              "mel: expected none, as this engine was built without a vocoder");
  step::Itinerary itinerary;
  Stop& stop = itinerary.stops.emplace_back(
      stop_of(kVocoderProgram,
              {rows_of_mel(std::move(request.mel), config_.mel_bins, limits_.max_seq_len)}, {}));
  stop.emitted_rows = config_.vocoder->sound_rows(stop.rows.front().rows);
  return itinerary;
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  if (is_given(request.mel)) return of_mel(std::move(request));
  refuse_step_options(request);
  const Flow flow = request.flow.value_or(Flow{});
  TTSRT_CHECK(ConfigError, !request.text_ids.empty(), "text_ids: expected at least one id");
  TTSRT_CHECK(ConfigError,
              request.text_ids.size() <= static_cast<std::size_t>(limits_.max_encoder_input_len),
              "text_ids: expected at most max_encoder_input_len ", limits_.max_encoder_input_len,
              " ids, got ", request.text_ids.size(), "; split the text");
  check_ids("text_ids", request.text_ids, config_.text_vocab);
  const Prompt prompt = prompt_of(request, flow, voices);
  const std::int32_t frames = frames_of(request, flow, prompt.lens);
  Schedule schedule = make_schedule(schedule_of(flow));
  const auto strength = static_cast<float>(in_range(
      "cfg_strength", static_cast<double>(flow.cfg_strength.value_or(defaults_.cfg_strength)), 0.0,
      kMaxStrength));
  const bool is_guided = strength >= kNoGuidance;
  step::Itinerary itinerary;
  itinerary.rules.flow_scale = strength;
  itinerary.rules.text_len = static_cast<std::int32_t>(request.text_ids.size());
  std::vector<Stop>& stops = itinerary.stops;  // each stands at the index of its Program
  stops.push_back(noise_stop(request, frames));
  stops.push_back(prompt_stop(request, flow, prompt, frames));
  stops.push_back(schedule_stop(schedule.times));
  stops.push_back(text_stop(request.text_ids, frames, is_guided));
  stops.push_back(flow_stop(std::move(schedule), frames, is_guided));
  stops.back().settled_rows = settled_frames(request, prompt.lens);
  add_outputs(request, frames, prompt.lens, itinerary);
  return itinerary;
}

}  // namespace ttsrt::model::f5
