#include "executor/batch_builder.h"

#include <algorithm>

#include "core/check.h"
#include "step/packed_rows.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::PlanItem;
using step::RowBatch;
using step::RowSource;
using step::Segment;
using step::Stop;

// Rows [first, first + rows) of a source, as a segment takes them.
void feed(Segment& segment, const RowSource& source, std::int32_t first, std::int32_t rows) {
  segment.rows = rows;
  segment.input = source.input;
  segment.table = source.table;
  segment.position_table = source.position_table;
  segment.first_position = source.first_position + first;
  segment.kept_offset = source.kept_offset + first;
  segment.ids = nullptr;
  segment.vectors = nullptr;
  if (source.ids != nullptr)
    segment.ids = source.ids->data() + std::int64_t{first} * source.ids_per_row;
  if (source.vectors != nullptr && source.rows > 0) {
    const auto width = static_cast<std::int64_t>(source.vectors->size()) / source.rows;
    segment.vectors = source.vectors->data() + first * width;
  }
  segment.device_vectors = nullptr;
  if (source.device_vectors != nullptr)
    segment.device_vectors = source.device_vectors.get() + first * source.device_width;
}

class Builder {
 public:
  Builder(const Site& site, step::StepBatch& batch) : site_(site), batch_(batch) {}

  // Rows of a paused batch whose request ended keep their place.
  void add_unowned(const PlanItem& item) {
    Segment segment;
    segment.slot = step::kNoSlot;
    segment.rows = item.rows;
    push(rows_of(item), segment);
  }

  void add(const PlanItem& item, Sequence& sequence) {
    if (!sequence.is_slot_reset) {
      batch_.resets.push_back({sequence.slot, sequence.request.itinerary.rules, sequence.round > 0,
                               sequence.request.itinerary.tokens});
      sequence.is_slot_reset = true;
    }
    const Stop& stop = sequence.stop(item.stop);
    if (stop.returns_rows) rows_of(item).returns_rows = true;
    switch (site_.program(stop).pace) {
      case step::Pace::whole:
        add_whole(item, sequence, stop);
        break;
      case step::Pace::chunked:
        add_chunk(item, sequence, stop);
        break;
      case step::Pace::stepwise:
        add_step(item, sequence, stop);
        break;
    }
  }

 private:
  RowBatch& rows_of(const PlanItem& item) {
    return batch_.programs[static_cast<std::size_t>(item.program)];
  }

  static void push(RowBatch& rows, Segment segment) {
    segment.first_row = rows.rows;
    rows.rows += segment.rows;
    rows.segments.push_back(segment);
  }

  static Segment start(const Sequence& sequence, Branch branch, std::int32_t position) {
    Segment segment;
    segment.slot = sequence.slot;
    segment.branch = branch;
    segment.position = position;
    return segment;
  }

  // Blocks for the positions before `end` of a branch. The first rows behind a shared prefix fork
  // it.
  void place(Segment& segment, Sequence& sequence, std::int32_t stop, std::int32_t end,
             RowBatch& rows) const {
    Prefix* prefix = sequence.prefix_of(stop);
    BlockTable& table = prefix != nullptr ? prefix->table : sequence.table(segment.branch);
    if (prefix == nullptr && !sequence.is_forked[index_of(segment.branch)]) {
      fork(sequence, segment.branch, rows);
      sequence.is_forked[index_of(segment.branch)] = true;
    }
    table.grow(end);
    segment.blocks = table.data();
    segment.num_blocks = table.size();
  }

  static void fork(Sequence& sequence, Branch branch, RowBatch& rows) {
    for (std::size_t i = 0; i < sequence.prefixes.size(); ++i) {
      const Prefix* prefix = sequence.prefixes[i];
      const Stop& stop = sequence.stops()[i];
      if (prefix == nullptr || stop.branch != branch) continue;
      const std::int32_t forked = stop.forked_rows > 0 ? stop.forked_rows : prefix->rows();
      sequence.table(branch).fork_from(prefix->table, forked, rows.copies);
    }
  }

