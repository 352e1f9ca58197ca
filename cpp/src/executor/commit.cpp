#include "executor/commit.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::RowClass;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Event next_event(Sequence& sequence, const step::ModelFacts& facts) {
  Event event;
  event.first_frame = sequence.frames_sent;
  event.codes = unstack(sequence, facts.codebooks, facts.frame_stacking, sequence.frames_sent,
                        sequence.frames - sequence.frames_sent);
  sequence.frames_sent = sequence.frames;
  return event;
}

void book_rows(const step::StepPlan& plan, std::vector<std::unique_ptr<Sequence>>& sequences) {
  for (const step::PlanItem& item : plan.items) {
    if (item.sequence == step::kNobody || plan.pauses_in(item.row_class)) continue;
    Sequence& sequence = *sequences[static_cast<std::size_t>(item.sequence)];
    if (item.row_class == RowClass::encode_text || item.row_class == RowClass::project_memory)
      sequence.is_text_done = true;
    if (item.row_class == RowClass::encode_context) sequence.is_context_done = true;
    if (item.row_class == RowClass::prefill && !item.is_prefix) {
      std::int32_t& done = item.branch == Branch::conditional ? sequence.conditional_done
                                                              : sequence.unconditional_done;
      done = item.first + item.rows;
    }
  }
}

void trace_rows(Sequence& sequence, const step::TapOutput& tap,
                const std::vector<std::int64_t>& rows, std::int64_t width) {
  TraceEntry entry;
  entry.name = tap.name;
  entry.step = tap.row_class == static_cast<std::int32_t>(RowClass::decode) ? sequence.steps : 0;
  entry.values.rows = static_cast<std::int64_t>(rows.size());
  entry.values.cols = width;
  for (const std::int64_t row : rows) {
    const auto first = tap.values.begin() + row * tap.width;
    entry.values.values.insert(entry.values.values.end(), first, first + width);
  }
  sequence.trace.push_back(std::move(entry));
}

// Decode taps of one draw: both branches of row-wide stages, the draw's own row of others.
void trace_draw(Sequence& sequence, const step::StepOutput& output, const step::Draw& draw,
                std::size_t index, std::int64_t num_draws) {
  for (const step::TapOutput& tap : output.taps) {
    if (tap.row_class != static_cast<std::int32_t>(RowClass::decode)) continue;
    const bool is_scores = tap.name == "align_scores";
    if (is_scores && sequence.request.rules.slot.prior.estimate_layers == 0) continue;
    const bool is_per_draw = is_scores || tap.name == "logits_guided";
    std::vector<std::int64_t> rows = {is_per_draw ? static_cast<std::int64_t>(index)
                                                  : draw.conditional_row};
    if (!is_per_draw && draw.unconditional_row >= 0) rows.push_back(draw.unconditional_row);
    TTSRT_DCHECK(!is_per_draw || tap.rows == num_draws);
    static_cast<void>(num_draws);
    trace_rows(sequence, tap, rows, is_scores ? sequence.request.text.rows : tap.width);
  }
}

void trace_prior(Sequence& sequence, const step::StepOutput& output, std::size_t index) {
  if (sequence.mirror->has_prior()) {
    TraceEntry entry;
    entry.name = "prior";
    entry.step = sequence.steps;
    entry.values.values = sequence.mirror->weights();
    entry.values.rows = 1;
    entry.values.cols = sequence.request.text.rows;
    sequence.trace.push_back(std::move(entry));
  }
  for (const step::TapOutput& tap : output.taps) {
    if (tap.name == "align_scores")
      sequence.mirror->update(tap.values.data() + static_cast<std::int64_t>(index) * tap.width);
  }
}

// Taps of encoders and of the first prefill, by slot.
void trace_encoders(const step::StepBatch& batch, const step::StepOutput& output,
                    std::vector<std::unique_ptr<Sequence>>& sequences) {
  for (const step::TapOutput& tap : output.taps) {
    if (tap.row_class == static_cast<std::int32_t>(RowClass::decode)) continue;
    for (const step::Segment& segment : batch.classes[tap.row_class].segments) {
      if (segment.slot == step::kNobody) continue;
      const auto found = std::find_if(sequences.begin(), sequences.end(), [&](const auto& of) {
        return of && of->slot == segment.slot;
      });
      if (segment.branch == Branch::unconditional || (*found)->steps > 0) continue;
      std::vector<std::int64_t> rows(static_cast<std::size_t>(segment.rows));
      std::iota(rows.begin(), rows.end(), std::int64_t{segment.first_row});
      trace_rows(**found, tap, rows, tap.width);
    }
  }
}

