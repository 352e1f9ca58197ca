// Itineraries of models that no family describes yet, over Programs of their own: a decoder whose
// codes a codec turns into sound, and a flow whose rows a vocoder turns into sound.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "executor/request_check.h"
#include "step/itinerary.h"

namespace ttsrt::test {

inline step::RowSource zero_rows(std::int32_t rows) {
  step::RowSource source;
  source.rows = rows;
  return source;
}

inline step::RowSource vector_rows(std::int32_t rows, std::int32_t dim, float value) {
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = rows;
  source.vectors =
      std::make_shared<const std::vector<float>>(static_cast<std::size_t>(rows * dim), value);
  return source;
}

// One row of codes, each of them `code`.
inline step::RowSource code_row(std::int32_t codes, std::int32_t code) {
  step::RowSource source;
  source.input = step::Input::codes;
  source.rows = 1;
  source.ids_per_row = codes;
  source.ids =
      std::make_shared<const std::vector<std::int32_t>>(static_cast<std::size_t>(codes), code);
  return source;
}

inline step::Stop stop_of(std::int32_t program, std::vector<step::RowSource> rows,
                          std::vector<std::int32_t> follows = {}) {
  step::Stop stop;
  stop.program = program;
  stop.rows = std::move(rows);
  stop.follows = std::move(follows);
  return stop;
}

inline executor::PreparedRequest request_for(std::vector<step::Stop> stops) {
  executor::PreparedRequest request;
  request.itinerary.stops = std::move(stops);
  return request;
}

// prefill, decode, codec: samples come out of the last.
inline std::vector<step::ProgramInfo> sound_programs() {
  using step::Pace;
  return {{.name = "prefill", .pace = Pace::chunked, .uses_cache = true},
          {.name = "decode", .pace = Pace::stepwise, .uses_cache = true},
          {.name = "codec", .pace = Pace::chunked, .emits = step::Emits::samples}};
}
constexpr std::int32_t kSoundPrefill = 0;
constexpr std::int32_t kSoundDecode = 1;
constexpr std::int32_t kSoundCodec = 2;

// Three rows of a prompt, `steps` steps of two codes, and a codec that follows them.
inline executor::PreparedRequest sound_request(std::int32_t steps, std::int32_t frames_ahead) {
  step::Stop decode = stop_of(kSoundDecode, {code_row(2, 13)}, {0});
  decode.position = 3;
  decode.repeats = steps;
  step::Stop codec = stop_of(kSoundCodec, {});
  codec.reads = 1;
  codec.frames_ahead = frames_ahead;
  return request_for({stop_of(kSoundPrefill, {zero_rows(3)}), decode, codec});
}

// text, flow, vocoder: the second runs several times, the last one emits `emits`.
inline std::vector<step::ProgramInfo> flow_programs(std::int32_t flow_parts,
                                                    step::Emits emits = step::Emits::samples) {
  using step::Pace;
  return {{.name = "text", .pace = Pace::whole},
          {.name = "flow", .pace = Pace::whole, .num_parts = flow_parts},
          {.name = "vocoder", .pace = Pace::whole, .emits = emits}};
}
constexpr std::int32_t kFlowText = 0;
constexpr std::int32_t kFlow = 1;
constexpr std::int32_t kVocoder = 2;

inline executor::PreparedRequest flow_request(std::int32_t rows, std::int32_t evaluations) {
  step::Stop flow = stop_of(kFlow, {zero_rows(rows)}, {0});
  flow.repeats = evaluations;
  return request_for(
      {stop_of(kFlowText, {zero_rows(rows)}), flow, stop_of(kVocoder, {zero_rows(rows)}, {1})});
}

}  // namespace ttsrt::test
