#include "model/t3/itinerary.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/sha256.h"
#include "decode/compile_rules.h"
#include "model/causal_decoder.h"
#include "model/request_rows.h"

namespace ttsrt::model::t3 {
namespace {

using step::Branch;
using step::Input;
using step::RowSource;
using step::Stop;

// Position tables of models whose learned positions restart.
constexpr std::int32_t kTextPositions = 0;
constexpr std::int32_t kSpeechPositions = 1;

RowSource prefix_of(Request& request, const VoiceFinder& voices, const Config& config,
                    const Limits& limits) {
  const int given = (request.voice ? 1 : 0) + (is_given(request.context_embeddings) ? 1 : 0);
  TTSRT_CHECK(ConfigError, given == 1,
              "context: expected exactly one of voice, context_embeddings; got ", given);
  if (request.voice) return *voices.find(*request.voice);
  return rows_of_vectors("context_embeddings", std::move(request.context_embeddings),
                         config.decoder.dim, limits.max_input_len);
}

// Equal rows give equal keys and values, whoever sends them and whichever branch they stand in.
step::PrefixKey key_of(const RowSource& prefix) {
  const std::vector<float>& values = *prefix.vectors;
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {"prefix " + sha256_hex(bytes, values.size() * sizeof(float)), prefix.rows};
}

// The rows of one request.
class Rows {
 public:
  Rows(const Config& config, RowSource prefix, RowSource text)
      : config_(config), prefix_(std::move(prefix)), text_(std::move(text)) {}

  std::int32_t text_begin() const { return prefix_.rows; }
  std::int32_t decode_begin() const { return prefix_.rows + text_.rows + config_.start_rows - 1; }

  Stop prefix(Branch branch) const {
    Stop stop = stop_at(0, branch);
    stop.rows = {placed(prefix_, 0)};
    stop.shared = key_of(prefix_);
    return stop;
  }

  // Text and the start rows before the last. The unconditional branch has zeros for the text; the
  // learned positions stay.
  Stop text(Branch branch) const {
    Stop stop = stop_at(text_begin(), branch);
    RowSource rows = text_;
    if (branch == Branch::unconditional) {
      rows = {};
      rows.rows = text_.rows;
    }
    stop.rows = {placed(with_restart(rows, kTextPositions), text_begin())};
    if (config_.start_rows > 1) {
      RowSource start = start_row(config_.start_rows - 1);
      stop.rows.push_back(placed(std::move(start), text_begin() + text_.rows));
    }
    return stop;
  }

  Stop decode(const decode::CompiledRules& rules) const {
    Stop stop = stop_at(decode_begin(), Branch::conditional);
    stop.program = kDecodeProgram;
    stop.rows = {placed(start_row(1), decode_begin())};
    stop.num_branches = rules.is_guided ? 2 : 1;
    stop.repeats = rules.max_steps;
    return stop;
  }

 private:
  static Stop stop_at(std::int32_t position, Branch branch) {
    Stop stop;
    stop.program = kPrefillProgram;
    stop.branch = branch;
    stop.position = position;
    return stop;
  }

  RowSource with_restart(RowSource source, std::int32_t table) const {
    if (config_.restarts_positions()) source.position_table = table;
    return source;
  }

  RowSource start_row(std::int32_t rows) const {
    RowSource source;
    source.input = Input::codes;
    source.rows = rows;
    source.ids = std::make_shared<const std::vector<std::int32_t>>(static_cast<std::size_t>(rows),
                                                                   config_.bos_id);
    return with_restart(std::move(source), kSpeechPositions);
  }

  // Where the decoder has learned positions of its own, they count every row.
  RowSource placed(RowSource source, std::int32_t position) const {
    if (config_.decoder.has_positions) {
      source.position_table = 0;
      source.first_position = position;
    }
    return source;
  }

  const Config& config_;
  RowSource prefix_;
  RowSource text_;
};

std::int32_t steps_in(const Request& request, const Config& config, const Limits& limits,
                      std::int32_t position, std::int32_t steps) {
  std::int32_t room = limits.max_seq_len - position;
  if (config.restarts_positions()) room = std::min(room, config.speech_positions);
  TTSRT_CHECK(ConfigError, room >= 1,
              "text_ids: expected prefix and text to leave room for speech ", "in max_seq_len ",
              limits.max_seq_len, ", got ", position, " rows");
  return steps_in_room(request, steps, room, 1);
}

// The penalty comes before the temperature, and BOS counts as seen.
void order_processors(const Config& config, rules::SamplerRules& sampler) {
  using rules::Processor;
  constexpr Processor kOrder[rules::kMaxProcessors] = {Processor::repetition_penalty,
                                                       Processor::temperature, Processor::top_k,
                                                       Processor::min_p, Processor::top_p};
  std::copy(std::begin(kOrder), std::end(kOrder), sampler.order);
  sampler.num_seen_first = 1;
  sampler.seen_first[0] = config.bos_id;
}

}  // namespace

RowSource Itineraries::voice_of_vectors(Matrix<float>&& rows) const {
  return rows_of_vectors("add_voice: embeddings", std::move(rows), config_.decoder.dim,
                         limits_.max_input_len);
}

RowSource Itineraries::voice_of_codes(Matrix<std::int32_t>&& /*codes*/) const {
  throw ConfigError("add_voice: codes: this model's voices are embeddings");
}

step::Itinerary Itineraries::itinerary(Request&& request, const VoiceFinder& voices) const {
  refuse_encoder_options(request);
  TTSRT_CHECK(ConfigError, !request.text_ids.empty(), "text_ids: expected at least one id");
  RowSource prefix = prefix_of(request, voices, config_, limits_);
  RowSource text = rows_of_ids("text_ids", std::move(request.text_ids), config_.text_vocab,
                               limits_.max_encoder_input_len);
  decode::CompiledRules rules = decode::compile_rules(request, rules_, 0, 0);
  const Rows rows(config_, std::move(prefix), std::move(text));
  rules.max_steps = steps_in(request, config_, limits_, rows.decode_begin(), rules.max_steps);

  step::Itinerary itinerary;
  itinerary.rules = rules.slot;
  itinerary.forced_codes = rules.forced_codes;
  order_processors(config_, itinerary.rules.sampler);
  std::vector<Stop>& stops = itinerary.stops;
  for (const Branch branch : {Branch::conditional, Branch::unconditional}) {
    if (branch == Branch::unconditional && !rules.is_guided) continue;
    const auto first = static_cast<std::int32_t>(stops.size());
    stops.push_back(rows.prefix(branch));
    stops.push_back(rows.text(branch));
    stops.back().follows = {first};
  }
  Stop decode = rows.decode(rules);
  for (std::size_t i = 0; i < stops.size(); ++i)
    decode.follows.push_back(static_cast<std::int32_t>(i));
  stops.push_back(std::move(decode));
  return itinerary;
}

}  // namespace ttsrt::model::t3
