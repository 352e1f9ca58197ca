#include "executor/rounds.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/check.h"
#include "decode/round_rules.h"
#include "executor/silence.h"

namespace ttsrt::executor {
namespace {

const step::Round& round_of(const Sequence& sequence, std::int32_t ahead = 0) {
  const std::int32_t round = sequence.round + ahead;
  return sequence.request.itinerary.rounds.all[static_cast<std::size_t>(round)];
}

// Steps that the frames which are left have room for.
std::int32_t steps_left(const Sequence& sequence, const step::Facts& facts) {
  const step::Rounds& rounds = sequence.request.itinerary.rounds;
  return std::min(rounds.steps, (rounds.frames - sequence.frames) / facts.frame_stacking);
}

// The next window's text: the last rows of this one's, and the new ones behind them.
std::shared_ptr<const std::vector<float>> next_window(const Sequence& sequence) {
  const step::Round& next = round_of(sequence, 1);
  const auto rows = static_cast<std::size_t>(next.rows);
  TTSRT_CHECK(InternalError, sequence.window != nullptr && sequence.ahead.size() % rows == 0,
              "rounds: expected the text of ", rows, " rows, encoded");
  const std::size_t width = sequence.ahead.size() / rows;
  const auto kept = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(next.history) * width);
  std::vector<float> window(sequence.window->end() - kept, sequence.window->end());
  window.reserve(rows * width);
  window.insert(window.end(), sequence.ahead.begin() + kept, sequence.ahead.end());
  return std::make_shared<const std::vector<float>>(std::move(window));
}

// The text of a later round comes encoded.
void give_window(Sequence& sequence, step::Stop& text, std::int32_t rows) {
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = rows;
  source.vectors = sequence.window;
  text.program = sequence.request.itinerary.rounds.project;
  text.rows = {std::move(source)};
  text.returns_rows = false;
}

void look_ahead(Sequence& sequence, step::Stop& ahead) {
  if (!sequence.knows_next_round()) return;
  const step::Round& next = round_of(sequence, 1);
  const auto from = sequence.request.itinerary.rounds.ids->begin() + next.first;
  step::RowSource& source = ahead.rows.front();
  source.rows = next.rows;
  source.ids = std::make_shared<const std::vector<std::int32_t>>(from, from + next.rows);
}

// Puts what a round brings in the place of what was there, or runs that again.
void place_stops(Sequence& sequence, const step::Round& round) {
  step::Itinerary& itinerary = sequence.request.itinerary;
  if (round.beginning != nullptr) {
    for (const auto& [index, stop] : round.beginning->stops) {
      itinerary.stops[static_cast<std::size_t>(index)] = stop;
      sequence.progress_of(index) = {};
    }
    return;
  }
  for (const std::int32_t index : itinerary.rounds.again) {
    itinerary.stops[static_cast<std::size_t>(index)].applies_prior = true;
    sequence.progress_of(index) = {};
  }
}

// The rules of the round that begins.
void place_rules(Sequence& sequence, const step::Round& round) {
  step::Itinerary& itinerary = sequence.request.itinerary;
  if (round.beginning != nullptr) {
    itinerary.rules = round.beginning->rules;
    itinerary.rules.first_step = sequence.steps_before;
    itinerary.rules.first_end_step += sequence.steps_before;
  } else {
    const std::int32_t focus = sequence.focus.empty() ? 0 : sequence.focus.back() - round.first;
    itinerary.rules = decode::rules_of_round(itinerary.rules, round, !round.goes_on,
                                             sequence.steps_before, focus);
  }
  if (sequence.mirror) sequence.mirror = std::make_unique<decode::PriorMirror>(itinerary.rules);
}

// Room for what the round may make, so that its steps allocate nothing.
void make_room_for_round(Sequence& sequence, const step::Facts& facts) {
  const step::Itinerary& itinerary = sequence.request.itinerary;
  const auto steps = static_cast<std::size_t>(sequence.stop(sequence.stepwise).repeats);
  if (sequence.request.return_alignment)
    make_room_for(sequence.alignment, steps * static_cast<std::size_t>(itinerary.text_len));
  if (!sequence.is_followed()) return;
  const auto unheard = static_cast<std::size_t>(sequence.frames - sequence.sound_rows);
  const std::size_t frames = unheard + steps * static_cast<std::size_t>(facts.frame_stacking);
  std::size_t samples = frames * static_cast<std::size_t>(sequence.frame_samples);
  if (!itinerary.silences.empty()) {
    samples +=
        static_cast<std::size_t>(itinerary.silences[static_cast<std::size_t>(sequence.round)]);
  }
  make_room_for(sequence.samples, samples);
}

}  // namespace

