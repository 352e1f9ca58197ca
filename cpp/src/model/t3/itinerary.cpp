#include "model/t3/itinerary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "decode/options_check.h"
#include "decode/round_rules.h"
#include "model/causal_decoder.h"
#include "model/request_rows.h"
#include "model/t3/prompt.h"
#include "model/whole_request.h"

namespace ttsrt::model::t3 {
namespace {

using step::RowSource;

constexpr float kMaxEmotion = 100.0F;

RowSource vectors_of(std::vector<float>&& values, std::int32_t rows) {
  RowSource source;
  source.input = step::Input::vectors;
  source.rows = rows;
  source.vectors = std::make_shared<const std::vector<float>>(std::move(values));
  return source;
}

float checked_emotion(const std::string& what, float emotion) {
  TTSRT_CHECK(ConfigError, emotion >= -kMaxEmotion && emotion <= kMaxEmotion, what,
              "emotion: expected a number from -", kMaxEmotion, " to ", kMaxEmotion, ", got ",
              emotion);
  return emotion;
}

// Speech tokens of a request that says none: what the original allows a text.
std::int32_t usual_frames(std::int32_t text_rows) { return std::max(6 * text_rows, 300); }

// `most`: that sound is made of.
std::int32_t steps_in(const Request& request, const Config& config, const Limits& limits,
                      std::int32_t position, std::int32_t steps, std::int32_t most) {
  std::int32_t room = limits.max_seq_len - position;
  if (config.restarts_positions() && !config.has_blocks())
    room = std::min(room, config.speech_positions);
  TTSRT_CHECK(ConfigError, room >= 1, "prompt: expected voice and text to leave room for speech ",
              "in max_seq_len ", limits.max_seq_len, ", got ", position, " rows");
  return steps_in_room(request, steps, std::min(room, most), 1);
}

void order_processors(const Config& config, rules::SlotRules& slot) {
  using rules::Processor;
  // The penalty comes before the temperature, and BOS counts as seen.
  constexpr Processor kT3[rules::kMaxProcessors] = {Processor::repetition_penalty,
                                                    Processor::temperature, Processor::min_p,
                                                    Processor::top_p, Processor::top_k};
  // The penalty comes last: filters see the scores before it. BOS counts as seen in the first step
  // only, and an end id that is drawn there ends nothing.
  constexpr Processor kTurbo[rules::kMaxProcessors] = {Processor::temperature, Processor::top_k,
                                                       Processor::top_p, Processor::min_p,
                                                       Processor::repetition_penalty};
  const bool is_turbo = config.processors == ProcessorOrder::turbo;
  const Processor* order = is_turbo ? kTurbo : kT3;
  std::copy(order, order + rules::kMaxProcessors, slot.sampler.order);
  slot.sampler.num_seen_first = 1;
  slot.sampler.seen_first[0] = config.bos_id;
  slot.sampler.forgets_first = is_turbo;
  slot.first_end_step = is_turbo ? 1 : 0;
}

void check_no_prompt(const Request& request) {
  const bool has_text = !request.text_ids.empty() || is_given(request.text_features);
  const bool has_context = request.voice.has_value() || is_given(request.context_embeddings);
  TTSRT_CHECK(ConfigError, !has_text && !has_context && !request.emotion.has_value(),
              "prompt_embeddings: expected neither a text nor a voice beside the whole prompt");
}

// BOS and the ids behind the end of speech are no speech. A draw of them is rare.
void mask_invalid(const Config& config, rules::SlotRules& slot) {
  if (config.bos_id < config.eos_id) slot.forbidden[slot.num_forbidden++] = config.bos_id;
  slot.first_invalid = config.eos_id + 1;
}

void check_no_alignment(const Request& request) {
  const bool returns = request.return_alignment || request.return_positions;
  const char* what = request.return_alignment   ? "return_alignment"
                     : request.return_positions ? "return_positions"
                                                : "analyze_alignment";
  TTSRT_CHECK(ConfigError, !returns && !request.analyze_alignment.value_or(false), what,
              ": expected none with prompt_embeddings, as nothing says where in them the text is");
}

}  // namespace

const Conditioner& Itineraries::conditioner() const {
  std::call_once(once_, [&] { conditioner_ = std::make_unique<Conditioner>(config_, *weights_); });
  return *conditioner_;
}

Voice Itineraries::voice_of_vectors(Matrix<float>&& matrix) const {
  return voice_of_rows(std::move(matrix));
}

Voice Itineraries::voice_of_rows(InputRows&& matrix) const {
  RowSource rows = rows_of_vectors("add_voice: embeddings", std::move(matrix), config_.decoder.dim,
                                   limits_.max_input_len);
  if (!config_.conditioning.has_emotion) return {{std::move(rows)}};
  TTSRT_CHECK(ConfigError, rows.rows >= 2,
              "add_voice: embeddings: expected at least 2 rows, the last for the emotion, got 1");
  Voice voice{{slice(rows, 0, rows.rows - 1), slice(rows, rows.rows - 1, 1)}};
  voice.parts.back().first_position = 0;
  return voice;
}

Voice Itineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError(
      "add_voice: codes: expected embeddings or a speaker, as this model takes no "
      "codes as its context");
}

