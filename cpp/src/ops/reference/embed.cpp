// EmbedRows and StoreContext: rows from ids, from vectors and from the slots.
#include <algorithm>
#include <vector>

#include "core/check.h"
#include "ops/reference/run.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::ops::reference {
namespace {

// Writes the mean over the tables of one stack of codes [codebooks], summed in the order of tables.
void embed_codes(const EmbedRows& op, const std::int32_t* codes, std::int64_t dim, float* out) {
  const WeightReader tables(op.code_tables);
  std::fill(out, out + dim, 0.0F);
  if (codes[0] == step::kZeroRow) return;
  for (std::int32_t table = 0; table < op.codebooks; ++table) {
    TTSRT_CHECK(InternalError, codes[table] >= 0 && codes[table] < op.vocab, "code ", codes[table],
                " of table ", table, ": expected below ", op.vocab);
    const std::int64_t row = std::int64_t{table} * op.vocab + codes[table];
    for (std::int64_t d = 0; d < dim; ++d) out[d] += tables.at(row, d);
  }
  for (std::int64_t d = 0; d < dim; ++d) out[d] /= static_cast<float>(op.codebooks);
}

void embed_kept(Slot& slot, const StateSpec& spec, std::int64_t row, std::int64_t dim, float* out) {
  TTSRT_CHECK(InternalError, dim <= spec.dim && row >= 0 && row < spec.max_context_rows,
              "context row ", row, " of ", spec.max_context_rows, ", width ", dim, " of ",
              spec.dim);
  const float* kept = slot.context_rows.data() + row * spec.dim;
  std::copy(kept, kept + dim, out);
}

const Weight& table_of(const std::vector<Weight>& tables, std::int32_t table, const char* what) {
  TTSRT_CHECK(InternalError, table >= 0 && static_cast<std::size_t>(table) < tables.size(), what,
              " table ", table, " of ", tables.size());
  return tables[static_cast<std::size_t>(table)];
}

// Writes row `i` of a segment, without positions.
void embed_row(const EmbedRows& op, Run& at, const step::Segment& segment, std::int32_t i,
               std::int64_t dim, float* out) {
  const bool needs_ids = segment.input == step::Input::codes || segment.input == step::Input::ids;
  TTSRT_CHECK(InternalError, !needs_ids || segment.ids != nullptr, "segment: ids are absent");
  TTSRT_CHECK(InternalError, segment.input != step::Input::vectors || segment.vectors != nullptr,
              "segment: vectors are absent");
  const auto slot = [&]() -> Slot& { return at.state.slot(segment.slot); };
  switch (segment.input) {
    case step::Input::codes:
      return embed_codes(op, segment.ids + std::int64_t{i} * op.codebooks, dim, out);
    case step::Input::last_codes:
      TTSRT_CHECK(InternalError, op.codebooks == at.state.spec().codebooks, "last codes: expected ",
                  op.codebooks, " tables, got ", at.state.spec().codebooks);
      return embed_codes(op, slot().last_codes.data(), dim, out);
    case step::Input::block_codes:
      return embed_codes(op, slot().last_codes.data() + i, dim, out);
    case step::Input::ids:
      return WeightReader(table_of(op.id_tables, segment.table, "id")).row(segment.ids[i], out);
    case step::Input::vectors:
      std::copy(segment.vectors + i * dim, segment.vectors + (i + 1) * dim, out);
      return;
    case step::Input::zeros:
      std::fill(out, out + dim, 0.0F);
      return;
    case step::Input::kept_rows:
      return embed_kept(slot(), at.state.spec(), segment.kept_offset + i, dim, out);
  }
}

}  // namespace

void run(const EmbedRows& op, Run& at) {
  const std::int64_t dim = at.width_of(op.out);
  float* out = at.rows(op.out, dim);
  std::vector<float> learned(static_cast<std::size_t>(dim));
  for (const step::Segment& segment : at.batch.segments) {
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      float* row = out + (segment.first_row + i) * dim;
      embed_row(op, at, segment, i, dim, row);
      if (!op.adds_positions || segment.position_table < 0) continue;
      const Weight& table = table_of(op.position_tables, segment.position_table, "position");
      WeightReader(table).row(segment.first_position + i, learned.data());
      for (std::int64_t d = 0; d < dim; ++d) row[d] += learned[static_cast<std::size_t>(d)];
    }
  }
}

void run(const StoreContext& op, Run& at) {
  const StateSpec& spec = at.state.spec();
  const std::int64_t width = at.width_of(op.x);
  const float* x = at.rows(op.x, width);
  for (const step::Segment& segment : at.batch.segments) {
    if (segment.slot == step::kNoSlot) continue;
    TTSRT_CHECK(
        InternalError,
        segment.kept_offset >= 0 && segment.kept_offset + segment.rows <= spec.max_context_rows,
        "context rows ", segment.kept_offset, " to ", segment.kept_offset + segment.rows, " of ",
        spec.max_context_rows);
    Slot& slot = at.state.slot(segment.slot);
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      const float* from = x + std::int64_t{segment.first_row + i} * width;
      std::copy(from, from + width,
                slot.context_rows.data() + std::int64_t{segment.kept_offset + i} * spec.dim);
      at.check_finite(segment.first_row + i, from, width);
    }
  }
}

}  // namespace ttsrt::ops::reference
