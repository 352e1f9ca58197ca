#include "model/s3gen/itinerary.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "core/check.h"
#include "model/hift/noise.h"
#include "model/hift/vocoder.h"
#include "model/request_rows.h"
#include "model/s3gen/programs.h"
#include "model/whole_request.h"

namespace ttsrt::model::s3gen {
namespace {

using step::RowSource;

constexpr double kLeastNorm = 1e-12;  // of a speaker's embedding

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
  const Config& config = site_->config;
  const auto tokens = static_cast<std::int64_t>(speaker.prompt_codes.size());
  const std::int64_t frames = speaker.prompt_spectrogram.rows;
  const std::int64_t expected = tokens * config.upsampling;
  TTSRT_CHECK(ConfigError, !speaker.sound,
              "add_voice: sound: expected none, as all of this model's voice makes sound");
  TTSRT_CHECK(ConfigError, !speaker.emotion,
              "add_voice: emotion: expected none, as this model is not conditioned on an emotion");
  TTSRT_CHECK(ConfigError, frames == expected || frames == expected + 1,
              "add_voice: prompt_feat: expected ", expected, " frames for ", tokens,
              " tokens, or one more, got ", frames);
  TTSRT_CHECK(ConfigError, speaker.embedding.size() == static_cast<std::size_t>(config.speaker_dim),
              "add_voice: embedding: expected [", config.speaker_dim, "], got [",
              speaker.embedding.size(), "]");
  Voice voice;
  voice.parts.resize(kNumParts);
  if (tokens > 0)
    voice.parts[kPromptTokens] =
        rows_of_ids("add_voice: prompt_token", std::move(speaker.prompt_codes), config.vocab,
                    limits_.max_encoder_input_len);
  if (frames > 0)
    voice.parts[kPromptFrames] =
        rows_of_vectors("add_voice: prompt_feat", std::move(speaker.prompt_spectrogram),
                        config.mel_bins, limits_.max_input_len);
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
  const std::int32_t bins = site_->config.mel_bins;
  if (prompt.rows == 0) return {0, bins, {}};
  return {prompt.rows, bins, *prompt.vectors};
}

// What was drawn, as the request brings it.
std::vector<std::int32_t> Itineraries::codes_of(Request& request, const SoundRequest& sound) const {
  const Config& config = site_->config;
  Matrix<std::int32_t>& codes = request.codes;
  const bool fits = codes.rows >= 1 && codes.cols == 1 &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows;
  TTSRT_CHECK(ConfigError, fits, "codes: expected speech tokens [at least 1, 1], got [", codes.rows,
              ", ", codes.cols, "]");
  for (std::size_t i = 0; i < codes.values.size(); ++i)
    TTSRT_CHECK(ConfigError, codes.values[i] >= 0, "codes[", i, "]: expected 0 or more, got ",
                codes.values[i]);
  const auto tokens =
      static_cast<std::int64_t>(sound_ids(codes.values, config, !sound.hops.empty()).size());
  TTSRT_CHECK(ConfigError, tokens > 0, "codes: expected at least one token of sound, below ",
              config.vocab, ", got none among ", codes.rows);
  const std::int32_t most = most_tokens(sound, *site_);
  TTSRT_CHECK(ConfigError, tokens <= most, "codes: expected at most ", std::max(most, 0),
              " tokens (max_encoder_input_len ", limits_.max_encoder_input_len, ", max_seq_len ",
              limits_.max_seq_len, " frames) beside the voice's prompt of ", sound.prompt_tokens(),
              " and ", site_->defaults.silence_tokens, " of silence, got ", tokens,
              "; split the text");
  return std::move(codes.values);
}

// Where the integration begins, if the request says so: of the prompt's frames and all others.
std::shared_ptr<const std::vector<float>> Itineraries::noise_of(Request& request,
                                                                const SoundRequest& sound) const {
  if (!is_given(request.noise)) return nullptr;
  const Config& config = site_->config;
  const std::int64_t tokens =
      static_cast<std::int64_t>(sound_ids(*sound.codes, config, !sound.hops.empty()).size());
  const std::int64_t frames =
      (sound.prompt_tokens() + tokens + site_->defaults.silence_tokens) * config.upsampling;
  TTSRT_CHECK(ConfigError, !request.noise.is_on_gpu(),
              "noise: expected rows in the memory of the host");
  TTSRT_CHECK(ConfigError, request.noise.rows == frames && request.noise.cols == config.mel_bins,
              "noise: expected [", frames, ", ", config.mel_bins, "], got [", request.noise.rows,
              ", ", request.noise.cols, "]");
  return rows_of_vectors("noise", std::move(request.noise), config.mel_bins,
                         static_cast<std::int32_t>(frames))
      .vectors;
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  if (is_given(request.mel)) return of_mel(std::move(request));
  refuse_draw_options(request);
  refuse_beside_tokens(request);
  TTSRT_CHECK(ConfigError, request.voice.has_value(),
              "voice: expected the name of one that was added, got none");
  SoundRequest sound = read_sound(request, *site_);
  sound.voice = voice_in(voices.find(*request.voice));
  TTSRT_CHECK(ConfigError, sound.has_audio || sound.has_spectrogram,
              "return_audio: expected a result, got neither audio nor spectrogram");
  sound.codes = std::make_shared<const std::vector<std::int32_t>>(codes_of(request, sound));
  sound.noise = noise_of(request, sound);
  step::Itinerary itinerary;
  append(std::move(sound), itinerary);
  return itinerary;
}

// Its voices are of this model alone, or have a part for it.
std::shared_ptr<const Voice> Itineraries::voice_in(std::shared_ptr<const Voice> voice) const {
  if (site_->first_program == 0) return voice;
  TTSRT_CHECK(ConfigError, voice->sound != nullptr,
              "voice: expected one with what makes sound of tokens (prompt_token, prompt_feat, "
              "embedding), got one without it; add it with that, or ask for codes_only");
  return voice->sound;
}

void Itineraries::append(SoundRequest&& sound, step::Itinerary& itinerary) const {
  itinerary.rules.flow_scale = sound.guidance;
  itinerary.sequel = std::make_shared<const Sound>(site_, std::move(sound), itinerary.stops);
}

// Noise beside a spectrogram is that of the vocoder's source.
std::vector<float> Itineraries::source_noise(InputRows&& given, std::uint64_t seed,
                                             std::int32_t frames) const {
  const hift::Config& vocoder = *site_->config.vocoder;
  const std::int32_t width = vocoder.noise_width();
  if (!is_given(given)) return hift::noise_rows(vocoder, seed, 0, frames);
  TTSRT_CHECK(ConfigError, !given.is_on_gpu() && given.rows == frames && given.cols == width,
              "noise: expected rows in the memory of the host, [", frames, ", ", width, "], got [",
              given.rows, ", ", given.cols, "]");
  return *rows_of_vectors("noise", std::move(given), width, frames).vectors;
}

step::Itinerary Itineraries::of_mel(Request&& request) const {
  const Config& config = site_->config;
  InputRows noise = std::exchange(request.noise, {});
  refuse_beside_mel(request);
  TTSRT_CHECK(ConfigError, config.vocoder.has_value(),
              "mel: expected none, as this engine was built without a vocoder");
  hift::NewRows rows;
  rows.mel = rows_of_mel(std::move(request.mel), config.mel_bins, site_->max_frames);
  TTSRT_CHECK(ConfigError, rows.mel.vectors != nullptr,
              "mel: expected rows in the memory of the host");
  rows.noise = source_noise(std::move(noise), request.seed, rows.mel.rows);
  rows.program = site_->first_program + kVocoderPrograms;
  step::Itinerary itinerary;
  hift::append_stops(*config.vocoder, std::move(rows), itinerary.stops);
  return itinerary;
}

}  // namespace ttsrt::model::s3gen
