#include "executor/commit.h"

#include <algorithm>
#include <iterator>

#include "core/check.h"
#include "executor/rounds.h"
#include "executor/silence.h"
#include "executor/trace.h"

namespace ttsrt::executor {
namespace {

using step::Pace;
using step::PlanItem;

// What a step says about its place in the text, counted from the begin of all rounds.
void take_place(Sequence& sequence, const step::StepOutput& output, std::size_t index) {
  const PreparedRequest& request = sequence.request;
  const step::DrawOutput& draw = output.draws[index];
  const rules::SlotRules& rules = request.itinerary.rules;
  if (draw.focus >= 0 || rules.prior.is_later)
    sequence.focus.push_back(sequence.text_begin() + draw.focus);
  if (!request.return_alignment && !request.return_positions) return;
  const auto scores =
      output.scores.begin() + static_cast<std::ptrdiff_t>(index) * output.max_text_len;
  if (request.return_alignment) {
    sequence.alignment.insert(sequence.alignment.end(), scores,
                              scores + request.itinerary.text_len);
  }
  if (!request.return_positions) return;
  const auto likeliest = std::max_element(scores, scores + rules.text_len) - scores;
  sequence.text_positions.push_back(sequence.text_begin() + static_cast<std::int32_t>(likeliest));
}

void take_logprobs(Sequence& sequence, const step::StepOutput& output, std::size_t index) {
  const step::TokenRules* tokens = sequence.request.itinerary.tokens.get();
  if (tokens == nullptr || tokens->num_logprobs < 0) return;
  Logprobs& into = sequence.logprobs;
  const auto first = static_cast<std::ptrdiff_t>(index * rules::kMaxLogprobs);
  const auto ids = output.likeliest_ids.begin() + first;
  const auto values = output.likeliest_logprobs.begin() + first;
  into.drawn.push_back(output.logprobs[index]);
  into.top_ids.values.insert(into.top_ids.values.end(), ids, ids + tokens->num_logprobs);
  into.top.values.insert(into.top.values.end(), values, values + tokens->num_logprobs);
}

// Appends one stack, unless the step only went on with a block; whether the steps are at their end,
// and why.
std::optional<FinishReason> take_step(Sequence& sequence, const step::StepOutput& output,
                                      std::size_t index, const step::Facts& facts) {
  const step::DrawOutput& draw = output.draws[index];
  StopProgress& progress = sequence.progress_of(sequence.stepwise);
  const step::Stop& stop = sequence.stop(sequence.stepwise);
  sequence.final_rows += draw.final_rows;
  if (!draw.has_codes) {
    ++progress.committed_repeats;
    return std::nullopt;
  }
  const auto width = static_cast<std::size_t>(facts.stack_codes());
  const auto first = output.codes.begin() + static_cast<std::ptrdiff_t>(index * width);
  sequence.stacks.insert(sequence.stacks.end(), first, first + static_cast<std::ptrdiff_t>(width));
  take_place(sequence, output, index);
  take_logprobs(sequence, output, index);
  if (draw.end_frame == 0 && width == 1) sequence.stop_id = *first;
  if (sequence.first_frame == Clock::time_point{}) sequence.first_frame = Clock::now();
  ++progress.committed_repeats;
  const std::int32_t made = stop.block_rows > 0 ? sequence.step_rows() : facts.frame_stacking;
  sequence.frames += draw.end_frame >= 0 ? draw.end_frame : made;
  // Rows that are replayed before every step start again.
  for (std::size_t i = 0; i < sequence.progress.size(); ++i) {
    if (sequence.stops()[i].replays == sequence.stepwise) sequence.progress[i] = {};
  }
  if (draw.end_frame >= 0) return FinishReason::stop;
  const bool is_full = stop.block_rows > 0 ? sequence.frames >= stop.block_frames
                                           : progress.committed_repeats >= stop.repeats;
  if (is_full) return FinishReason::length;
  return std::nullopt;
}

// Scores the id behind each row that emitted logits.
void take_nll(Sequence& sequence, const step::Stop& stop, const step::RowsOutput& rows,
              std::int32_t row, const PlanItem& item) {
  const auto vocab = static_cast<std::int32_t>(rows.width);
  const std::int32_t* ids = stop.rows.front().ids->data() + item.first + 1;
  for (std::int32_t i = 0; i < item.rows; ++i) {
    const float* logits = rows.values.data() + std::int64_t{row + i} * rows.width;
    const double sum = rules::log_of_sum(logits, vocab, *std::max_element(logits, logits + vocab));
    sequence.nll.push_back(static_cast<float>(sum - static_cast<double>(logits[ids[i]])));
  }
  const Clock::time_point now = Clock::now();
  if (sequence.first_frame == Clock::time_point{}) sequence.first_frame = now;
}

// Codes that an item became, one stack for each row.
void take_codes(Sequence& sequence, const step::RowsOutput& rows, std::int32_t first,
                std::int32_t count) {
  const auto from = rows.values.begin() + first * rows.width;
  std::transform(from, from + count * rows.width, std::back_inserter(sequence.stacks),
                 [](float code) { return static_cast<std::int32_t>(code); });
  sequence.frames += count;
  if (sequence.first_frame == Clock::time_point{}) sequence.first_frame = Clock::now();
}

// Samples or spectrogram rows that a chunk or an item became.
void take_rows(Sequence& sequence, const step::RowsOutput& rows, std::int32_t first,
               std::int32_t count, step::Emits emits) {
  const bool is_sound = emits == step::Emits::samples;
  if (is_sound) {
    take_samples(sequence, rows, first, count);
  } else {
    sequence.bands = rows.width;
    const auto from = rows.values.begin() + first * rows.width;
    sequence.spectrogram.insert(sequence.spectrogram.end(), from, from + count * rows.width);
    sequence.sound_rows += count;
  }
  const Clock::time_point now = Clock::now();
  if (sequence.first_frame == Clock::time_point{}) sequence.first_frame = now;
  if (is_sound && sequence.first_audio == Clock::time_point{}) sequence.first_audio = now;
}

class Committer {
 public:
  Committer(const step::StepBatch& batch, const step::StepOutput& output, Slots& slots,
            const Site& site)
      : batch_(batch), output_(output), slots_(slots), site_(site) {}

