#include "executor/scheduler.h"

#include <algorithm>
#include <limits>

namespace ttsrt::executor {
namespace {

using step::Pace;

// Rows of a chunked Program in one launch under a time limit: the fewest, and the number before the
// time of a row was measured.
constexpr std::int32_t kMinChunk = 16;
constexpr std::int32_t kFirstChunk = 64;

// Rows that become samples in one launch: the number before the time of a row was measured, and
// slices of time that they take while nobody steps. A request may arrive meanwhile.
constexpr std::int32_t kFirstSound = 8;
constexpr double kIdleSlices = 4.0;

// Streams with the larger number of seconds of sound before their listeners yield to those with
// less than the smaller one, and with the smaller one to those that nobody has heard, if each
// request more adds at least such a share to the time of a step.
constexpr double kAmpleLead = 0.5;
constexpr double kScarceLead = 0.2;
constexpr double kNotableShare = 0.2;

constexpr std::int32_t kBefore = -1;  // complete before this launch
constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

Scheduler::Scheduler(const std::vector<step::ProgramInfo>& programs, std::int32_t max_sequences)
    : programs_(programs) {
  completion_.reserve(at(max_sequences));
  members_.reserve(at(max_sequences));
  drafted_.reserve(at(max_sequences));
  streams_.reserve(at(max_sequences) * step::kMaxStops);
  prefix_rows_.reserve(at(max_sequences) * step::kMaxStops);
  yields_.reserve(at(max_sequences));
}

void Scheduler::plan(const std::vector<SequenceView>& sequences,
                     const std::vector<SplitBatch>& split, const StepBudget& budget,
                     step::StepPlan& plan) {
  sequences_ = &sequences;
  budget_ = &budget;
  plan_ = &plan;
  choose_yielding();
  plan_programs(split);
  if (!plan.is_empty() || least_lead_ == 0.0) return;
  // Those for whom the others yield wait for a launch that isn't collected.
  yields_.assign(sequences.size(), false);
  least_lead_ = 0.0;
  plan_programs(split);
}

std::optional<double> Scheduler::lead_of(const SequenceView& sequence) const {
  std::optional<double> of_steps;
  for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
    const StopView& stop = sequence.stops[at(s)];
    const step::ProgramInfo& program = programs_[at(stop.program)];
    if (stop.is_complete || stop.lead == StopView::kNobody) continue;
    if (program.emits == step::Emits::samples) return stop.lead;
    if (program.pace == Pace::stepwise) of_steps = stop.lead;
  }
  return of_steps;
}

void Scheduler::choose_yielding() {
  yields_.assign(sequences_->size(), false);
  least_lead_ = 0.0;
  if (budget_->step_share < kNotableShare) return;
  double most_urgent = kScarceLead;
  std::int32_t priority = 0;  // the largest of those that are in a hurry
  bool is_hurried = false;
  for (const SequenceView& sequence : *sequences_) {
    const double lead = lead_of(sequence).value_or(kScarceLead);
    if (lead >= kScarceLead) continue;
    priority = is_hurried ? std::max(priority, sequence.priority) : sequence.priority;
    most_urgent = std::min(most_urgent, lead);
    is_hurried = true;
  }
  if (!is_hurried) return;
  const double enough = most_urgent == StopView::kUnheard ? kScarceLead : kAmpleLead;
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    const SequenceView& sequence = (*sequences_)[i];
    const std::optional<double> lead = lead_of(sequence);
    if (!lead || *lead < enough || sequence.priority > priority) continue;
    yields_[i] = true;
    least_lead_ = least_lead_ > 0.0 ? std::min(least_lead_, *lead) : *lead;
  }
}

void Scheduler::plan_programs(const std::vector<SplitBatch>& split) {
  plan_->clear(programs_.size());
  start();
  for (std::int32_t program = 0; at(program) < programs_.size(); ++program) {
    switch (programs_[at(program)].pace) {
      case Pace::whole:
        plan_whole(program, split[at(program)]);
        break;
      case Pace::chunked:
        if (programs_[at(program)].emits == step::Emits::samples) {
          plan_sound(program);
        } else {
          plan_chunked(program);
        }
        break;
      case Pace::stepwise:
        plan_stepwise(program);
        break;
    }
  }
}

void Scheduler::start() {
  const std::vector<SequenceView>& sequences = *sequences_;
  prefix_rows_.clear();
  completion_.clear();
  seconds_left_ = budget_->seconds;
  is_limited_ = budget_->is_preemptible && budget_->seconds > 0.0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SequenceView& sequence = sequences[i];
    Completion& completion = completion_.emplace_back();
    for (std::int32_t s = 0; s < sequence.num_stops; ++s)
      completion[at(s)] = sequence.stops[at(s)].is_complete ? kBefore : kNever;
    if (budget_->seconds <= 0.0 || is_limited_ || yields_[i]) continue;
    for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
      const StopView& stop = sequence.stops[at(s)];
      is_limited_ |= programs_[at(stop.program)].pace == Pace::stepwise && !stop.is_complete &&
                     stop.can_go_on && is_ready(i, stop, 0);
    }
  }
  if (budget_->seconds <= 0.0 || is_limited_ || least_lead_ == 0.0) return;
  is_limited_ = true;
  seconds_left_ = std::max(seconds_left_, least_lead_ / 2);
}

