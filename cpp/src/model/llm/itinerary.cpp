#include "model/llm/itinerary.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "decode/token_options.h"
#include "model/causal_decoder.h"
#include "model/request_rows.h"
#include "model/whole_request.h"
#include "step/packed_rows.h"

namespace ttsrt::model::llm {
namespace {

using step::RowSource;
using step::Stop;

constexpr const char* kNoVoices =
    "voice: expected none, as language models have no voices, got one";

// Rows [first, first + rows) of the prompt.
Stop rows_from(const RowSource& prompt, std::int32_t first, std::int32_t rows, bool has_positions) {
  RowSource source = prompt;
  source.rows = rows;
  const auto begin = prompt.ids->begin() + first;
  source.ids = std::make_shared<const std::vector<std::int32_t>>(begin, begin + rows);
  if (has_positions) {
    source.position_table = 0;
    source.first_position = first;
  }
  Stop stop;
  stop.position = first;
  stop.rows = {std::move(source)};
  return stop;
}

// Rows in front of the first step, of which the first `shared` are whole blocks that requests with
// the same ids share. Returns the stops behind which the steps begin.
std::vector<Stop> prefill_of(const RowSource& prompt, std::int32_t shared, bool has_positions) {
  const std::int32_t last = prompt.rows - 1;
  std::vector<Stop> stops;
  const auto add = [&](std::int32_t first, std::int32_t end) {
    if (first == end) return;
    Stop stop = rows_from(prompt, first, end - first, has_positions);
    stop.program = kPrefillProgram;
    if (!stops.empty()) stop.follows = {0};
    stops.push_back(std::move(stop));
  };
  add(0, shared);
  if (shared > 0) {
    const std::vector<std::int32_t>& ids = *stops.front().rows.front().ids;
    const auto* bytes = reinterpret_cast<const char*>(ids.data());
    stops.front().shared = {std::string(bytes, ids.size() * sizeof(std::int32_t)), shared};
  }
  add(shared, last);
  return stops;
}

}  // namespace

Voice Itineraries::voice_of_vectors(Matrix<float>&& /*rows*/) const {
  throw ConfigError(kNoVoices);
}

Voice Itineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError(kNoVoices);
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& /*voices*/) const {
  refuse_encoder_options(request);
  TTSRT_CHECK(ConfigError, request.text_chunks.empty(),
              "text_chunks: expected none, as a prompt of this model is one text");
  refuse_flow_options(request);
  refuse_alignment_options(request);
  refuse_speaker_options(request);
  TTSRT_CHECK(ConfigError, !is_given(request.text_features),
              "text_features: expected none, as this model has no text encoder; give text_ids");
  TTSRT_CHECK(ConfigError, !request.voice, kNoVoices);
  TTSRT_CHECK(ConfigError, !is_given(request.context_embeddings),
              "context_embeddings: expected none, as language models have no context");
  TTSRT_CHECK(ConfigError, !request.text_ids.empty(), "text_ids: expected at least one id");
  if (request.score) return scores(std::move(request));
  const RowSource prompt =
      rows_of_ids("text_ids", std::move(request.text_ids), config_.vocab, limits_.max_input_len);
  decode::CompiledRules rules = decode::compile_rules(request, rules_, 0, 0);
  TTSRT_CHECK(ConfigError, !rules.is_guided,
              "cfg_scale: expected 1, as language models have no guidance, got ",
              rules.slot.cfg_scale);
  const std::int32_t last = prompt.rows - 1;
  TTSRT_CHECK(ConfigError, request.shared_prefix >= 0 && request.shared_prefix <= prompt.rows,
              "shared_prefix: expected 0 to the ", prompt.rows, " ids of text_ids, got ",
              request.shared_prefix);
  const std::int32_t shared = std::min(request.shared_prefix, last);
  const std::int32_t room = limits_.max_seq_len - last;
  TTSRT_CHECK(ConfigError, room >= 1, "text_ids: expected at most max_seq_len ",
              limits_.max_seq_len, " ids, got ", prompt.rows);
  step::Itinerary itinerary;
  itinerary.tokens = decode::compile_tokens(request, rules_, *prompt.ids, rules.slot);
  itinerary.rules = rules.slot;
  itinerary.forced_codes = rules.forced_codes;
  itinerary.draft_ids = prompt.ids;
  itinerary.stops = prefill_of(prompt, shared / step::kBlockSize * step::kBlockSize,
                               config_.decoder.has_positions);
  Stop decode = rows_from(prompt, last, 1, config_.decoder.has_positions);
  decode.program = kDecodeProgram;
  decode.repeats = steps_in_room(request, rules.max_steps, room, 1);
  if (last > 0) decode.follows = {static_cast<std::int32_t>(itinerary.stops.size()) - 1};
  itinerary.stops.push_back(std::move(decode));
  return itinerary;
}

// All ids are given, so all but the last are rows of one stop, and the ids behind them are scored.
step::Itinerary Itineraries::scores(Request&& request) const {
  refuse_beside_score(request);
  const auto count = static_cast<std::int32_t>(request.text_ids.size());
  TTSRT_CHECK(ConfigError, count >= 2 && count - 1 <= limits_.max_seq_len,
              "text_ids: expected 2 to ", limits_.max_seq_len + 1, " ids to score, got ", count);
  RowSource source =
      rows_of_ids("text_ids", std::move(request.text_ids), config_.vocab, limits_.max_seq_len + 1);
  source.rows = count - 1;
  if (config_.decoder.has_positions) source.position_table = 0;
  Stop stop;
  stop.program = kScoreProgram;
  stop.rows = {std::move(source)};
  step::Itinerary itinerary;
  itinerary.rules = decode::compile_rules(Request{}, rules_, 0, 0).slot;
  itinerary.rules.sampler.repetition_penalty = 1.0F;
  itinerary.stops.push_back(std::move(stop));
  return itinerary;
}

}  // namespace ttsrt::model::llm