Voice Itineraries::voice_of_speaker(Speaker&& speaker) const {
  const Conditioning& facts = config_.conditioning;
  const auto speaker_dim = static_cast<std::size_t>(facts.speaker_dim);
  TTSRT_CHECK(ConfigError, speaker.embedding.size() == speaker_dim,
              "add_voice: speaker embedding: expected [", speaker_dim, "], got [",
              speaker.embedding.size(), "]");
  for (std::size_t i = 0; i < speaker_dim; ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(speaker.embedding[i]), "add_voice: speaker embedding[",
                i, "]: expected a finite number, got ", speaker.embedding[i]);
  }
  TTSRT_CHECK(ConfigError, speaker.prompt_spectrogram.rows == 0,
              "add_voice: prompt_spectrogram: expected none, as this model makes no sound, got ",
              speaker.prompt_spectrogram.rows, " frames");
  TTSRT_CHECK(ConfigError, !speaker.sound.has_value() || sound_ != nullptr,
              "add_voice: sound: expected none, as this engine makes no sound");
  TTSRT_CHECK(ConfigError,
              speaker.prompt_codes.size() <= static_cast<std::size_t>(facts.max_prompt),
              "add_voice: prompt codes: expected at most ", facts.max_prompt,
              " speech tokens, got ", speaker.prompt_codes.size());
  // BOS and the ids behind it are no speech.
  check_ids("add_voice: prompt codes", speaker.prompt_codes,
            std::min(config_.speech_vocab, config_.bos_id));
  TTSRT_CHECK(ConfigError, facts.has_emotion || !speaker.emotion.has_value(),
              "add_voice: emotion: expected none, as this model has no emotion");
  const Conditioner& conditioner = this->conditioner();
  std::vector<float> rows = conditioner.speaker_row(speaker.embedding);
  std::int32_t count = 1;
  if (!speaker.prompt_codes.empty()) {
    std::vector<float> prompt = conditioner.prompt_rows(speaker.prompt_codes);
    if (facts.has_perceiver()) prompt = conditioner.perceive(prompt);
    rows.insert(rows.end(), prompt.begin(), prompt.end());
    count += static_cast<std::int32_t>(prompt.size()) / config_.decoder.dim;
  }
  const std::int32_t emotion_rows = facts.has_emotion ? 1 : 0;
  TTSRT_CHECK(ConfigError, count + emotion_rows <= limits_.max_input_len,
              "add_voice: expected at most max_input_len ", limits_.max_input_len,
              " rows of a prefix, got ", count + emotion_rows);
  Voice voice{{vectors_of(std::move(rows), count)}};
  if (facts.has_emotion) {
    const float emotion =
        checked_emotion("add_voice: ", speaker.emotion.value_or(defaults_.emotion));
    voice.parts.push_back(vectors_of(conditioner.emotion_row(emotion), 1));
  }
  if (speaker.sound.has_value()) {
    Speaker sound;
    sound.embedding = std::move(speaker.sound->embedding);
    sound.prompt_codes = std::move(speaker.sound->codes);
    sound.prompt_spectrogram = std::move(speaker.sound->spectrogram);
    voice.sound = std::make_shared<const Voice>(sound_->voice_of_speaker(std::move(sound)));
  }
  return voice;
}