// Whether all that a stop follows is complete before this Program of the launch.
bool Scheduler::is_ready(std::size_t sequence, const StopView& stop, std::int32_t program) const {
  const SequenceView& view = (*sequences_)[sequence];
  for (std::int32_t s = 0; s < view.num_stops; ++s) {
    if (((stop.follows >> s) & 1U) == 0) continue;
    const std::int32_t completed = completion_[sequence][at(s)];
    if (completed < program) continue;
    // Rows of one request may follow each other inside a chunked Program, but not those of a
    // prefix: it is forked between two Programs.
    const bool is_chained = completed == program && program == stop.program &&
                            programs_[at(program)].pace == Pace::chunked &&
                            view.stops[at(s)].prefix == 0;
    if (!is_chained) return false;
  }
  return true;
}

// An item of a whole Program has run; its stop is complete unless it has evaluations left.
void Scheduler::complete(std::int32_t slot, std::int32_t stop, std::int32_t program) {
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    const SequenceView& view = (*sequences_)[i];
    if (view.slot == slot && view.stops[at(stop)].is_final) completion_[i][at(stop)] = program;
  }
}

// Whose rows a new batch of a whole Program takes: in the order given, the first one always.
void Scheduler::choose(std::int32_t program) {
  members_.clear();
  std::int32_t room = max_rows(program);
  double row = budget_->row_seconds[at(program)];
  if (budget_->is_preemptible) row *= programs_[at(program)].num_parts;
  if (is_limited_ && row > 0.0)
    room = static_cast<std::int32_t>(std::min<double>(room, budget_->seconds / row));
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    if (yields_[i]) continue;
    const SequenceView& sequence = (*sequences_)[i];
    for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
      const StopView& stop = sequence.stops[at(s)];
      if (stop.program != program || stop.is_complete || !stop.can_go_on) continue;
      const std::int32_t most = members_.empty() ? max_rows(program) : room;
      if (stop.rows > most || !is_ready(i, stop, program)) continue;
      room -= stop.rows;
      members_.push_back({sequence.slot, s, stop.rows});
    }
  }
}

void Scheduler::plan_whole(std::int32_t program, const SplitBatch& split) {
  if (split.is_empty()) {
    choose(program);
  } else {
    members_.assign(split.members.begin(), split.members.end());
  }
  if (members_.empty()) return;
  std::int32_t rows = 0;
  for (const SplitBatch::Member& member : members_) {
    rows += member.rows;
    plan_->items.push_back({program, member.slot, member.stop, 0, member.rows});
  }
  step::ProgramParts& parts = plan_->programs[at(program)];
  parts.first = split.next_part;
  parts.last = last_part(program, split.next_part, rows);
  parts.pauses = parts.last < programs_[at(program)].num_parts;
  if (parts.pauses) return;
  for (const SplitBatch::Member& member : members_) {
    if (member.slot != step::kNoSlot) complete(member.slot, member.stop, program);
  }
}

// How far a batch of so many rows gets in the time that is left, at least one part.
std::int32_t Scheduler::last_part(std::int32_t program, std::int32_t next, std::int32_t rows) {
  const std::int32_t end = programs_[at(program)].num_parts;
  if (!is_limited_) return end;
  const double part_seconds = rows * budget_->row_seconds[at(program)];
  std::int32_t count = 1;
  if (part_seconds > 0.0)
    count = static_cast<std::int32_t>(
        std::clamp(seconds_left_ / part_seconds, 1.0, static_cast<double>(end)));
  const std::int32_t last = std::min(end, next + count);
  seconds_left_ -= (last - next) * part_seconds;
  return last;
}

// Rows that a launch of a Program may have.
std::int32_t Scheduler::max_rows(std::int32_t program) const {
  return std::min(budget_->max_rows, programs_[at(program)].max_rows);
}

// Rows that a chunked Program may take.
std::int32_t Scheduler::chunk_rows(std::int32_t program) const {
  const std::int32_t most = max_rows(program);
  if (!is_limited_) return most;
  const double row = budget_->row_seconds[at(program)];
  const double fitting = row > 0.0 ? std::max(seconds_left_, 0.0) / row : kFirstChunk;
  if (fitting >= most) return most;
  return std::min(std::max(static_cast<std::int32_t>(fitting), kMinChunk), most);
}

// Rows of a stop that are launched, those of this plan included.
std::int32_t& Scheduler::prefix_rows(const StopView& stop) {
  const auto found = std::find_if(prefix_rows_.begin(), prefix_rows_.end(),
                                  [&](const auto& of) { return of.first == stop.prefix; });
  return found == prefix_rows_.end() ? prefix_rows_.emplace_back(stop.prefix, stop.first).second
                                     : found->second;
}

