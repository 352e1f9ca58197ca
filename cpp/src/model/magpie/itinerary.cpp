#include "model/magpie/itinerary.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/check.h"
#include "decode/compile_rules.h"
#include "decode/options_check.h"
#include "decode/round_rules.h"
#include "model/request_rows.h"
#include "model/whole_request.h"

namespace ttsrt::model::magpie {
namespace {

using step::Branch;
using step::Input;
using step::RowSource;
using step::Stop;

// What a request's text and context become.
struct Prompt {
  RowSource text;             // for the text encoder, or
  bool is_encoded = false;    // its output already
  step::Rounds rounds;        // of a text in chunks, of which `text` is the first
  RowSource context_encoder;  // rows for the context encoder, or none
  RowSource context;          // rows in front of the audio, or none
};

// A text in chunks: its rows are those of the first one.
void prepare_chunks(Request& request, const Facts& facts, Prompt& prompt) {
  step::Rounds& rounds = prompt.rounds;
  std::vector<step::Round> all = decode::rounds_of(request, facts.max_text_len);
  if (all.size() < 2) return;
  check_ids("text_ids", request.text_ids, facts.text_vocab);
  rounds.all = std::move(all);
  std::vector<std::int32_t> first(request.text_ids.begin(),
                                  request.text_ids.begin() + rounds.all.front().rows);
  rounds.ids =
      std::make_shared<const std::vector<std::int32_t>>(std::exchange(request.text_ids, first));
}

void prepare_text(Request& request, const Facts& facts, Prompt& prompt) {
  const int given = (request.text_ids.empty() ? 0 : 1) + (is_given(request.text_features) ? 1 : 0) +
                    (is_given(request.encoder_output) ? 1 : 0);
  TTSRT_CHECK(
      ConfigError, given == 1,
      "text: expected exactly one of text_ids, text_features, encoder_output, not empty; got ",
      given);
  TTSRT_CHECK(ConfigError, request.text_chunks.empty() || !request.text_ids.empty(),
              "text_chunks: expected text_ids with it");
  if (!request.text_chunks.empty()) prepare_chunks(request, facts, prompt);
  if (!request.text_ids.empty()) {
    prompt.text =
        rows_of_ids("text_ids", std::move(request.text_ids), facts.text_vocab, facts.max_text_len);
  } else if (is_given(request.text_features)) {
    prompt.text = rows_of_vectors("text_features", std::move(request.text_features), facts.dim,
                                  facts.max_text_len);
  } else {
    prompt.text = rows_of_vectors("encoder_output", std::move(request.encoder_output), facts.dim,
                                  facts.max_text_len);
    prompt.is_encoded = true;
  }
}

RowSource rows_of_codes(const std::string& what, Matrix<std::int32_t>&& codes, const Facts& facts) {
  TTSRT_CHECK(ConfigError, facts.takes_context_codes, what,
              ": this model has no context encoder; give a voice or embeddings");
  const std::int32_t stacking = facts.rules.frame_stacking;
  const std::int64_t most = std::int64_t{facts.max_input_len} * (facts.pads_context ? 1 : stacking);
  const bool fits = codes.cols == facts.rules.codebooks && codes.rows >= 1 && codes.rows <= most &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", most, ", ", facts.rules.codebooks,
              "], got [", codes.rows, ", ", codes.cols, "]");
  check_ids(what, codes.values, facts.codebook_vocab);
  RowSource source;
  source.input = Input::codes;
  source.ids_per_row = facts.rules.stack_codes();
  const auto stacks = static_cast<std::int32_t>((codes.rows + stacking - 1) / stacking);
  const auto width = static_cast<std::size_t>(source.ids_per_row);
  std::vector<std::int32_t> ids = std::move(codes.values);
  ids.resize(static_cast<std::size_t>(stacks) * width, 0);
  source.rows = facts.pads_context ? static_cast<std::int32_t>(codes.rows) : stacks;
  ids.resize(static_cast<std::size_t>(source.rows) * width, step::kZeroRow);
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(ids));
  return source;
}

