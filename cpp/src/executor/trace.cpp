#include "executor/trace.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace ttsrt::executor {
namespace {

constexpr const char* kScores = "align_scores";  // the stage that the attention prior reads

void add_entry(Sequence& sequence, const step::TapOutput& tap,
               const std::vector<std::int64_t>& rows, std::int64_t width, std::int32_t step) {
  TraceEntry entry;
  entry.name = tap.name;
  entry.step = step;
  entry.values.rows = static_cast<std::int64_t>(rows.size());
  entry.values.cols = width;
  for (const std::int64_t row : rows) {
    const auto first = tap.values.begin() + row * tap.width;
    entry.values.values.insert(entry.values.values.end(), first, first + width);
  }
  sequence.trace.push_back(std::move(entry));
}

// How often a whole item has run a stage: what is evaluated again has an entry each time.
std::int32_t entries_of(const Sequence& sequence, const std::string& name) {
  return static_cast<std::int32_t>(
      std::count_if(sequence.trace.begin(), sequence.trace.end(),
                    [&name](const TraceEntry& entry) { return entry.name == name; }));
}

void trace_prior(Sequence& sequence, const step::StepOutput& output, std::size_t draw) {
  if (sequence.mirror->has_prior()) {
    TraceEntry entry;
    entry.name = "prior";
    entry.step = sequence.steps();
    entry.values.values = sequence.mirror->weights();
    entry.values.rows = 1;
    entry.values.cols = static_cast<std::int64_t>(entry.values.values.size());
    sequence.trace.push_back(std::move(entry));
  }
  for (const step::TapOutput& tap : output.taps) {
    if (tap.name == kScores)
      sequence.mirror->update(tap.values.data() + static_cast<std::int64_t>(draw) * tap.width);
  }
}

}  // namespace

void trace_rows(const step::StepPlan& plan, const step::StepBatch& batch,
                const step::StepOutput& output, Slots& slots, const Site& site) {
  for (const step::TapOutput& tap : output.taps) {
    const auto program = static_cast<std::size_t>(tap.program);
    if (site.programs[program].pace == step::Pace::stepwise || plan.programs[program].pauses)
      continue;
    const bool is_whole = site.programs[program].pace == step::Pace::whole;
    const std::vector<step::Segment>& segments = batch.programs[program].segments;
    for (std::size_t s = 0; s < segments.size(); ++s) {
      const step::Segment& segment = segments[s];
      if (segment.slot == step::kNoSlot) continue;
      Sequence& sequence = *slots[static_cast<std::size_t>(segment.slot)];
      const bool is_told = segment.branch == step::Branch::conditional && sequence.steps() == 0 &&
                           !sequence.end.has_value();
      if (!is_told) continue;
      const bool has_both = is_whole && step::partner_of(segments, s) != nullptr;
      std::vector<std::int64_t> rows(static_cast<std::size_t>(segment.rows) * (has_both ? 2 : 1));
      std::iota(rows.begin(), rows.end(), std::int64_t{segment.first_row});
      add_entry(sequence, tap, rows, tap.width, is_whole ? entries_of(sequence, tap.name) : 0);
    }
  }
}

void trace_step(Sequence& sequence, const step::StepBatch& batch, const step::StepOutput& output,
                std::size_t draw) {
  const std::int32_t program = sequence.stop(sequence.stepwise).program;
  const step::Draw& rows_of = batch.programs[static_cast<std::size_t>(program)].draws[draw];
  const step::Itinerary& itinerary = sequence.request.itinerary;
  for (const step::TapOutput& tap : output.taps) {
    if (tap.program != program) continue;
    const bool is_scores = tap.name == kScores;
    if (is_scores && itinerary.rules.prior.estimate_layers == 0) continue;
    std::vector<std::int64_t> rows;
    if (tap.is_per_draw) rows.push_back(static_cast<std::int64_t>(draw));
    for (const std::int32_t first : {rows_of.conditional_row, rows_of.unconditional_row}) {
      for (std::int32_t i = 0; !tap.is_per_draw && first >= 0 && i < rows_of.rows; ++i)
        rows.push_back(std::int64_t{first} + i);
    }
    add_entry(sequence, tap, rows, is_scores ? itinerary.text_len : tap.width, sequence.steps());
  }
  trace_prior(sequence, output, draw);
}

}  // namespace ttsrt::executor