  void add_whole(const PlanItem& item, Sequence& sequence, const Stop& stop) {
    Segment segment = start(sequence, stop.branch, stop.position);
    if (!stop.keeps_rows) segment.slot = step::kNoSlot;
    if (stop.evaluations != nullptr) {
      const std::int32_t index = sequence.progress_of(item.stop).planned_repeats;
      const step::Evaluation& now = (*stop.evaluations)[static_cast<std::size_t>(index)];
      segment.step_size = now.step_size;
      segment.ends_step = now.ends_step;
      segment.is_last = index + 1 == stop.repeats;
      segment.schedule_row = index;
      if (site_.program(stop).reads_schedule)
        segment.schedule_row = schedule_row(sequence, index, rows_of(item));
    }
    if (stop.windows == nullptr) return add_rows(item, sequence, stop, segment);
    const auto index = static_cast<std::size_t>(sequence.progress_of(item.stop).planned_repeats);
    PlanItem window = item;
    window.first = (*stop.windows)[index].first;
    segment.position += window.first;
    add_rows(window, sequence, stop, segment);
  }

  // The row of an evaluation, in the blocks that the request has forked from its schedule.
  static std::int32_t schedule_row(Sequence& sequence, std::int32_t index, RowBatch& rows) {
    BlockTable& table = sequence.table(Branch::conditional);
    bool& is_forked = sequence.is_forked[index_of(Branch::conditional)];
    if (!is_forked) fork(sequence, Branch::conditional, rows);
    is_forked = true;
    return table.data()[index / step::kBlockSize] * step::kBlockSize + index % step::kBlockSize;
  }

  void add_chunk(const PlanItem& item, Sequence& sequence, const Stop& stop) {
    Segment segment = start(sequence, stop.branch, stop.position + item.first);
    segment.apply_prior = stop.applies_prior;
    if (site_.program(stop).uses_cache) {
      const std::int32_t end = stop.position + item.first + item.rows;
      place(segment, sequence, item.stop, end, rows_of(item));
    }
    add_rows(item, sequence, stop, segment);
  }

  // The item's rows, a segment for each source that they come from.
  void add_rows(const PlanItem& item, const Sequence& sequence, const Stop& stop, Segment segment) {
    std::int32_t begin = 0;  // of the source, in the stop's rows
    std::int32_t next = item.first;
    const std::int32_t end = item.first + item.rows;
    for (const RowSource& source : stop.rows) {
      const std::int32_t last = std::min(begin + source.rows, end);
      if (source.is_unconditional && segment.branch == Branch::conditional) {
        segment.branch = Branch::unconditional;
        segment.position = stop.position;
      }
      if (next < last) {
        feed(segment, source, next - begin, last - next);
        if (segment.is_last) {
          const std::int32_t settled = stop.position + stop.settled_rows - segment.position;
          segment.settled_rows = std::clamp(settled, 0, segment.rows);
        }
        push(rows_of(item), segment);
        segment.position += last - next;
        next = last;
      }
      begin += source.rows;
    }
    if (next >= end) return;
    if (stop.replays >= 0 && next == begin && sequence.round > 0) {
      feed(segment, sequence.stop(stop.replays).rows.front(), 0, 1);
      push(rows_of(item), segment);
      ++segment.position;
      ++next;
    }
    if (next >= end) return;
    if (stop.replays >= 0) replay(segment, sequence, stop, next - begin);
    if (stop.reads >= 0) read(segment, sequence, next - begin);
    segment.rows = end - next;
    push(rows_of(item), segment);
  }

  // What fed the steps of this round so far, once more. What fed the first step of a later round
  // does not stand before what it made.
  void replay(Segment& segment, const Sequence& sequence, const Stop& stop,
              std::int32_t step) const {
    const RowSource& fed = sequence.stop(stop.replays).rows.front();
    feed(segment, fed, 0, 1);
    segment.input = Input::codes;
    segment.first_position = fed.first_position + step;
    segment.ids = sequence.stacks.data() + sequence.round_begin +
                  (std::int64_t{step} - 1) * site_.facts.stack_codes();
  }