RowSource context_of(Request& request, const Facts& facts, const VoiceFinder& voices) {
  const int given = (request.voice ? 1 : 0) + (is_given(request.context_codes) ? 1 : 0) +
                    (is_given(request.context_embeddings) ? 1 : 0) +
                    (request.context_text_ids.empty() ? 0 : 1);
  TTSRT_CHECK(ConfigError, given == 1,
              "context: expected exactly one of voice, context_codes, context_embeddings, "
              "context_text_ids; got ",
              given);
  if (request.voice) return voices.find(*request.voice)->parts.front();
  if (is_given(request.context_embeddings)) {
    return rows_of_vectors("context_embeddings", std::move(request.context_embeddings), facts.dim,
                           facts.max_input_len);
  }
  if (!request.context_text_ids.empty()) {
    TTSRT_CHECK(ConfigError, facts.context_text_vocab > 0,
                "context_text_ids: this model takes no text for its context");
    return rows_of_ids("context_text_ids", std::move(request.context_text_ids),
                       facts.context_text_vocab, facts.max_input_len, facts.context_text_table);
  }
  return rows_of_codes("context_codes", std::move(request.context_codes), facts);
}

void prepare_context(Request& request, const Facts& facts, const VoiceFinder& voices,
                     Prompt& prompt) {
  const bool is_memory = facts.context_route == ContextRoute::memory;
  const bool is_voice = request.voice.has_value();
  RowSource source = context_of(request, facts, voices);
  TTSRT_CHECK(ConfigError, !is_memory || source.input != Input::vectors,
              is_voice ? "voice" : "context_embeddings",
              ": this model reads its context through an encoder; give context_codes");
  if (facts.context_route == ContextRoute::rows || source.input == Input::vectors) {
    prompt.context = std::move(source);
    return;
  }
  if (!is_memory) {
    prompt.context.input = Input::kept_rows;
    prompt.context.rows = source.rows;
  }
  prompt.context_encoder = std::move(source);
}

std::int32_t room_behind(std::int32_t context_rows, const Facts& facts) {
  const std::int32_t room = facts.max_seq_len - context_rows;
  TTSRT_CHECK(ConfigError, room >= 1, "context: expected fewer rows than max_seq_len ",
              facts.max_seq_len, ", got ", context_rows);
  return room;
}

// Each round makes as many steps as the checkpoint's default at most, as in the original, and all
// of them together as many frames as the request asks for.
void limit_rounds(const Request& request, const Facts& facts, std::int32_t room,
                  step::Rounds& rounds, std::int32_t& steps) {
  const std::int32_t stacking = facts.rules.frame_stacking;
  rounds.steps = std::min(std::max(facts.rules.max_frames / stacking, 1), room);
  const std::int64_t most = static_cast<std::int64_t>(rounds.all.size()) * rounds.steps * stacking;
  rounds.frames = static_cast<std::int32_t>(
      std::min<std::int64_t>(most, request.max_frames.value_or(decode::kMaxFrames)));
  steps = std::min(rounds.steps, rounds.frames / stacking);
}

// Adds learned positions from 0 on.
RowSource positioned(RowSource source, std::int32_t first_position = 0) {
  source.position_table = 0;
  source.first_position = first_position;
  return source;
}

Stop stop_of(std::int32_t program, Branch branch = Branch::conditional) {
  Stop stop;
  stop.program = program;
  stop.branch = branch;
  return stop;
}

// The unconditional context: zeros and positions, the same for every request of this length.
Stop unconditional_stop(const Facts& facts, std::int32_t rows) {
  Stop stop = stop_of(facts.programs.prefill, Branch::unconditional);
  RowSource zeros;
  zeros.rows = rows;
  stop.rows = {positioned(zeros)};
  if (facts.shares_unconditional) stop.shared = step::PrefixKey{"unconditional", rows};
  return stop;
}

Stop decode_stop(const Facts& facts, const decode::CompiledRules& rules,
                 std::int32_t context_rows) {
  Stop stop = stop_of(facts.programs.decode);
  RowSource bos;
  bos.input = Input::codes;
  bos.rows = 1;
  bos.ids_per_row = facts.rules.stack_codes();
  bos.ids = std::make_shared<const std::vector<std::int32_t>>(
      static_cast<std::size_t>(bos.ids_per_row), facts.bos_id);
  stop.rows = {positioned(bos, context_rows)};
  stop.position = context_rows;
  stop.num_branches = rules.is_guided ? 2 : 1;
  stop.repeats = rules.max_steps;
  stop.applies_prior = true;
  return stop;
}

// The stop that encodes each next window; the text's own returns its rows.
void add_rounds(const Facts& facts, std::vector<std::int32_t>&& again, step::Rounds& rounds,
                std::vector<Stop>& stops) {
  stops.front().returns_rows = true;
  Stop ahead = stop_of(facts.programs.encode_text);
  ahead.returns_rows = true;
  ahead.keeps_rows = false;
  RowSource window = stops.front().rows.front();
  const step::Round& next = rounds.all[1];
  const auto from = rounds.ids->begin() + next.first;
  window.rows = next.rows;
  window.ids = std::make_shared<const std::vector<std::int32_t>>(from, from + next.rows);
  ahead.rows = {std::move(window)};
  rounds.text = 0;
  rounds.ahead = static_cast<std::int32_t>(stops.size());
  rounds.project = facts.programs.project_memory;
  rounds.again = std::move(again);
  stops.push_back(std::move(ahead));
}