  void commit(const step::StepPlan& plan) {
    std::int32_t program = -1;
    for (const PlanItem& item : plan.items) {
      if (item.program != program) next_row_ = 0;
      program = item.program;
      const bool is_step = site_.programs[static_cast<std::size_t>(program)].pace == Pace::stepwise;
      const std::int32_t row = next_row_;
      next_row_ += item.rows;
      const std::size_t draw = next_draw_;
      if (is_step) next_draw_ += static_cast<std::size_t>(item.rows);
      if (item.slot == step::kNoSlot) continue;
      commit_prefix(item);
      Sequence* sequence = find(item.slot);
      if (sequence == nullptr) continue;
      if (is_step) {
        commit_steps(item, *sequence, draw);
      } else if (!plan.pauses_in(program)) {
        commit_rows(item, *sequence, row);
      }
      if (!sequence->end.has_value()) tell(*sequence);
    }
  }

  std::int64_t frames() const { return frames_; }

 private:
  // Rows of a shared prefix are its users', also where the request that brought them has ended.
  void commit_prefix(const PlanItem& item) {
    Prefix* prefix = slots_[static_cast<std::size_t>(item.slot)]->prefix_of(item.stop);
    if (prefix != nullptr) prefix->committed = std::max(prefix->committed, item.first + item.rows);
  }

  // The request in a slot, unless it has ended since the launch.
  Sequence* find(std::int32_t slot) const {
    Sequence* sequence = slots_[static_cast<std::size_t>(slot)].get();
    return sequence->end.has_value() ? nullptr : sequence;
  }

  void commit_rows(const PlanItem& item, Sequence& sequence, std::int32_t row) {
    const step::Stop& stop = sequence.stop(item.stop);
    const step::ProgramInfo& program = site_.program(stop);
    StopProgress& progress = sequence.progress_of(item.stop);
    if (program.pace == Pace::whole) {
      ++progress.committed_repeats;
    } else if (sequence.prefix_of(item.stop) == nullptr) {
      progress.committed_rows = item.first + item.rows;
    }
    if (program.emits == step::Emits::nothing) return;
    if (program.emits == step::Emits::encoded && !stop.returns_rows) return;
    const bool has_windows = stop.windows != nullptr;
    if (program.pace == Pace::whole && !has_windows && progress.committed_repeats < stop.repeats)
      return;
    std::int32_t first = row + stop.first_emitted;
    std::int32_t count = stop.emitted_rows > 0 ? stop.emitted_rows : item.rows;
    if (has_windows) {
      const auto last = static_cast<std::size_t>(progress.committed_repeats - 1);
      const step::Window& window = (*stop.windows)[last];
      first = row + window.first_emitted;
      count = window.emitted_rows;
    }
    for (const step::RowsOutput& rows : output_.rows) {
      if (rows.program != item.program) continue;
      if (program.emits == step::Emits::codes) {
        take_codes(sequence, rows, first, count);
        frames_ += count;
      } else if (program.emits == step::Emits::logits) {
        take_nll(sequence, stop, rows, row, item);
      } else if (program.emits == step::Emits::encoded) {
        take_encoded(sequence, item.stop, rows, first, count);
      } else {
        take_rows(sequence, rows, first, count, program.emits);
      }
    }
  }

  // A step, and of its drafts those that the model picked.
  void commit_steps(const PlanItem& item, Sequence& sequence, std::size_t draw) {
    if (sequence.steps_end.has_value() || sequence.waits_for_round)
      return;  // launched before its end was known
    if (sequence.drafting == nullptr) return commit_step(sequence, draw);
    std::int32_t taken = 0;
    for (; taken < item.rows && output_.draws[draw].has_codes; ++taken, ++draw) {
      sequence.drafting->append(output_.codes[draw]);
      commit_step(sequence, draw);
    }
    sequence.drafting->settle(item.rows - 1, taken - 1);
    if (item.rows == 1) return;
    StopProgress& progress = sequence.progress_of(sequence.stepwise);
    progress.planned_repeats = progress.committed_repeats;
    const step::Stop& stop = sequence.stop(sequence.stepwise);
    sequence.table(stop.branch).truncate(stop.position + progress.committed_repeats);
  }