void Scheduler::plan_chunked(std::int32_t program) {
  std::int32_t left = chunk_rows(program);
  std::int32_t planned = 0;
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    if (yields_[i]) continue;
    const SequenceView& sequence = (*sequences_)[i];
    for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
      const StopView& stop = sequence.stops[at(s)];
      if (stop.program != program || stop.is_complete || !stop.can_go_on) continue;
      if (!is_ready(i, stop, program)) continue;
      std::int32_t own = stop.first;
      std::int32_t& done = stop.prefix == 0 ? own : prefix_rows(stop);
      const std::int32_t rows = std::min(stop.rows - done, left);
      if (rows > 0) {
        plan_->items.push_back({program, sequence.slot, s, done, rows});
        left -= rows;
        planned += rows;
        done += rows;
      }
      if (done == stop.rows && stop.is_final) completion_[i][at(s)] = program;
    }
  }
  seconds_left_ -= planned * budget_->row_seconds[at(program)];
}

// Rows of a chunked Program that may become samples in this launch.
std::int32_t Scheduler::sound_rows(std::int32_t program) const {
  const std::int32_t most = max_rows(program);
  if (budget_->seconds <= 0.0) return most;
  const double row = budget_->row_seconds[at(program)];
  std::int32_t steps = 0;
  for (const step::PlanItem& item : plan_->items)
    steps += programs_[at(item.program)].pace == Pace::stepwise ? 1 : 0;
  const bool is_limited = is_limited_ || steps > 0;
  const double seconds = is_limited ? std::max(seconds_left_, 0.0) : kIdleSlices * budget_->seconds;
  double fitting = is_limited ? 1.0 : kFirstSound;
  if (row > 0.0) fitting = std::max(seconds / row, 1.0);
  fitting = std::max<double>(fitting, std::int64_t{steps} * budget_->step_frames);
  return fitting >= most ? most : static_cast<std::int32_t>(fitting);
}

// Larger priorities first, then the streams that would run dry first, then older ones.
void Scheduler::plan_sound(std::int32_t program) {
  streams_.clear();
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    if (yields_[i]) continue;
    const SequenceView& sequence = (*sequences_)[i];
    for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
      const StopView& stop = sequence.stops[at(s)];
      const bool is_open = stop.program == program && !stop.is_complete && stop.can_go_on;
      if (is_open && stop.rows > stop.first && is_ready(i, stop, program))
        streams_.push_back({i, s});
    }
  }
  // Each stream is one of its own sequence and stop, so this order is the only one.
  std::sort(streams_.begin(), streams_.end(), [this](const Stream& a, const Stream& b) {
    const SequenceView& one = (*sequences_)[a.sequence];
    const SequenceView& other = (*sequences_)[b.sequence];
    if (one.priority != other.priority) return one.priority > other.priority;
    const double lead = one.stops[at(a.stop)].lead, other_lead = other.stops[at(b.stop)].lead;
    if (lead != other_lead) return lead < other_lead;
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.stop < b.stop;
  });
  std::int32_t left = sound_rows(program);
  std::int32_t planned = 0;
  for (const Stream& stream : streams_) {
    const SequenceView& sequence = (*sequences_)[stream.sequence];
    const StopView& stop = sequence.stops[at(stream.stop)];
    const std::int32_t rows = std::min(stop.rows - stop.first, left - planned);
    if (rows == 0) break;
    plan_->items.push_back({program, sequence.slot, stream.stop, stop.first, rows});
    planned += rows;
    if (stop.first + rows == stop.rows && stop.is_final)
      completion_[stream.sequence][at(stream.stop)] = program;
  }
  seconds_left_ -= planned * budget_->row_seconds[at(program)];
}

void Scheduler::plan_stepwise(std::int32_t program) {
  drafted_.clear();
  for (std::size_t i = 0; i < sequences_->size(); ++i) {
    if (yields_[i]) continue;
    const SequenceView& sequence = (*sequences_)[i];
    for (std::int32_t s = 0; s < sequence.num_stops; ++s) {
      const StopView& stop = sequence.stops[at(s)];
      const bool is_open = stop.program == program && !stop.is_complete && stop.can_go_on;
      if (!is_open || !is_ready(i, stop, program)) continue;
      if (stop.drafts > 0) drafted_.push_back({plan_->items.size(), stop.drafts, stop.gain});
      plan_->items.push_back({program, sequence.slot, s, stop.first, 1});
    }
  }
  if (!drafted_.empty()) plan_drafts(program);
}

// Larger gains first, then older requests. Steps that have drafts are one row.
void Scheduler::plan_drafts(std::int32_t program) {
  std::sort(drafted_.begin(), drafted_.end(), [](const Drafted& a, const Drafted& b) {
    return a.gain != b.gain ? a.gain > b.gain : a.item < b.item;
  });
  const auto steps =
      std::count_if(plan_->items.begin(), plan_->items.end(),
                    [program](const step::PlanItem& item) { return item.program == program; });
  std::int32_t left = std::max(max_rows(program) - static_cast<std::int32_t>(steps), 0);
  for (const Drafted& of : drafted_) {
    const std::int32_t rows = std::min(of.drafts, left);
    plan_->items[of.item].rows += rows;
    left -= rows;
  }
}

}  // namespace ttsrt::executor
