#include "executor/batch_builder.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::Input;
using step::PlanItem;
using step::RowClass;
using step::Segment;

class Builder {
 public:
  Builder(const step::ModelFacts& facts, step::StepBatch& batch) : facts_(facts), batch_(batch) {}

  // Rows of an encoder whose request ended while they paused keep their place.
  void add_nobody(const PlanItem& item) {
    Segment segment;
    segment.slot = step::kNobody;
    segment.rows = item.rows;
    push(item.row_class, segment);
  }

  void add(const PlanItem& item, Sequence& sequence) {
    if (!sequence.is_admitted) {
      batch_.admissions.push_back({sequence.slot, sequence.request.rules.slot});
      sequence.is_admitted = true;
    }
    switch (item.row_class) {
      case RowClass::encode_text:
      case RowClass::project_memory:
        add_encoder_rows(item.row_class, sequence, sequence.request.text);
        break;
      case RowClass::encode_context:
        add_encoder_rows(item.row_class, sequence, sequence.request.context_encoder);
        break;
      case RowClass::prefill:
        add_prefill(item, sequence);
        break;
      case RowClass::decode:
        if (item.branch == Branch::conditional)
          add_decode(sequence);  // brings its unconditional row along
        break;
    }
  }

 private:
  static const float* vectors_of(const RowSource& source, std::int32_t first, std::int32_t dim) {
    return source.vectors ? source.vectors->data() + std::int64_t{first} * dim : nullptr;
  }

  std::int32_t ids_per_row(const RowSource& source) const {
    return source.input == Input::codes ? facts_.stack_codes() : 1;
  }

  // Rows take the learned vector of the place where they stand.
  static void add_positions(Segment& segment) {
    segment.position_table = 0;
    segment.first_position = segment.position;
  }

  void push(RowClass row_class, Segment segment) {
    step::RowBatch& rows = batch_.of(row_class);
    segment.first_row = rows.rows;
    rows.rows += segment.rows;
    rows.segments.push_back(segment);
  }

  void add_encoder_rows(RowClass row_class, const Sequence& sequence, const RowSource& source) {
    Segment segment;
    segment.slot = sequence.slot;
    segment.rows = source.rows;
    segment.input = source.input;
    segment.table = source.table;
    if (row_class != RowClass::project_memory) add_positions(segment);
    segment.ids = source.ids.data();
    segment.vectors = vectors_of(source, 0, facts_.dim);
    push(row_class, segment);
  }

  void add_prefill(const PlanItem& item, Sequence& sequence) {
    BlockTable& table = item.is_prefix                       ? sequence.prefix->table
                        : item.branch == Branch::conditional ? sequence.conditional
                                                             : sequence.unconditional;
    table.grow(item.first + item.rows);
    Segment segment;
    segment.slot = sequence.slot;
    segment.branch = item.branch;
    segment.blocks = table.data();
    segment.num_blocks = table.size();
    segment.apply_prior = sequence.request.rules.recomputes_prior;
    if (item.branch == Branch::unconditional) {
      segment.position = item.first;
      segment.rows = item.rows;
      segment.input = Input::zeros;
      add_positions(segment);
      push(RowClass::prefill, segment);
      return;
    }
    const std::int32_t context_rows =
        std::clamp(sequence.context_rows() - item.first, 0, item.rows);
    if (context_rows > 0)
      push(RowClass::prefill, context_segment(segment, sequence, item.first, context_rows));
    if (context_rows < item.rows) {  // rows already spoken, computed again under the newest prior
      const std::int32_t step = item.first + context_rows - sequence.context_rows();
      segment.position = item.first + context_rows;
      segment.rows = item.rows - context_rows;
      segment.input = Input::codes;
      segment.ids = sequence.stacks.data() + std::int64_t{step} * facts_.stack_codes();
      add_positions(segment);
      push(RowClass::prefill, segment);
    }
  }

  Segment context_segment(Segment segment, const Sequence& sequence, std::int32_t first,
                          std::int32_t rows) const {
    const RowSource& source = sequence.request.context;
    segment.position = first;
    segment.rows = rows;
    segment.input = source.input;
    segment.table = source.table;
    segment.kept_offset = first;
    add_positions(segment);
    if (!source.ids.empty())
      segment.ids = source.ids.data() + std::int64_t{first} * ids_per_row(source);
    segment.vectors = vectors_of(source, first, facts_.dim);
    return segment;
  }

  Segment decode_segment(const Sequence& sequence, Branch branch, BlockTable& table) const {
    table.grow(sequence.position() + 1);
    Segment segment;
    segment.slot = sequence.slot;
    segment.branch = branch;
    segment.rows = 1;
    segment.position = sequence.position();
    add_positions(segment);
    segment.blocks = table.data();
    segment.num_blocks = table.size();
    segment.input = sequence.steps == 0 ? Input::codes : Input::last_codes;
    segment.ids = sequence.stacks.data();  // the BOS stack
    segment.apply_prior = branch == Branch::conditional;
    return segment;
  }

  void add_decode(Sequence& sequence) {
    step::RowBatch& rows = batch_.of(RowClass::decode);
    step::Draw draw;
    draw.slot = sequence.slot;
    draw.conditional_row = rows.rows;
    push(RowClass::decode, decode_segment(sequence, Branch::conditional, sequence.conditional));
    if (sequence.is_guided()) {
      if (sequence.prefix != nullptr && !sequence.is_forked) {
        sequence.unconditional.fork_from(sequence.prefix->table, sequence.context_rows(),
                                         batch_.block_copies);
        sequence.is_forked = true;
      }
      draw.unconditional_row = rows.rows;
      push(RowClass::decode,
           decode_segment(sequence, Branch::unconditional, sequence.unconditional));
    }
    rows.draws.push_back(draw);
  }

  const step::ModelFacts& facts_;
  step::StepBatch& batch_;
};

}  // namespace

void build_batch(const step::StepPlan& plan, std::vector<std::unique_ptr<Sequence>>& sequences,
                 const step::ModelFacts& facts, step::StepBatch& batch) {
  batch.clear();
  for (std::size_t c = 0; c < plan.parts.size(); ++c) {
    batch.classes[c].first_part = plan.parts[c].first;
    batch.classes[c].last_part = plan.parts[c].last;
  }
  Builder builder(facts, batch);
  for (const PlanItem& item : plan.items) {
    if (item.sequence == step::kNobody) {
      builder.add_nobody(item);
      continue;
    }
    Sequence& sequence = *sequences[static_cast<std::size_t>(item.sequence)];
    builder.add(item, sequence);
    if (item.is_prefix) sequence.prefix->planned += item.rows;
  }
}

}  // namespace ttsrt::executor
