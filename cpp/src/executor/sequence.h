// A running request: how far each stop of its itinerary is, what it holds, what it made.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decode/prior_mirror.h"
#include "executor/channel.h"
#include "executor/drafting.h"
#include "executor/kv_cache.h"
#include "executor/request_check.h"
#include "executor/scheduler.h"
#include "step/facts.h"
#include "ttsrt/stats.h"

namespace ttsrt::executor {

using Clock = std::chrono::steady_clock;

// Whether a request's time, in seconds from its submission, is up.
inline bool is_expired(const std::optional<double>& deadline, Clock::time_point submitted,
                       Clock::time_point now) {
  return deadline && std::chrono::duration<double>(now - submitted).count() > *deadline;
}

// A request that waits for a slot.
struct Pending {
  PreparedRequest request;
  std::shared_ptr<Channel> channel;
  Clock::time_point submitted;
  std::int32_t blocks = 0;  // of the cache that it may come to hold
};

// What of a stop is launched, and what of that is collected. A shared prefix keeps its own rows.
struct StopProgress {
  std::int32_t planned_rows = 0;
  std::int32_t committed_rows = 0;
  std::int32_t planned_repeats = 0;
  std::int32_t committed_repeats = 0;
};

// What the loop and its helpers know of the network.
struct Site {
  const step::Facts& facts;
  const std::vector<step::ProgramInfo>& programs;

  const step::ProgramInfo& program(const step::Stop& stop) const {
    return programs[static_cast<std::size_t>(stop.program)];
  }
};

// Silence in a request's sound: behind so many frames, so many samples.
struct Silence {
  std::int32_t frame = 0;
  std::int32_t samples = 0;
};

constexpr std::size_t index_of(step::Branch branch) { return static_cast<std::size_t>(branch); }

struct Sequence {
  Sequence(Pending&& pending, std::int32_t the_slot, const Site& site, bool is_traced);

  PreparedRequest request;
  std::shared_ptr<Channel> channel;
  std::int32_t slot;

  // Progress.
  std::vector<StopProgress> progress;     // [stops]
  std::vector<Prefix*> prefixes;          // [stops] the shared prefix that a stop fills, or null
  std::int32_t stepwise = -1;             // the stop that makes steps, -1: none
  std::int32_t flights = 0;               // launches that name it and aren't collected
  bool is_slot_reset = false;             // a launch has reset the slot
  bool is_scheduled = false;              // the last launch carried it
  std::int32_t open_steps = 0;            // of those, the ones with a step of it
  std::optional<FinishReason> steps_end;  // why its steps ended, once they have
  std::optional<FinishReason> end;        // of the whole request; its later launches are dropped
  std::string error;                      // with FinishReason::error

  // Rounds of a long text (executor/rounds.h).
  std::int32_t round = 0;
  std::int32_t steps_before = 0;  // of the rounds before this one
  std::size_t round_begin = 0;    // in `stacks`: what the first step of this round made
  bool waits_for_round = false;   // its steps are over, and the next round has not begun
  FinishReason round_end = FinishReason::stop;  // with waits_for_round: why they are over
  // The text of this round's window, encoded [rows, dim], and that of the next one's as the encoder
  // gave it.
  std::shared_ptr<const std::vector<float>> window;
  std::vector<float> ahead;
  std::int32_t frames_before = 0;          // of the rounds before this one
  std::vector<std::int32_t> chunk_steps;   // of the rounds whose steps are over
  std::vector<std::int32_t> chunk_frames;  // of the same
  std::size_t chunks_sent = 0;             // of those, in events

  // What follows the codes (executor/sequel.h).
  std::size_t first_sequel = 0;  // stops in front of it
  std::int32_t part = 0;         // the next one that begins
  bool is_sequel_over = false;

  // Cache blocks: those it may come to hold, and those of each branch.
  std::int32_t blocks = 0;
  std::array<BlockTable, 2> tables;
  std::array<bool, 2> is_forked = {false, false};

  // Codes: the stack that fed the first step, then one stack per step [1 + steps, C*S]. When a
  // round ends, its last stack is cut to the frames that are kept. Reserved once.
  std::vector<std::int32_t> stacks;
  std::size_t fed_codes = 0;     // of the stack that fed the first step
  std::int32_t final_rows = 0;   // of blocks: rows of those that are final, before the current one
  std::int32_t frames = 0;       // codec frames made so far
  std::int32_t frames_sent = 0;  // of them, in events
  std::int32_t sound_rows = 0;   // rows that became samples or spectrogram rows
  std::int32_t sound_rows_sent = 0;
  std::vector<float> samples;
  std::size_t samples_sent = 0;
  double frame_rate = 1.0;         // of frames of speech; 0: they are text
  std::int32_t sample_rate = 0;    // of samples
  std::int32_t frame_samples = 0;  // of a frame, in models whose codes become sound
  std::vector<Silence> silences;   // those whose place is known, in order
  std::size_t next_silence = 0;    // of them, the first that is not in `samples`
  bool has_new_silence = false;    // silence that is in no event
  std::vector<float> spectrogram;  // [rows, bands]
  std::size_t spectrogram_sent = 0;
  std::int64_t bands = 0;
  std::vector<float> alignment;              // [steps, text_len]
  std::vector<std::int32_t> focus;           // [steps]
  std::vector<std::int32_t> text_positions;  // [steps]
  std::size_t text_positions_sent = 0;
  std::unique_ptr<Drafting> drafting;  // of its next step, if it speculates
  ModelDrafting* guesses = nullptr;    // the same, if a draft model guesses
  std::int32_t num_drafts = 0;         // of that step
  bool waits_for_drafts = false;       // that step is planned once no other is in flight
  std::vector<float> nll;              // of the ids behind rows that emitted logits
  Logprobs logprobs;                   // of all steps
  std::size_t logprobs_sent = 0;       // steps
  std::optional<std::int32_t> stop_id;
  std::vector<TraceEntry> trace;
  std::unique_ptr<decode::PriorMirror> mirror;  // under trace