Voice Itineraries::voice_of(Request& request, const VoiceFinder& voices) const {
  const int given = (request.voice ? 1 : 0) + (is_given(request.context_embeddings) ? 1 : 0);
  TTSRT_CHECK(ConfigError, given == 1,
              "context: expected exactly one of voice, context_embeddings; got ", given);
  if (request.voice) return *voices.find(*request.voice);
  try {
    return voice_of_rows(std::move(request.context_embeddings));
  } catch (const ConfigError& problem) {
    const std::string why = problem.what();
    const std::string begin = "add_voice: embeddings";
    throw ConfigError("context_embeddings" + why.substr(std::min(begin.size(), why.size())));
  }
}

// Gives a voice another emotion.
void Itineraries::feel(float emotion, Voice& voice) const {
  TTSRT_CHECK(ConfigError, config_.conditioning.has_emotion,
              "emotion: expected none, as this model has no emotion");
  voice.parts.back() = vectors_of(conditioner().emotion_row(checked_emotion("", emotion)), 1);
}

void Itineraries::use_blocks(const Request& request, rules::SlotRules& slot) const {
  TTSRT_CHECK(ConfigError, !is_given(request.forced_codes),
              "forced_codes: expected none, as this model decides codes in blocks");
  TTSRT_CHECK(ConfigError, !is_given(request.prompt_embeddings),
              "prompt_embeddings: expected none, as this model decides codes in blocks");
  TTSRT_CHECK(ConfigError, !request.stop_after_equal.has_value(),
              "stop_after_equal: expected none, as this model decides codes in blocks");
  TTSRT_CHECK(ConfigError, !request.eos_method.has_value(),
              "eos_method: expected none, as this model decides codes in blocks, which have no "
              "likeliest codes beside those that are drawn");
  slot.frame_stacking = config_.block_rows;
}

// What a request says of sound; nothing where it wants codes alone, or the engine makes no other.
std::optional<s3gen::SoundRequest> Itineraries::sound_of(Request& request,
                                                         const VoiceFinder& voices) const {
  if (sound_ == nullptr || request.codes_only) {
    refuse_flow_options(request);
    return std::nullopt;
  }
  s3gen::SoundRequest sound = s3gen::read_sound(request, sound_->site());
  request.flow.reset();
  request.return_audio.reset();
  request.return_spectrogram.reset();
  refuse_flow_options(request);
  if (!sound.has_audio && !sound.has_spectrogram) return std::nullopt;
  TTSRT_CHECK(ConfigError, request.voice.has_value(),
              "voice: expected the name of one, as sound is made with it, got none; ask for "
              "codes_only");
  sound.voice = sound_->voice_in(voices.find(*request.voice));
  return sound;
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  if (sound_ != nullptr && (is_given(request.codes) || is_given(request.mel)))
    return sound_->itinerary(std::move(request), voices);
  refuse_encoder_options(request);
  std::optional<s3gen::SoundRequest> sound = sound_of(request, voices);
  if (config_.alignment.empty()) refuse_alignment_options(request);
  decode::CompiledRules rules = decode::compile_rules(request, defaults_.rules, 0, 0);
  step::Itinerary itinerary;
  itinerary.rules = rules.slot;
  itinerary.forced_codes = rules.forced_codes;
  order_processors(config_, itinerary.rules);
  if (request.mask_invalid) mask_invalid(config_, itinerary.rules);
  if (config_.has_blocks()) use_blocks(request, itinerary.rules);
  std::int32_t most = limits_.max_seq_len;
  if (sound.has_value()) {
    itinerary.rules.flow_scale = sound->guidance;  // of all chunks
    most = s3gen::most_tokens(*sound, sound_->site());
    TTSRT_CHECK(ConfigError, most >= 1, "voice: expected a prompt that leaves room for sound in ",
                sound_->site().max_tokens, " tokens, got ", sound->prompt_tokens());
  }
  if (is_given(request.prompt_embeddings)) {
    check_no_prompt(request);
    check_no_alignment(request);
    rules.max_steps = steps_in(request, config_, limits_,
                               static_cast<std::int32_t>(std::min<std::int64_t>(
                                   request.prompt_embeddings.rows - 1, limits_.max_seq_len)),
                               rules.max_steps, most);
    itinerary.stops = stops_of_embeddings(request, config_, limits_, rules);
    return itinerary;
  }
  TTSRT_CHECK(ConfigError, !is_given(request.unconditional_embeddings),
              "unconditional_embeddings: expected none without prompt_embeddings");
  Voice voice = voice_of(request, voices);
  if (request.emotion.has_value()) feel(*request.emotion, voice);
  speak(std::move(request), std::move(voice), most, rules, itinerary);
  if (sound.has_value()) sound_->append(std::move(*sound), itinerary);
  return itinerary;
}