std::vector<Stop> stops_of(Prompt&& prompt, const Facts& facts, const decode::CompiledRules& rules,
                           bool has_sound, step::Rounds* rounds) {
  const std::int32_t context_rows = prompt.context.rows;
  std::vector<Stop> stops;
  stops.push_back(
      stop_of(prompt.is_encoded ? facts.programs.project_memory : facts.programs.encode_text));
  stops.back().rows = {prompt.is_encoded ? prompt.text : positioned(std::move(prompt.text))};
  if (prompt.context_encoder.rows > 0) {
    stops.push_back(stop_of(facts.programs.encode_context));
    stops.back().rows = {positioned(std::move(prompt.context_encoder))};
  }
  std::vector<std::int32_t> encoded(stops.size());
  std::iota(encoded.begin(), encoded.end(), 0);
  std::int32_t replaying = -1;
  std::vector<std::int32_t> again;
  if (context_rows > 0 || rules.recomputes_prior) {
    Stop stop = stop_of(facts.programs.prefill);
    if (context_rows > 0) stop.rows = {positioned(std::move(prompt.context))};
    stop.follows = encoded;
    stop.applies_prior = rules.recomputes_prior;
    if (rules.recomputes_prior) replaying = static_cast<std::int32_t>(stops.size());
    again.push_back(static_cast<std::int32_t>(stops.size()));
    stops.push_back(std::move(stop));
  }
  if (rules.is_guided && context_rows > 0) {
    if (!facts.shares_unconditional) again.push_back(static_cast<std::int32_t>(stops.size()));
    stops.push_back(unconditional_stop(facts, context_rows));
  }
  const auto decode = static_cast<std::int32_t>(stops.size());
  if (replaying >= 0) stops[static_cast<std::size_t>(replaying)].replays = decode;
  Stop stop = decode_stop(facts, rules, context_rows);
  for (std::int32_t i = 0; i < decode; ++i) stop.follows.push_back(i);
  stops.push_back(std::move(stop));
  if (has_sound) {
    stops.push_back(stop_of(facts.programs.decode_codes));
    stops.back().reads = decode;
  }
  if (rounds != nullptr) add_rounds(facts, std::move(again), *rounds, stops);
  return stops;
}

}  // namespace

Voice Itineraries::voice_of_vectors(Matrix<float>&& rows) const {
  TTSRT_CHECK(ConfigError, facts_.context_route != ContextRoute::memory,
              "add_voice: embeddings: this model takes no context rows; give codes");
  return {{rows_of_vectors("add_voice: embeddings", std::move(rows), facts_.dim,
                           facts_.max_input_len)}};
}

Voice Itineraries::voice_of_codes(Matrix<std::int32_t>&& codes) const {
  return {{rows_of_codes("add_voice: codes", std::move(codes), facts_)}};
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  refuse_speaker_options(request);
  refuse_flow_options(request);
  Prompt prompt;
  prepare_text(request, facts_, prompt);
  prepare_context(request, facts_, voices, prompt);
  const std::int32_t memory_rows =
      facts_.context_route == ContextRoute::memory ? prompt.context_encoder.rows : 0;
  decode::CompiledRules rules =
      decode::compile_rules(request, facts_.rules, prompt.text.rows, memory_rows);
  const std::int32_t room = room_behind(prompt.context.rows, facts_);
  step::Itinerary itinerary;
  itinerary.text_len = prompt.text.rows;
  itinerary.rounds = std::move(prompt.rounds);
  step::Rounds& rounds = itinerary.rounds;
  if (rounds.is_empty()) {
    rules.max_steps = steps_in_room(request, rules.max_steps, room, facts_.rules.frame_stacking);
  } else {
    decode::start_rounds(request, rules);
    limit_rounds(request, facts_, room, rounds, rules.max_steps);
    for (const step::Round& round : rounds.all)
      itinerary.text_len = std::max(itinerary.text_len, round.rows);
  }
  itinerary.rules = rules.slot;
  itinerary.forced_codes = rules.forced_codes;
  const bool has_sound = facts_.programs.decode_codes >= 0 && !request.codes_only;
  itinerary.stops =
      stops_of(std::move(prompt), facts_, rules, has_sound, rounds.is_empty() ? nullptr : &rounds);
  return itinerary;
}

}  // namespace ttsrt::model::magpie