  void read(Segment& segment, const Sequence& sequence, std::int32_t frame) const {
    feed(segment, RowSource{}, 0, 0);  // nothing of the rows before them
    segment.input = Input::codes;
    segment.ids = sequence.stacks.data() + site_.facts.stack_codes() +
                  std::int64_t{frame} * site_.facts.codebooks;
  }

  // All rows of the block in which the sequence is.
  Segment block_of(const PlanItem& item, Sequence& sequence, const Stop& stop, Branch branch) {
    Segment segment = start(sequence, branch, stop.position + sequence.final_rows);
    feed(segment, stop.rows.front(), 0, sequence.step_rows());
    place(segment, sequence, item.stop, segment.position + segment.rows, rows_of(item));
    return segment;
  }

  Segment step_of(const PlanItem& item, Sequence& sequence, const Stop& stop, Branch branch) {
    if (stop.block_rows > 0) return block_of(item, sequence, stop, branch);
    const std::int32_t step = item.first;
    Segment segment = start(sequence, branch, stop.position + step);
    const std::size_t first = branch == Branch::unconditional && stop.rows.size() > 2 ? 1 : 0;
    const RowSource& source = step > 0 ? stop.rows.back() : stop.rows[first];
    feed(segment, source, std::min(source.rows - 1, static_cast<std::int32_t>(branch)), 1);
    segment.first_position = source.first_position + step;
    if (step > 0) segment.input = Input::last_codes;
    segment.apply_prior = stop.applies_prior && branch == Branch::conditional;
    place(segment, sequence, item.stop, segment.position + 1, rows_of(item));
    return segment;
  }

  // A step and its drafts: a row for each, of which the first is fed with the last id.
  void add_drafted(const PlanItem& item, Sequence& sequence, const Stop& stop) {
    RowBatch& rows = rows_of(item);
    Segment segment = step_of(item, sequence, stop, Branch::conditional);
    segment.rows = item.rows;
    segment.input = Input::codes;
    segment.ids = sequence.drafting->fed();
    place(segment, sequence, item.stop, segment.position + segment.rows, rows);
    for (std::int32_t i = 0; i < item.rows; ++i) {
      step::Draw draw;
      draw.slot = sequence.slot;
      draw.conditional_row = rows.rows + i;
      draw.ahead = i;
      draw.drafts = segment.ids + 1;
      rows.draws.push_back(draw);
    }
    push(rows, segment);
  }

  void add_step(const PlanItem& item, Sequence& sequence, const Stop& stop) {
    if (item.rows > 1) return add_drafted(item, sequence, stop);
    RowBatch& rows = rows_of(item);
    step::Draw draw;
    draw.slot = sequence.slot;
    draw.rows = sequence.step_rows();
    draw.conditional_row = rows.rows;
    push(rows, step_of(item, sequence, stop, Branch::conditional));
    if (stop.num_branches > 1) {
      draw.unconditional_row = rows.rows;
      push(rows, step_of(item, sequence, stop, Branch::unconditional));
    }
    const auto& forced = sequence.request.itinerary.forced_codes;
    if (forced != nullptr)
      draw.forced = forced->data() + std::int64_t{item.first} * site_.facts.stack_codes();
    rows.draws.push_back(draw);
  }

  const Site& site_;
  step::StepBatch& batch_;
};

}  // namespace

void build_batch(const step::StepPlan& plan, Slots& slots, const Site& site,
                 step::StepBatch& batch) {
  batch.clear(site.programs.size());
  for (std::size_t program = 0; program < plan.programs.size(); ++program) {
    batch.programs[program].first_part = plan.programs[program].first;
    batch.programs[program].last_part = plan.programs[program].last;
    batch.programs[program].returns_rows = site.programs[program].emits != step::Emits::encoded;
  }
  Builder builder(site, batch);
  for (const PlanItem& item : plan.items) {
    if (item.slot == step::kNoSlot) {
      builder.add_unowned(item);
    } else {
      builder.add(item, *slots[static_cast<std::size_t>(item.slot)]);
    }
  }
}

}  // namespace ttsrt::executor