  Clock::time_point submitted;
  Clock::time_point started;
  Clock::time_point first_frame;
  Clock::time_point first_audio;

  const std::vector<step::Stop>& stops() const { return request.itinerary.stops; }
  const step::Stop& stop(std::int32_t index) const {
    return stops()[static_cast<std::size_t>(index)];
  }
  StopProgress& progress_of(std::int32_t index) {
    return progress[static_cast<std::size_t>(index)];
  }
  const StopProgress& progress_of(std::int32_t index) const {
    return progress[static_cast<std::size_t>(index)];
  }
  // Of `blocks`, those that are not of its prefixes. Equal keys are one prefix.
  std::int32_t own_blocks() const;
  Prefix* prefix_of(std::int32_t index) const { return prefixes[static_cast<std::size_t>(index)]; }
  BlockTable& table(step::Branch branch) { return tables[index_of(branch)]; }

  // Steps that are collected, in this round and in all, and those that are launched.
  std::int32_t round_steps() const {
    return stepwise < 0 ? 0 : progress_of(stepwise).committed_repeats;
  }
  std::int32_t steps() const { return steps_before + round_steps(); }
  std::int32_t planned_steps() const {
    return steps_before + (stepwise < 0 ? 0 : progress_of(stepwise).planned_repeats);
  }
  // Rows per branch of the step that is next, or that is launched and not collected, without
  // drafts.
  std::int32_t step_rows() const;
  // Steps that it may still make, those that are launched and not collected included.
  std::int32_t steps_left() const { return stop(stepwise).repeats - round_steps(); }
  // Whether a draft model should guess for the next step. The first one doesn't wait for it.
  bool wants_guesses() const {
    return guesses != nullptr && guesses->needs_guesses() && open_steps == 0 && round_steps() > 0 &&
           !steps_end.has_value() && !end.has_value();
  }
  // Looks for drafts of the next step, if `may_speculate` and if no step is in flight.
  void draft(bool may_speculate);
  // Rows of a stop as it stands now: those it brings, those it replays, those it reads.
  std::int32_t rows_of(std::int32_t index) const;
  // Of those that a stop reads, the rows that may run: whole chunks, or all of them at the end.
  std::int32_t read_rows(const step::Stop& stop) const;
  // Frames that the silence in its sound takes the time of.
  double silent_frames() const;
  // Seconds of sound that were launched and that a listener has not played yet (StopView::lead).
  double lead_of(std::int32_t index) const;
  double lead_of_steps() const;
  // Whether every row of it is launched, or collected. Steps that came to their end are both.
  bool is_planned(std::int32_t index) const;
  bool is_committed(std::int32_t index) const;
  bool is_all_committed() const;
  // Whether there is a round behind this one, or may come one; and whether its text is there.
  bool has_next_round() const;
  bool knows_next_round() const;
  // Whether nothing of it can run before text comes.
  bool waits_for_text() const;
  // Where the text of this round begins in that of all.
  std::int32_t text_begin() const;
  // Whether its codes become sound while it goes on.
  bool is_followed() const;
  // Whether they become sound at all.
  bool makes_sound() const { return is_followed() || request.itinerary.sequel != nullptr; }
  // Whether stops that are not written yet may follow.
  bool has_sequel() const { return request.itinerary.sequel != nullptr && !is_sequel_over; }
  // Frames that an event, the next one, has at least.
  std::int32_t event_frames() const;

  SequenceView view() const;
  RequestStats stats(const Site& site) const;

 private:
  bool is_idle(std::int32_t index) const;
  bool may_look_ahead() const;
};

// Makes room for `count` values more, for few reallocations altogether.
template <typename T>
void make_room_for(std::vector<T>& values, std::size_t count) {
  if (values.capacity() - values.size() >= count) return;
  values.reserve(std::max(values.size() + count, 2 * values.capacity()));
}

// Running requests by slot; null where a slot is free.
using Slots = std::vector<std::unique_ptr<Sequence>>;

// Rows that a list of sources holds.
std::int32_t rows_in(const std::vector<step::RowSource>& sources);

// Codes [count, C] of frames [first, first + count).
Matrix<std::int32_t> frames_of(const Sequence& sequence, std::int32_t codebooks, std::int32_t first,
                               std::int32_t count);

}  // namespace ttsrt::executor
