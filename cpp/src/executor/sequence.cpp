#include "executor/sequence.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace ttsrt::executor {
namespace {

std::int32_t index_of_stepwise(const std::vector<step::Stop>& stops, const Site& site) {
  const auto found = std::find_if(stops.begin(), stops.end(), [&](const step::Stop& stop) {
    return site.program(stop).pace == step::Pace::stepwise;
  });
  return found == stops.end() ? -1 : static_cast<std::int32_t>(found - stops.begin());
}

// What fed the first step, as the step before it would have: its codes, or zeros.
std::vector<std::int32_t> first_stack(const step::Stop& stop, std::size_t width) {
  const step::RowSource& source = stop.rows.front();
  if (source.input == step::Input::codes && source.ids->size() == width) return *source.ids;
  return std::vector<std::int32_t>(width, 0);
}

}  // namespace

Sequence::Sequence(Pending&& pending, std::int32_t the_slot, const Site& site, bool is_traced)
    : request(std::move(pending.request)),
      channel(std::move(pending.channel)),
      slot(the_slot),
      progress(request.itinerary.stops.size()),
      prefixes(request.itinerary.stops.size(), nullptr),
      stepwise(index_of_stepwise(request.itinerary.stops, site)),
      first_sequel(request.itinerary.stops.size()),
      blocks(pending.blocks),
      frame_rate(site.facts.is_speech ? site.facts.frame_rate : 0.0),
      sample_rate(site.facts.sample_rate),
      submitted(pending.submitted) {
  if (stepwise < 0) return;
  const auto width = static_cast<std::size_t>(site.facts.stack_codes());
  const step::Stop& of = stop(stepwise);
  const auto steps = static_cast<std::size_t>(
      of.block_rows > 0 ? (of.block_frames + of.block_rows - 1) / of.block_rows : of.repeats);
  const step::Rounds& rounds = request.itinerary.rounds;
  const auto stacking = static_cast<std::size_t>(site.facts.frame_stacking);
  const std::size_t all_steps =
      rounds.is_empty() ? steps : static_cast<std::size_t>(rounds.frames) / stacking + 1;
  stacks.reserve((all_steps + 1) * width);
  const std::vector<std::int32_t> start = first_stack(of, width);
  stacks.insert(stacks.end(), start.begin(), start.end());
  fed_codes = start.size();
  round_begin = fed_codes;
  focus.reserve(all_steps);
  if (request.return_positions) text_positions.reserve(all_steps);
  const std::size_t most = rounds.all.size() + static_cast<std::size_t>(rounds.later) + 1;
  chunk_steps.reserve(most);
  chunk_frames.reserve(most);
  if (is_followed()) {  // by a codec: each frame becomes as many samples
    frame_samples = static_cast<std::int32_t>(std::lround(site.facts.sample_rate / frame_rate));
    std::size_t silent = 0;
    if (!request.itinerary.silences.empty()) {
      silences.reserve(request.itinerary.silences.size());
      silences.push_back({0, request.itinerary.silences.front()});
      silent = static_cast<std::size_t>(silences.front().samples);
    }
    samples.reserve(silent + steps * stacking * static_cast<std::size_t>(frame_samples));
  }
  if (request.return_alignment)
    alignment.reserve(steps * static_cast<std::size_t>(request.itinerary.text_len));
  if (request.speculation.source == decode::DraftSource::lookup)
    drafting = std::make_unique<LookupDrafting>(request.speculation, request.itinerary, of.repeats);
  if (request.speculation.source == decode::DraftSource::model) {
    auto by_model =
        std::make_unique<ModelDrafting>(request.speculation, request.itinerary, of.repeats);
    guesses = by_model.get();
    drafting = std::move(by_model);
  }
  if (is_traced) mirror = std::make_unique<decode::PriorMirror>(request.itinerary.rules);
}

std::int32_t rows_in(const std::vector<step::RowSource>& sources) {
  return std::accumulate(
      sources.begin(), sources.end(), 0,
      [](std::int32_t rows, const step::RowSource& source) { return rows + source.rows; });
}

std::int32_t Sequence::own_blocks() const {
  std::int32_t own = blocks;
  for (auto at = prefixes.begin(); at != prefixes.end(); ++at) {
    const bool is_first = *at != nullptr && std::find(prefixes.begin(), at, *at) == at;
    if (is_first) own -= (*at)->table.size();
  }
  return own;
}

std::int32_t Sequence::step_rows() const {
  const step::Stop& of = stop(stepwise);
  return of.block_rows > 0 ? std::min(of.block_rows, of.block_frames - final_rows) : 1;
}