  void commit_step(Sequence& sequence, std::size_t draw) {
    if (!output_.taps.empty()) trace_step(sequence, batch_, output_, draw);
    const std::int32_t before = sequence.frames;
    const std::optional<FinishReason> end = take_step(sequence, output_, draw, site_.facts);
    frames_ += sequence.frames - before;
    if (end.has_value()) sequence.steps_end = end_round(sequence, *end, site_.facts);
  }

  // Ends a sequence whose stops have all run, or tells what is new.
  void tell(Sequence& sequence) {
    if (end_if_complete(sequence)) return;
    const std::int32_t enough = sequence.event_frames();
    const bool has_sound = sequence.sound_rows - sequence.sound_rows_sent >= enough;
    // Where sound follows, codes come with it.
    const bool has_codes =
        sequence.frames - sequence.frames_sent >= enough && !sequence.makes_sound();
    if (has_sound || has_codes || sequence.has_new_silence)
      sequence.channel->push(next_event(sequence, site_.facts));
  }

  const step::StepBatch& batch_;
  const step::StepOutput& output_;
  Slots& slots_;
  const Site& site_;
  std::int32_t next_row_ = 0;
  std::size_t next_draw_ = 0;
  std::int64_t frames_ = 0;
};

}  // namespace

bool end_if_complete(Sequence& sequence) {
  if (!sequence.is_all_committed()) return false;
  sequence.end = sequence.steps_end.value_or(FinishReason::stop);
  if (sequence.end == FinishReason::stop) end_silence(sequence);
  return true;
}

Event next_event(Sequence& sequence, const step::Facts& facts) {
  Event event;
  event.first_frame = sequence.frames_sent;
  event.codes = frames_of(sequence, facts.codebooks, sequence.frames_sent,
                          sequence.frames - sequence.frames_sent);
  sequence.frames_sent = sequence.frames;
  event.text_positions.assign(
      sequence.text_positions.begin() + static_cast<std::ptrdiff_t>(sequence.text_positions_sent),
      sequence.text_positions.end());
  sequence.text_positions_sent = sequence.text_positions.size();
  const auto ended = static_cast<std::ptrdiff_t>(sequence.chunks_sent);
  event.chunk_steps.assign(sequence.chunk_steps.begin() + ended, sequence.chunk_steps.end());
  event.chunk_frames.assign(sequence.chunk_frames.begin() + ended, sequence.chunk_frames.end());
  sequence.chunks_sent = sequence.chunk_steps.size();
  sequence.sound_rows_sent = sequence.sound_rows;
  sequence.has_new_silence = false;
  const auto sent = static_cast<std::ptrdiff_t>(sequence.samples_sent);
  event.audio.assign(sequence.samples.begin() + sent, sequence.samples.end());
  sequence.samples_sent = sequence.samples.size();
  const auto first = static_cast<std::ptrdiff_t>(sequence.spectrogram_sent);
  event.spectrogram.values.assign(sequence.spectrogram.begin() + first, sequence.spectrogram.end());
  event.spectrogram.cols = sequence.bands;
  if (sequence.bands > 0)
    event.spectrogram.rows =
        static_cast<std::int64_t>(event.spectrogram.values.size()) / sequence.bands;
  sequence.spectrogram_sent = sequence.spectrogram.size();
  if (sequence.request.itinerary.tokens != nullptr)
    event.logprobs = logprobs_of(sequence, sequence.logprobs_sent);
  sequence.logprobs_sent = sequence.logprobs.drawn.size();
  return event;
}

Logprobs logprobs_of(const Sequence& sequence, std::size_t first) {
  const Logprobs& all = sequence.logprobs;
  Logprobs part;
  part.drawn.assign(all.drawn.begin() + static_cast<std::ptrdiff_t>(first), all.drawn.end());
  const std::int32_t asked = sequence.request.itinerary.tokens->num_logprobs;
  if (asked <= 0) return part;
  const auto begin = static_cast<std::ptrdiff_t>(first) * asked;
  part.top_ids.rows = static_cast<std::int64_t>(part.drawn.size());
  part.top_ids.cols = asked;
  part.top_ids.values.assign(all.top_ids.values.begin() + begin, all.top_ids.values.end());
  part.top.rows = part.top_ids.rows;
  part.top.cols = asked;
  part.top.values.assign(all.top.values.begin() + begin, all.top.values.end());
  return part;
}

std::int64_t commit(const step::StepPlan& plan, const step::StepBatch& batch,
                    const step::StepOutput& output, Slots& slots, const Site& site) {
  if (!output.taps.empty()) trace_rows(plan, batch, output, slots, site);
  Committer committer(batch, output, slots, site);
  committer.commit(plan);
  return committer.frames();
}

}  // namespace ttsrt::executor