// At most `most` tokens, by a voice that feels as the request says.
void Itineraries::speak(Request&& request, Voice&& voice, std::int32_t most,
                        decode::CompiledRules& rules, step::Itinerary& itinerary) const {
  if (request.text_chunks.size() == 1)
    decode::rounds_of(request, limits_.max_encoder_input_len);  // checks it
  if (request.text_chunks.size() > 1)
    return speak_chunks(std::move(request), voice, most, rules, itinerary);
  const Prompt prompt(config_, limits_, voice, text_of(request, config_, limits_));
  if (config_.has_blocks() && !request.max_frames.has_value())
    rules.max_steps = usual_frames(prompt.text_rows());
  rules.max_steps =
      steps_in(request, config_, limits_, prompt.decode_begin(), rules.max_steps, most);
  itinerary.stops = prompt.stops(rules);
  if (!config_.alignment.empty()) itinerary.text_len = prompt.text_rows();
  itinerary.rules = rules_of(request, prompt, itinerary.rules);
}

// The rules of a text, of which `compiled` knows no length.
rules::SlotRules Itineraries::rules_of(const Request& request, const Prompt& prompt,
                                       const rules::SlotRules& compiled) const {
  rules::SlotRules rules = compiled;
  if (config_.alignment.empty()) return rules;
  rules.text_len = prompt.text_rows();
  rules.analyzer = {request.analyze_alignment.value_or(defaults_.analyzes), prompt.text_begin()};
  return rules;
}

// Each chunk of a text is spoken as a text of its own, by the same voice: the model carries no
// state from one to the next.
void Itineraries::speak_chunks(Request&& request, const Voice& voice, std::int32_t most,
                               decode::CompiledRules& rules, step::Itinerary& itinerary) const {
  TTSRT_CHECK(ConfigError, !config_.has_blocks(),
              "text_chunks: expected none, as this model decides codes in blocks");
  TTSRT_CHECK(ConfigError, !is_given(request.text_features) && !is_given(request.forced_codes),
              is_given(request.text_features) ? "text_features" : "forced_codes",
              ": expected none with text_chunks");
  const std::vector<bool> begins(request.text_chunks.size(), true);
  step::Rounds& rounds = itinerary.rounds;
  rounds.all = decode::rounds_of(request, limits_.max_encoder_input_len, begins);
  rounds.ids = std::make_shared<const std::vector<std::int32_t>>(request.text_ids);
  rounds.steps = limits_.max_seq_len;
  const std::optional<std::int32_t> frames = std::exchange(request.max_frames, std::nullopt);
  const rules::SlotRules compiled = itinerary.rules;
  for (std::size_t i = 0; i < rounds.all.size(); ++i) {
    step::Round& round = rounds.all[i];
    const auto from = rounds.ids->begin() + round.first;
    request.text_ids.assign(from, from + round.rows);
    const Prompt prompt(config_, limits_, voice, text_of(request, config_, limits_));
    decode::CompiledRules own = rules;
    own.max_steps = steps_in(request, config_, limits_, prompt.decode_begin(),
                             defaults_.rules.max_frames, most);
    rounds.steps = std::min(rounds.steps, own.max_steps);
    std::vector<step::Stop> stops = prompt.stops(own, false);
    itinerary.text_len = std::max(itinerary.text_len, round.rows);
    if (i == 0) {
      itinerary.stops = std::move(stops);
      itinerary.rules = rules_of(request, prompt, itinerary.rules);
      continue;
    }
    auto beginning = std::make_shared<step::Beginning>();
    beginning->rules = rules_of(request, prompt, compiled);
    for (std::size_t stop = 1; stop < stops.size(); ++stop)
      beginning->stops.emplace_back(static_cast<std::int32_t>(stop), std::move(stops[stop]));
    round.beginning = std::move(beginning);
  }
  const std::int64_t all = static_cast<std::int64_t>(rounds.all.size()) * rounds.steps;
  rounds.frames =
      static_cast<std::int32_t>(std::min<std::int64_t>(all, frames.value_or(decode::kMaxFrames)));
  itinerary.stops.back().repeats = std::min(rounds.steps, rounds.frames);
}

}  // namespace ttsrt::model::t3