void Sequence::draft(bool may_speculate) {
  num_drafts = 0;
  waits_for_drafts = drafting != nullptr && may_speculate && !steps_end.has_value();
  if (!waits_for_drafts || open_steps > 0) return;
  num_drafts = drafting->propose(steps_left() - 1);
}

std::int32_t Sequence::rows_of(std::int32_t index) const {
  const step::Stop& of = stop(index);
  if (of.windows != nullptr) {
    const std::int32_t next = std::min(progress_of(index).planned_repeats, of.repeats - 1);
    return (*of.windows)[static_cast<std::size_t>(next)].rows;
  }
  std::int32_t rows = rows_in(of.rows);
  if (of.replays >= 0) rows += round_steps();
  if (of.reads >= 0) rows += read_rows(of);
  return rows;
}

std::int32_t Sequence::read_rows(const step::Stop& stop) const {
  if (steps_end.has_value()) return frames;
  const std::int32_t ready = frames - stop.frames_ahead;
  const std::int32_t first = std::max(stop.first_chunk, 1);
  const std::int32_t rows = ready < first ? 0 : first + (ready - first) / stop.chunk * stop.chunk;
  // What silence stands behind need not wait for what comes after it.
  const std::int32_t before_silence = silences.empty() ? 0 : silences.back().frame;
  return std::max(rows, std::min(before_silence, ready));
}

double Sequence::silent_frames() const {
  if (silences.empty()) return 0.0;
  return static_cast<double>(samples.size()) / frame_samples - sound_rows;
}

double Sequence::lead_of(std::int32_t index) const {
  const bool has_windows = stop(index).windows != nullptr;
  const std::int32_t rows = has_windows ? sound_rows : progress_of(index).planned_rows;
  if (rows == 0) return StopView::kUnheard;
  const double seconds = has_windows
                             ? static_cast<double>(samples.size()) / std::max(sample_rate, 1)
                             : (rows + silent_frames()) / frame_rate;
  if (first_audio == Clock::time_point{}) return seconds;
  const std::chrono::duration<double> played = Clock::now() - first_audio;
  return seconds - played.count();
}

// Frames count from when they are there: a step that is launched ends before the next plan, or the
// plan is one of a device that takes all requests in about the time of one.
double Sequence::lead_of_steps() const {
  if (frame_rate == 0.0 || makes_sound() || waits_for_text()) return StopView::kNobody;
  if (frames == 0) return StopView::kUnheard;
  const std::chrono::duration<double> played = Clock::now() - first_frame;
  return frames / frame_rate - played.count();
}

bool Sequence::has_next_round() const {
  return knows_next_round() || request.itinerary.rounds.later > 0;
}

bool Sequence::knows_next_round() const {
  return static_cast<std::size_t>(round) + 1 < request.itinerary.rounds.all.size();
}

bool Sequence::waits_for_text() const {
  return waits_for_round && open_steps == 0 && !knows_next_round();
}

std::int32_t Sequence::text_begin() const {
  const step::Rounds& rounds = request.itinerary.rounds;
  return rounds.is_empty() ? 0 : rounds.all[static_cast<std::size_t>(round)].first;
}

// Whether nothing is left to encode ahead.
bool Sequence::is_idle(std::int32_t index) const {
  const step::Rounds& rounds = request.itinerary.rounds;
  return !rounds.is_empty() && index == rounds.ahead && (!has_next_round() || steps_end);
}

// The next window waits until this round makes steps, and a codec that follows them sound: nothing
// may come before what is heard first.
bool Sequence::may_look_ahead() const {
  if (!knows_next_round()) return false;
  if (waits_for_round) return true;
  return round_steps() > 0 && (!is_followed() || first_audio != Clock::time_point{});
}

bool Sequence::is_followed() const {
  return std::any_of(stops().begin(), stops().end(),
                     [](const step::Stop& stop) { return stop.reads >= 0; });
}

std::int32_t Sequence::event_frames() const {
  const bool is_first = frames_sent == 0 && sound_rows_sent == 0;
  return is_first ? request.initial_chunk_frames : request.chunk_frames;
}

bool Sequence::is_planned(std::int32_t index) const {
  if (index == stepwise && (steps_end.has_value() || waits_for_round)) return true;
  if (is_idle(index)) return true;
  const step::Stop& of = stop(index);
  if (of.reads >= 0 && !steps_end.has_value()) return false;
  if (of.replays >= 0 && steps() != planned_steps()) return false;  // its rows aren't known yet
  if (const Prefix* prefix = prefix_of(index)) return prefix->planned == prefix->rows();
  const StopProgress& at = progress_of(index);
  return at.planned_repeats >= of.repeats ||
         (index != stepwise && at.planned_rows == rows_of(index) && of.repeats == 1);
}