void take_encoded(Sequence& sequence, std::int32_t stop, const step::RowsOutput& rows,
                  std::int32_t first, std::int32_t count) {
  const auto from = rows.values.begin() + first * rows.width;
  const auto end = from + count * rows.width;
  if (stop == sequence.request.itinerary.rounds.text) {
    sequence.window = std::make_shared<const std::vector<float>>(from, end);
  } else {
    sequence.ahead.assign(from, end);
  }
}

std::optional<FinishReason> end_round(Sequence& sequence, FinishReason reason,
                                      const step::Facts& facts) {
  sequence.chunk_steps.push_back(sequence.round_steps());
  sequence.chunk_frames.push_back(sequence.frames - sequence.frames_before);
  if (!sequence.has_next_round()) return reason;
  if (steps_left(sequence, facts) == 0) return FinishReason::length;
  sequence.waits_for_round = true;
  sequence.round_end = reason;
  const auto frames = static_cast<std::size_t>(sequence.frames);
  sequence.stacks.resize(sequence.fed_codes + frames * static_cast<std::size_t>(facts.codebooks));
  return std::nullopt;
}

void take_text(Sequence& sequence) {
  step::Rounds& rounds = sequence.request.itinerary.rounds;
  TextFeed* feed = sequence.channel->feed();
  if (feed == nullptr || rounds.later == 0) return;
  while (const std::optional<TextFeed::Chunk> chunk = feed->take()) {
    --rounds.later;
    if (chunk->ids.empty()) continue;
    auto ids = std::make_shared<std::vector<std::int32_t>>(*rounds.ids);
    ids->insert(ids->end(), chunk->ids.begin(), chunk->ids.end());
    rounds.ids = std::move(ids);
    rounds.all.push_back(chunk->round);
    const bool is_next = rounds.all.size() == static_cast<std::size_t>(sequence.round) + 2;
    if (is_next)
      look_ahead(sequence,
                 sequence.request.itinerary.stops[static_cast<std::size_t>(rounds.ahead)]);
  }
  if (!sequence.waits_for_round || sequence.has_next_round()) return;
  sequence.waits_for_round = false;  // what was to come speaks nothing
  sequence.steps_end = sequence.round_end;
}

bool can_begin_round(const Sequence& sequence) {
  if (!sequence.waits_for_round || sequence.open_steps > 0 || !sequence.knows_next_round())
    return false;
  const std::int32_t ahead = sequence.request.itinerary.rounds.ahead;
  return ahead < 0 || sequence.is_committed(ahead);
}

void begin_round(Sequence& sequence, const step::Facts& facts) {
  step::Itinerary& itinerary = sequence.request.itinerary;
  const step::Rounds& rounds = itinerary.rounds;
  if (rounds.text >= 0) sequence.window = next_window(sequence);
  sequence.steps_before = sequence.steps();
  sequence.frames_before = sequence.frames;
  ++sequence.round;
  sequence.waits_for_round = false;
  sequence.round_begin = sequence.stacks.size();
  const step::Round& round = round_of(sequence);
  place_rules(sequence, round);
  place_stops(sequence, round);
  const auto stop_at = [&itinerary](std::int32_t index) -> step::Stop& {
    return itinerary.stops[static_cast<std::size_t>(index)];
  };
  if (rounds.text >= 0) {
    give_window(sequence, stop_at(rounds.text), round.rows);
    look_ahead(sequence, stop_at(rounds.ahead));
    for (const std::int32_t index : {rounds.text, rounds.ahead}) sequence.progress_of(index) = {};
  }
  stop_at(sequence.stepwise).repeats = steps_left(sequence, facts);
  sequence.progress_of(sequence.stepwise) = {};
  sequence.is_slot_reset = false;
  make_room_for_round(sequence, facts);
  begin_silence(sequence);
}

void tell_rounds(const Sequence& sequence, Result& result) {
  result.chunk_steps = sequence.chunk_steps;
  result.chunk_frames = sequence.chunk_frames;
  if (result.chunk_steps.size() <= static_cast<std::size_t>(sequence.round)) {
    result.chunk_steps.push_back(sequence.round_steps());
    result.chunk_frames.push_back(sequence.frames - sequence.frames_before);
  }
  const step::Rounds& rounds = sequence.request.itinerary.rounds;
  for (std::int32_t i = 0; i <= sequence.round; ++i) {
    result.chunk_offsets.push_back(
        rounds.is_empty() ? 0 : rounds.all[static_cast<std::size_t>(i)].first);
  }
  for (std::size_t i = 0; i < sequence.next_silence; ++i)
    result.chunk_silences.push_back(sequence.silences[i].samples);
}

}  // namespace ttsrt::executor
