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
#include "model/magpie/context.h"
#include "model/request_rows.h"
#include "model/whole_request.h"

namespace ttsrt::model::magpie {
namespace {

using step::Branch;
using step::Input;
using step::RowSource;
using step::Stop;

constexpr std::int32_t kMaxLater = 1 << 16;

// What a request's text and context become.
struct Prompt {
  RowSource text;           // for the text encoder, or
  bool is_encoded = false;  // its output already
  step::Rounds rounds;      // of a text in chunks, of which `text` is the first
  Context context;          // of the first chunk
};

// A text in chunks: its rows are those of the first one.
void prepare_chunks(Request& request, const std::vector<bool>& begins, const Facts& facts,
                    Prompt& prompt) {
  step::Rounds& rounds = prompt.rounds;
  std::vector<step::Round> all = decode::rounds_of(request, facts.max_text_len, begins);
  if (all.size() < 2 && request.later_chunks == 0) return;
  check_ids("text_ids", request.text_ids, facts.text_vocab);
  rounds.all = std::move(all);
  rounds.later = request.later_chunks;
  rounds.vocab = facts.text_vocab;
  rounds.max_rows = facts.max_text_len;
  rounds.max_history = decode::history_of(request);
  if (rounds.later > 0) rounds.all.back().goes_on = true;
  std::vector<std::int32_t> first(request.text_ids.begin(),
                                  request.text_ids.begin() + rounds.all.front().rows);
  rounds.ids =
      std::make_shared<const std::vector<std::int32_t>>(std::exchange(request.text_ids, first));
}

void check_later(Request& request) {
  TTSRT_CHECK(ConfigError, request.later_chunks >= 0 && request.later_chunks <= kMaxLater,
              "later_chunks: expected 0 to ", kMaxLater, ", got ", request.later_chunks);
  if (request.later_chunks == 0) return;
  TTSRT_CHECK(ConfigError, !request.text_ids.empty(), "later_chunks: expected text_ids with it");
  TTSRT_CHECK(ConfigError, request.text_silences.empty() && request.text_voices.empty(),
              request.text_silences.empty() ? "text_voices" : "text_silences",
              ": expected none with later_chunks");
  if (request.text_chunks.empty())
    request.text_chunks.push_back(static_cast<std::int32_t>(request.text_ids.size()));
}

void prepare_text(Request& request, const std::vector<bool>& begins, const Facts& facts,
                  Prompt& prompt) {
  const int given = (request.text_ids.empty() ? 0 : 1) + (is_given(request.text_features) ? 1 : 0) +
                    (is_given(request.encoder_output) ? 1 : 0);
  TTSRT_CHECK(
      ConfigError, given == 1,
      "text: expected exactly one of text_ids, text_features, encoder_output, not empty; got ",
      given);
  TTSRT_CHECK(ConfigError, request.text_chunks.empty() || !request.text_ids.empty(),
              "text_chunks: expected text_ids with it");
  check_later(request);
  if (!request.text_chunks.empty()) prepare_chunks(request, begins, facts, prompt);
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

std::int32_t room_behind(std::int32_t context_rows, const Facts& facts) {
  const std::int32_t room = facts.max_seq_len - context_rows;
  TTSRT_CHECK(ConfigError, room >= 1, "context: expected fewer rows than max_seq_len ",
              facts.max_seq_len, ", got ", context_rows);
  return room;
}

// Each round makes as many steps as the checkpoint's default at most, as in the original, and all
// of them together as many frames as the request asks for. `room` is that behind the longest
// context.
void limit_rounds(const Request& request, const Facts& facts, std::int32_t room,
                  step::Rounds& rounds, std::int32_t& steps) {
  const std::int32_t stacking = facts.rules.frame_stacking;
  rounds.steps = std::min(std::max(facts.rules.max_frames / stacking, 1), room);
  const std::int64_t most =
      (static_cast<std::int64_t>(rounds.all.size()) + rounds.later) * rounds.steps * stacking;
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
Stop unconditional_stop(const Facts& facts, std::int32_t rows, bool is_shared) {
  Stop stop = stop_of(facts.programs.prefill, Branch::unconditional);
  RowSource zeros;
  zeros.rows = rows;
  stop.rows = {positioned(zeros)};
  if (is_shared) stop.shared = step::PrefixKey{"unconditional", rows};
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
  // Text that comes later takes the place of this one's.
  const step::Round& next = rounds.all.size() > 1 ? rounds.all[1] : rounds.all[0];
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

// What an itinerary is made of, beside its text and context.
struct Plan {
  const Facts& facts;
  bool has_sound = false;
  bool shares_unconditional = false;
};

// The stops of a text with a context, decode the last of them. `again` are those between that run
// again where the text goes on.
std::vector<Stop> stops_of(Stop&& text, const Context& context, const Plan& plan,
                           const decode::CompiledRules& rules, std::vector<std::int32_t>& again) {
  const Facts& facts = plan.facts;
  const std::int32_t context_rows = context.rows.rows;
  std::vector<Stop> stops;
  stops.push_back(std::move(text));
  if (context.encoder.rows > 0) {
    stops.push_back(stop_of(facts.programs.encode_context));
    stops.back().rows = {positioned(context.encoder)};
  }
  std::vector<std::int32_t> encoded(stops.size());
  std::iota(encoded.begin(), encoded.end(), 0);
  std::int32_t replaying = -1;
  if (context_rows > 0 || rules.recomputes_prior) {
    Stop stop = stop_of(facts.programs.prefill);
    if (context_rows > 0) stop.rows = {positioned(context.rows)};
    stop.follows = encoded;
    stop.applies_prior = rules.recomputes_prior;
    if (rules.recomputes_prior) replaying = static_cast<std::int32_t>(stops.size());
    again.push_back(static_cast<std::int32_t>(stops.size()));
    stops.push_back(std::move(stop));
  }
  if (rules.is_guided && context_rows > 0) {
    if (!plan.shares_unconditional) again.push_back(static_cast<std::int32_t>(stops.size()));
    stops.push_back(unconditional_stop(facts, context_rows, plan.shares_unconditional));
  }
  const auto decode = static_cast<std::int32_t>(stops.size());
  if (replaying >= 0) stops[static_cast<std::size_t>(replaying)].replays = decode;
  Stop stop = decode_stop(facts, rules, context_rows);
  for (std::int32_t i = 0; i < decode; ++i) stop.follows.push_back(i);
  stops.push_back(std::move(stop));
  return stops;
}

// The rules of a chunk that begins, as those of a text that it is the first or only chunk of.
decode::CompiledRules rules_of(const Request& request, const Speakers& speakers, std::size_t chunk,
                               const Context& context, std::int32_t text_rows, const Facts& facts) {
  const std::int32_t memory_rows =
      facts.context_route == ContextRoute::memory ? context.encoder.rows : 0;
  decode::CompiledRules rules = decode::compile_rules(request, facts.rules, text_rows, memory_rows);
  if (speakers.are_several()) decode::start_rounds(request, speakers.goes_on(chunk), rules);
  return rules;
}

// What rounds with another context than the one before bring: their own stops up to decode.
void add_beginnings(const Request& request, const Speakers& speakers, const Plan& plan,
                    step::Rounds& rounds) {
  std::size_t next = 1;
  for (std::size_t i = 1; i < rounds.all.size(); ++i) {
    if (!speakers.begins[i]) continue;
    const Context& context = speakers.contexts[next++];
    step::Round& round = rounds.all[i];
    const decode::CompiledRules rules =
        rules_of(request, speakers, i, context, round.rows, plan.facts);
    auto beginning = std::make_shared<step::Beginning>();
    beginning->rules = rules.slot;
    std::vector<std::int32_t> again;
    std::vector<Stop> stops = stops_of(Stop(), context, plan, rules, again);
    stops.back().repeats = rounds.steps;
    for (std::size_t stop = 1; stop < stops.size(); ++stop)
      beginning->stops.emplace_back(static_cast<std::int32_t>(stop), std::move(stops[stop]));
    round.beginning = std::move(beginning);
  }
}

Stop text_stop(const Prompt& prompt, const Facts& facts) {
  Stop stop =
      stop_of(prompt.is_encoded ? facts.programs.project_memory : facts.programs.encode_text);
  stop.rows = {prompt.is_encoded ? prompt.text : positioned(prompt.text)};
  return stop;
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
  Plan plan{facts_};
  plan.has_sound = facts_.programs.decode_codes >= 0 && !request.codes_only;
  TTSRT_CHECK(ConfigError, plan.has_sound || request.text_silences.empty(),
              "text_silences: expected none, as this request makes no sound");
  const Speakers speakers = speakers_of(request, facts_, voices);
  plan.shares_unconditional = facts_.shares_unconditional && speakers.contexts.size() == 1;
  Prompt prompt;
  prompt.context = speakers.contexts.front();
  prepare_text(request, speakers.begins, facts_, prompt);
  step::Itinerary itinerary;
  itinerary.text_len = prompt.text.rows;
  itinerary.rounds = std::move(prompt.rounds);
  itinerary.silences = std::move(request.text_silences);
  step::Rounds& rounds = itinerary.rounds;
  decode::CompiledRules rules =
      rules_of(request, speakers, 0, prompt.context, prompt.text.rows, facts_);
  std::int32_t room = room_behind(prompt.context.rows.rows, facts_);
  if (rounds.is_empty()) {
    rules.max_steps = steps_in_room(request, rules.max_steps, room, facts_.rules.frame_stacking);
  } else {
    for (const Context& context : speakers.contexts)
      room = std::min(room, room_behind(context.rows.rows, facts_));
    limit_rounds(request, facts_, room, rounds, rules.max_steps);
    for (const step::Round& round : rounds.all)
      itinerary.text_len = std::max(itinerary.text_len, round.rows);
    if (rounds.later > 0) itinerary.text_len = facts_.max_text_len;
    add_beginnings(request, speakers, plan, rounds);
  }
  itinerary.rules = rules.slot;
  itinerary.forced_codes = rules.forced_codes;
  std::vector<std::int32_t> again;
  itinerary.stops = stops_of(text_stop(prompt, facts_), prompt.context, plan, rules, again);
  const auto decode = static_cast<std::int32_t>(itinerary.stops.size()) - 1;
  if (plan.has_sound) {
    itinerary.stops.push_back(stop_of(facts_.programs.decode_codes));
    itinerary.stops.back().reads = decode;
  }
  if (!rounds.is_empty()) add_rounds(facts_, std::move(again), rounds, itinerary.stops);
  return itinerary;
}

}  // namespace ttsrt::model::magpie
