// A small model that makes spectrograms of speech tokens, a voice of it, and requests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/s3gen/family.h"
#include "model/s3gen/itinerary.h"
#include "model/s3gen/programs.h"
#include "support/errors.h"

namespace ttsrt::model::s3gen {

using Ids = std::vector<std::int32_t>;

inline Json model_json(const char* kind) {
  return {{"sample_rate", 24000},
          {"flow",
           {{"kind", kind},
            {"vocab", 50},
            {"dim", 8},
            {"heads", 2},
            {"ffn_dim", 16},
            {"layers", 1},
            {"up_layers", 1},
            {"lookahead", 3},
            {"upsampling", 2},
            {"mel_bins", 6},
            {"speaker_dim", 4},
            {"estimator",
             {{"dim", 8},
              {"heads", 1},
              {"head_dim", 8},
              {"ffn_dim", 16},
              {"time_dim", 12},
              {"layers", 1},
              {"mid_stages", 1}}}}},
          {"vocoder", nullptr}};
}

// Of the rates of the published models.
inline Json vocoder_json() {
  return {{"mel_bins", 6},
          {"dim", 8},
          {"rates", {8, 5, 3}},
          {"kernels", {16, 11, 7}},
          {"chain_kernels", {3, 7, 11}},
          {"source_kernels", {7, 7, 11}},
          {"dilations", {1, 3, 5}},
          {"n_fft", 16},
          {"hop", 4},
          {"harmonics", 9},
          {"f0_dim", 8},
          {"f0_layers", 5}};
}

inline Json defaults_json(const char* kind) {
  const bool is_meanflow = std::string(kind) == "meanflow";
  return {{"steps", is_meanflow ? 2 : 10},
          {"guidance", is_meanflow ? 0.0 : 0.7},
          {"silence_token", 7},
          {"silence_tokens", is_meanflow ? 3 : 0}};
}

class OneVoice : public VoiceFinder {
 public:
  explicit OneVoice(Voice&& voice) : voice_(std::make_shared<const Voice>(std::move(voice))) {}
  std::shared_ptr<const Voice> find(const VoiceRef& /*voice*/) const override { return voice_; }

 private:
  std::shared_ptr<const Voice> voice_;
};

class S3GenRequests : public ::testing::Test {
 protected:
  S3GenRequests() {
    limits_.max_batch_size = 2;
    limits_.max_seq_len = 40;
    limits_.max_input_len = 9;
    limits_.max_encoder_input_len = 16;
    limits_.max_num_tokens = 80;
    make("cfm");
  }

  void make(const char* kind) {
    const Json model = model_json(kind);
    const Json defaults = defaults_json(kind);
    const S3GenFamily family{JsonReader(model, "model"), JsonReader(defaults, "defaults")};
    itineraries_ = family.itineraries(limits_, nullptr);
    config_ = read_config(JsonReader(model, "model"));
    defaults_ = read_defaults(JsonReader(defaults, "defaults"), config_);
  }

  static Speaker speaker(std::int32_t tokens, std::int32_t frames) {
    Speaker given;
    given.embedding = {3.0F, 0.0F, 4.0F, 0.0F};
    given.prompt_codes.assign(static_cast<std::size_t>(tokens), 5);
    given.prompt_spectrogram = {frames, 6,
                                std::vector<float>(6 * static_cast<std::size_t>(frames))};
    return given;
  }

  step::Itinerary of(const Request& request, std::int32_t tokens = 3,
                     std::int32_t frames = 6) const {
    const OneVoice voices(itineraries_->voice_of_speaker(speaker(tokens, frames)));
    return itineraries_->itinerary(Request(request), voices);
  }

  static Request usual(Ids ids) {
    Request request;
    request.codes.rows = static_cast<std::int64_t>(ids.size());
    request.codes.cols = 1;
    request.codes.values = std::move(ids);
    request.voice = std::string("voice");
    return request;
  }

  static std::vector<step::Stop> part_of(const step::Itinerary& itinerary, std::int32_t part) {
    const auto first = static_cast<std::int32_t>(itinerary.stops.size());
    return itinerary.sequel->stops(part, first, {nullptr, 0, nullptr, 0, true}).value();
  }

  template <typename Change>
  ::testing::AssertionResult refuses(const char* words, const Change& change) const {
    Request request = usual({1, 2});
    change(request);
    return test::throws_naming<ConfigError>(words, [&] { of(request); });
  }

  // Stops of a part.
  enum Place : std::size_t { kNoise, kPrompt, kEncode, kFrames, kFlow, kSpectrogram };

  Limits limits_;
  Config config_;
  Defaults defaults_;
  std::unique_ptr<model::Itineraries> itineraries_;
};

inline Request in_chunks(Request&& request, std::vector<std::int32_t> hops,
                         std::optional<std::int32_t> history = std::nullopt) {
  request.flow = Flow{};
  request.flow->mode = "chunks";
  request.flow->hops = std::move(hops);
  request.flow->history = history;
  return std::move(request);
}

}  // namespace ttsrt::model::s3gen
