// Small neural codecs, alone and at the end of the tiny model, and what runs them without a device:
// loops on the reference backend, with requests submitted as Executor submits them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "executor/replicas.h"
#include "executor/request_check.h"
#include "executor/voices.h"
#include "model/engine_data.h"
#include "model/native_network.h"
#include "ops/backend.h"
#include "support/loop_rig.h"
#include "support/tiny_engine.h"
#include "support/weights.h"

namespace ttsrt::test {

// Frames of 6 samples; two codebooks of 12 codes.
inline Json codec_json(bool has_encoder = true) {
  Json model = {{"sample_rate", 120},
                {"samples_per_frame", 6},
                {"groups", 2},
                {"levels", {3, 4}},
                {"encoder", nullptr}};
  model["decoder"] = {{"base_channels", 12},    {"rates", {3, 2}}, {"kernels", {3, 5}},
                      {"dilations", {1, 3, 2}}, {"pre_kernel", 5}, {"post_kernel", 3}};
  if (has_encoder) {
    model["encoder"] = {{"base_channels", 3},     {"rates", {2, 3}}, {"kernels", {3, 5}},
                        {"dilations", {1, 3, 2}}, {"pre_kernel", 5}, {"post_kernel", 3},
                        {"pad", "replicate"}};
  }
  return model;
}

inline Json codec_config(bool has_encoder = true) {
  return {{"format", "ttsrt.checkpoint"},
          {"format_version", 1},
          {"family", "nanocodec"},
          {"source", {{"made", "by a test"}}},
          {"codec", {{"name", "tiny codec"}, {"sample_rate", 120}}},
          {"model", codec_json(has_encoder)},
          {"defaults", Json::object()}};
}

inline std::vector<std::int32_t> random_codes(std::int32_t frames, std::uint32_t seed) {
  std::vector<std::int32_t> codes;
  for (const float value : random_vector(static_cast<std::size_t>(2 * frames), seed, 0.5F))
    codes.push_back(static_cast<std::int32_t>((value + 0.5F) * 11.99F));
  return codes;
}

inline Request codes_request(std::vector<std::int32_t> codes) {
  Request request;
  request.codes = {static_cast<std::int64_t>(codes.size()) / 2, 2, std::move(codes)};
  return request;
}

// An engine's network on a backend, with a loop.
class EngineRig {
 public:
  EngineRig(const std::string& engine, std::unique_ptr<ops::Backend> backend, bool trace = false)
      : data(engine),
        itineraries(data.family->itineraries(data.limits, &data.weights)),
        voices(*itineraries, model::StoredVoices(data.voices)),
        loop(networks_of(data, std::move(backend), trace),
             {.max_queue_size = 64, .iter_stats_max_iterations = 8, .trace = trace}) {}

  FakeHandle submit(Request request) {
    executor::Pending pending;
    pending.submitted = executor::Clock::now();
    pending.request = executor::prepare(std::move(request), *itineraries, voices);
    pending.channel = make_channel(++last_id_);
    FakeHandle handle{std::make_shared<Ticketed>(pending.channel)};
    loop.submit(std::move(pending));
    return handle;
  }

  const EngineData data;
  const std::unique_ptr<model::Itineraries> itineraries;
  executor::VoiceBook voices;
  executor::Replicas loop;

 private:
  static std::vector<std::unique_ptr<model::Network>> networks_of(
      const EngineData& data, std::unique_ptr<ops::Backend> backend, bool trace) {
    model::NetworkOptions options;
    options.limits = data.limits;
    options.trace = trace;
    std::vector<std::unique_ptr<model::Network>> networks;
    networks.push_back(std::make_unique<model::NativeNetwork>(data, std::move(backend), options));
    return networks;
  }

  std::uint64_t last_id_ = 0;
};

}  // namespace ttsrt::test