bool Sequence::is_committed(std::int32_t index) const {
  if (index == stepwise && steps_end.has_value()) return true;
  if (index == stepwise && has_next_round()) return false;
  if (is_idle(index)) return true;
  const step::Stop& of = stop(index);
  if (of.replays >= 0) return steps_end.has_value();
  if (of.reads >= 0 && !steps_end.has_value()) return false;
  if (const Prefix* prefix = prefix_of(index)) return prefix->committed == prefix->rows();
  const StopProgress& at = progress_of(index);
  return at.committed_repeats >= of.repeats ||
         (index != stepwise && at.committed_rows == rows_of(index) && of.repeats == 1);
}

bool Sequence::is_all_committed() const {
  if (has_sequel()) return false;
  for (std::size_t i = 0; i < progress.size(); ++i) {
    if (!is_committed(static_cast<std::int32_t>(i))) return false;
  }
  return true;
}

SequenceView Sequence::view() const {
  SequenceView view;
  view.slot = slot;
  view.priority = request.priority;
  view.num_stops = static_cast<std::int32_t>(progress.size());
  for (std::int32_t i = 0; i < view.num_stops; ++i) {
    const step::Stop& of = stop(i);
    StopView& into = view.stops[static_cast<std::size_t>(i)];
    into.program = of.program;
    into.is_complete = is_planned(i);
    for (const std::int32_t other : of.follows) into.follows |= 1U << other;
    if (const Prefix* prefix = prefix_of(i)) {
      into.prefix = prefix->id;
      into.first = prefix->planned;
      into.rows = prefix->rows();
      continue;
    }
    const bool is_step = i == stepwise;
    into.first = is_step ? progress_of(i).planned_repeats : progress_of(i).planned_rows;
    into.rows = rows_of(i);
    const bool is_last_repeat = progress_of(i).planned_repeats + 1 >= of.repeats;
    into.is_final = is_last_repeat && (of.reads < 0 || steps_end.has_value());
    into.lead = is_step ? lead_of_steps() : lead_of(i);
    if (of.reads < 0 && of.first_chunk > 0 && into.first == 0 && into.rows > of.first_chunk) {
      into.rows = of.first_chunk;  // the rest behind it
      into.is_final = false;
    }
    // Replayed rows are the outputs of steps: known once those are collected.
    if (of.replays >= 0 || of.block_rows > 0) into.can_go_on = steps() == planned_steps();
    if (is_step && drafting != nullptr) {
      into.can_go_on = !waits_for_drafts || open_steps == 0;
      into.drafts = num_drafts;
      into.gain = drafting->gain();
    }
    if (!request.itinerary.rounds.is_empty() && i == request.itinerary.rounds.ahead)
      into.can_go_on = may_look_ahead();
  }
  return view;
}

RequestStats Sequence::stats(const Site& site) const {
  RequestStats stats;
  stats.id = channel->id();
  stats.stage = RequestStage::context_in_progress;
  if (steps() > 0 || sound_rows > 0) stats.stage = RequestStage::generation_in_progress;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(progress.size()); ++i) {
    const step::Stop& of = stop(i);
    const step::Pace pace = site.program(of).pace;
    if (pace == step::Pace::whole && !is_committed(i) && steps() == 0)
      stats.stage = RequestStage::encoder_in_progress;
    if (pace != step::Pace::chunked || of.branch != step::Branch::conditional || of.reads >= 0)
      continue;
    const std::int32_t brought = rows_in(of.rows);
    const Prefix* prefix = prefix_of(i);
    const std::int32_t done = prefix != nullptr ? prefix->committed : progress_of(i).committed_rows;
    stats.context_prefill_position += steps() > 0 ? brought : std::min(done, brought);
  }
  stats.num_generated_tokens = frames * site.facts.codebooks;
  stats.scheduled = is_scheduled;
  stats.paused = !is_scheduled;
  return stats;
}

Matrix<std::int32_t> frames_of(const Sequence& sequence, std::int32_t codebooks, std::int32_t first,
                               std::int32_t count) {
  Matrix<std::int32_t> codes;
  codes.rows = count;
  codes.cols = codebooks;
  if (count == 0) return codes;
  // Frames lie one behind the other, behind the stack that fed the first step.
  const auto from = sequence.stacks.begin() + static_cast<std::ptrdiff_t>(sequence.fed_codes) +
                    std::int64_t{first} * codebooks;
  codes.values.assign(from, from + std::int64_t{count} * codebooks);
  return codes;
}

}  // namespace ttsrt::executor