// Appends one stack; whether the sequence is at its end, and why.
std::optional<FinishReason> take_step(Sequence& sequence, const step::StepOutput& output,
                                      std::size_t index, const step::ModelFacts& facts) {
  const step::DrawOutput& draw = output.draws[index];
  const auto width = static_cast<std::size_t>(facts.stack_codes());
  const auto first = output.codes.begin() + static_cast<std::ptrdiff_t>(index * width);
  sequence.stacks.insert(sequence.stacks.end(), first, first + static_cast<std::ptrdiff_t>(width));
  if (sequence.request.return_alignment) {
    const auto scores =
        output.scores.begin() + static_cast<std::ptrdiff_t>(index) * output.max_text_len;
    sequence.alignment.insert(sequence.alignment.end(), scores,
                              scores + sequence.request.text.rows);
  }
  if (draw.focus >= 0) sequence.focus.push_back(draw.focus);
  if (sequence.steps == 0) sequence.first_frame = Clock::now();
  ++sequence.steps;
  if (sequence.request.rules.recomputes_prior) sequence.conditional_done = 0;
  sequence.frames += draw.end_frame >= 0 ? draw.end_frame : facts.frame_stacking;
  if (draw.end_frame >= 0) return FinishReason::stop;
  if (sequence.steps >= sequence.request.rules.max_steps) return FinishReason::length;
  return std::nullopt;
}

Metrics measure(const Sequence& sequence, const step::ModelFacts& facts) {
  const Clock::time_point now = Clock::now();
  Metrics metrics;
  metrics.queue_seconds = seconds_between(sequence.submitted, sequence.started);
  if (sequence.steps > 0)
    metrics.first_frame_seconds = seconds_between(sequence.submitted, sequence.first_frame);
  metrics.total_seconds = seconds_between(sequence.submitted, now);
  metrics.frames_per_second = sequence.frames / std::max(metrics.total_seconds, 1e-9);
  metrics.real_time_factor = metrics.frames_per_second / facts.frame_rate;
  metrics.steps = sequence.steps;
  return metrics;
}

}  // namespace

void finish(Sequence& sequence, FinishReason reason, const std::string& error,
            const step::ModelFacts& facts) {
  Event last = next_event(sequence, facts);
  last.is_last = true;
  last.finish_reason = reason;
  Result result;
  result.codes = unstack(sequence, facts.codebooks, facts.frame_stacking, 0, sequence.frames);
  result.finish_reason = reason;
  result.error = error;
  result.alignment.cols = sequence.request.text.rows;
  result.alignment.rows = static_cast<std::int64_t>(sequence.alignment.size()) /
                          std::max(sequence.request.text.rows, 1);
  result.alignment.values = std::move(sequence.alignment);
  result.focus = std::move(sequence.focus);
  result.trace = std::move(sequence.trace);
  result.metrics = measure(sequence, facts);
  sequence.channel->finish(std::move(last), std::move(result));
}

std::int64_t commit(const step::StepPlan& plan, const step::StepBatch& batch,
                    const step::StepOutput& output,
                    std::vector<std::unique_ptr<Sequence>>& sequences,
                    const step::ModelFacts& facts) {
  book_rows(plan, sequences);
  if (!output.taps.empty()) trace_encoders(batch, output, sequences);
  const std::vector<step::Draw>& draws = batch.of(RowClass::decode).draws;
  std::int64_t frames = 0;
  std::size_t index = 0;
  for (const step::PlanItem& item : plan.items) {
    if (item.row_class != RowClass::decode || item.branch != Branch::conditional) continue;
    std::unique_ptr<Sequence>& sequence = sequences[static_cast<std::size_t>(item.sequence)];
    if (!output.taps.empty()) {
      trace_draw(*sequence, output, draws[index], index, static_cast<std::int64_t>(draws.size()));
      trace_prior(*sequence, output, index);
    }
    const std::int32_t before = sequence->frames;
    const std::optional<FinishReason> end = take_step(*sequence, output, index, facts);
    frames += sequence->frames - before;
    ++index;
    if (end.has_value()) {
      sequence->end = end;
    } else if (sequence->frames - sequence->frames_sent >= sequence->request.chunk_frames) {
      sequence->channel->push(next_event(*sequence, facts));
    }
  }
  return frames;
}

}  // namespace ttsrt::executor
