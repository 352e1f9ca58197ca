#include "cuda/launch_rows.h"

#include <algorithm>
#include <cstring>

#include "cuda/check.h"
#include "step/packed_rows.h"

namespace ttsrt::cuda {
namespace {

static_assert(kZeroRow == step::kZeroRow);

constexpr bool is_source(step::Input input, Source source) {
  return static_cast<std::int32_t>(input) == static_cast<std::int32_t>(source);
}
static_assert(is_source(step::Input::codes, Source::codes));
static_assert(is_source(step::Input::ids, Source::ids));
static_assert(is_source(step::Input::vectors, Source::vectors));
static_assert(is_source(step::Input::zeros, Source::zeros));
static_assert(is_source(step::Input::last_codes, Source::last_codes));
static_assert(is_source(step::Input::block_codes, Source::block_codes));
static_assert(is_source(step::Input::kept_rows, Source::kept_rows));

std::int32_t* writable(const std::int32_t* array) { return const_cast<std::int32_t*>(array); }

// Fills the host's arrays from a batch.
class Packer {
 public:
  Packer(const step::RowBatch& batch, const RowsView& view, const RowLimits& limits,
         std::int32_t* ids, float* vectors, std::vector<DeviceRows>& device_rows)
      : batch_(batch),
        view_(view),
        limits_(limits),
        ids_(ids),
        vectors_(vectors),
        device_rows_(device_rows) {}

  void pack(const SlotUses& uses, std::int32_t stage) {
    for (std::size_t s = 0; s < batch_.segments.size(); ++s) {
      pack_segment(s);
      if (limits_.has_items) pack_item(s);
    }
    for (std::size_t s = batch_.segments.size(); s-- > 0;) close_chain(s);
    for (std::int32_t d = 0; d < num_draws(); ++d) {
      pack_draw(d);
      if (limits_.max_drafts > 0) pack_drafts(d, uses);
    }
    std::int32_t pick_rows = 0;
    bool keeps_scores = false;
    bool tells_logprobs = false;
    for (std::int32_t d = 0; d < num_draws(); ++d) {
      const step::Draw& draw = batch_.draws[static_cast<std::size_t>(d)];
      keeps_scores = keeps_scores || uses.keeps_scores(draw.slot);
      tells_logprobs = tells_logprobs || uses.tells_logprobs(draw.slot);
      if (!uses.uses_picks(draw.slot)) continue;
      writable(view_.pick_draw)[picks] = d;
      writable(view_.pick_first)[picks++] = pick_rows;
      writable(view_.pick_source)[pick_rows++] = draw.conditional_row;
      if (draw.unconditional_row >= 0)
        writable(view_.pick_source)[pick_rows++] = draw.unconditional_row;
    }
    std::int32_t* counts = writable(view_.counts);
    counts[static_cast<int>(Count::rows)] = batch_.rows;
    counts[static_cast<int>(Count::draws)] = num_draws();
    counts[static_cast<int>(Count::picks)] = picks;
    counts[static_cast<int>(Count::pick_rows)] = pick_rows;
    counts[static_cast<int>(Count::pick_places)] = pick_rows * (limits_.codebooks + 1);
    counts[static_cast<int>(Count::keeps_scores)] = keeps_scores ? 1 : 0;
    counts[static_cast<int>(Count::stage)] = stage;
    counts[static_cast<int>(Count::segments)] = static_cast<std::int32_t>(batch_.segments.size());
    counts[static_cast<int>(Count::tiles)] = tiles_;
    counts[static_cast<int>(Count::tells_logprobs)] = tells_logprobs ? 1 : 0;
  }

  std::int32_t picks = 0;
  std::int64_t used_ids = 0;
  std::int64_t next_draft = 0;  // from the first id on
  std::int64_t used_blocks = 0;
  std::int64_t used_rows = 0;
  std::int64_t used_device_rows = 0;  // at the end of the vectors

 private:
  std::int32_t num_draws() const { return static_cast<std::int32_t>(batch_.draws.size()); }

  void pack_segment(std::size_t index) {
    const step::Segment& from = batch_.segments[index];
    const bool continues = step::continues(batch_.segments, index);
    const std::int32_t chain = continues ? view_.chain_begin[from.first_row - 1] : from.first_row;
    const auto table = static_cast<std::int32_t>(used_blocks);
    if (limits_.max_blocks > 0 && from.slot != step::kNoSlot) {
      const std::int64_t used = step::blocks_for(std::int64_t{from.position} + from.rows);
      std::copy_n(from.blocks, used, writable(view_.blocks) + used_blocks);
      used_blocks += used;
    }
    const bool on_device = is_on_device(from);
    const std::int32_t device_at = on_device ? take_device_rows(from) : 0;
    const std::int32_t source = on_device ? static_cast<std::int32_t>(Source::unchecked_vectors)
                                          : static_cast<std::int32_t>(from.input);
    for (std::int32_t i = 0; i < from.rows; ++i) {
      const std::int32_t row = from.first_row + i;
      writable(view_.slot)[row] = from.slot;
      writable(view_.position)[row] = from.position + i;
      writable(view_.branch)[row] = from.branch == step::Branch::conditional ? 0 : 1;
      writable(view_.source)[row] = source;
      writable(view_.source_at)[row] = on_device ? device_at + i : source_at(from, i);
      writable(view_.id_table)[row] = from.table;
      writable(view_.position_table)[row] = from.position_table;
      writable(view_.position_row)[row] = from.first_position + i;
      writable(view_.kept_row)[row] = from.kept_offset + i;
      writable(view_.applies_prior)[row] = from.apply_prior ? 1 : 0;
      writable(view_.draw)[row] = -1;
      writable(view_.segment_begin)[row] = from.first_row;
      writable(view_.segment_end)[row] = from.first_row + from.rows;
      writable(view_.chain_begin)[row] = chain;
      writable(view_.table_at)[row] = table;
    }
  }

  void pack_item(std::size_t index) {
    const step::Segment& from = batch_.segments[index];
    const step::Segment* partner = step::partner_of(batch_.segments, index);
    std::int32_t step_bits = 0;
    std::memcpy(&step_bits, &from.step_size, sizeof(step_bits));
    const std::int32_t schedule_begin = std::max(from.slot, 0) * limits_.schedule_rows;
    for (std::int32_t i = 0; i < from.rows; ++i) {
      const std::int32_t row = from.first_row + i;
      writable(view_.segment)[row] = static_cast<std::int32_t>(index);
      writable(view_.schedule_row)[row] = schedule_begin + from.schedule_row;
      writable(view_.step_size)[row] = step_bits;
      writable(view_.ends_step)[row] = from.ends_step ? 1 : 0;
      writable(view_.is_last)[row] = from.is_last ? 1 : 0;
      writable(view_.settled_end)[row] = from.first_row + from.settled_rows;
      writable(view_.partner)[row] = partner == nullptr ? -1 : partner->first_row + i;
    }
    for (std::int32_t i = 0; i < from.rows; i += item_piece(from.rows))
      writable(view_.tile_row)[tiles_++] = from.first_row + i;
  }

  bool is_on_device(const step::Segment& from) const {
    return from.input == step::Input::vectors && from.device_vectors != nullptr && limits_.dim > 0;
  }

  // Vectors on the device go to the end of the array, where the host's never come.
  std::int32_t take_device_rows(const step::Segment& from) {
    used_device_rows += from.rows;
    const std::int64_t at = limits_.max_rows - used_device_rows;
    device_rows_.push_back({from.device_vectors, at, from.rows});
    return static_cast<std::int32_t>(at);
  }

  // Where row `i` of a segment comes from; copies its ids or its vector.
  std::int32_t source_at(const step::Segment& from, std::int32_t i) {
    if (from.input == step::Input::kept_rows) return from.kept_offset + i;
    if (from.input == step::Input::block_codes) return i;
    if (from.input == step::Input::vectors) {
      if (from.vectors == nullptr || limits_.dim == 0) return 0;
      std::copy_n(from.vectors + i * limits_.dim, limits_.dim, vectors_ + used_rows * limits_.dim);
      return static_cast<std::int32_t>(used_rows++);
    }
    const bool is_codes = from.input == step::Input::codes;
    if ((!is_codes && from.input != step::Input::ids) || from.ids == nullptr) return 0;
    const std::int64_t count = is_codes ? limits_.code_width : 1;
    std::copy_n(from.ids + i * count, count, ids_ + used_ids);
    used_ids += count;
    return static_cast<std::int32_t>(used_ids - count);
  }

  // A chain ends where its last segment ends.
  void close_chain(std::size_t index) {
    const step::Segment& from = batch_.segments[index];
    const std::int32_t end = from.first_row + from.rows;
    const bool goes_on =
        index + 1 < batch_.segments.size() && step::continues(batch_.segments, index + 1);
    const std::int32_t last = goes_on ? view_.chain_end[end] : end;
    std::fill_n(writable(view_.chain_end) + from.first_row, from.rows, last);
  }

  void pack_draw(std::int32_t d) {
    const step::Draw& from = batch_.draws[static_cast<std::size_t>(d)];
    writable(view_.draw_slot)[d] = from.slot;
    writable(view_.draw_conditional)[d] = from.conditional_row;
    writable(view_.draw_unconditional)[d] = from.unconditional_row;
    writable(view_.draw_rows)[d] = from.rows;
    writable(view_.draw_forced)[d] = -1;
    writable(view_.draw)[from.conditional_row] = d;
    if (from.forced == nullptr) return;
    writable(view_.draw_forced)[d] = static_cast<std::int32_t>(used_ids);
    std::copy_n(from.forced, limits_.codebooks, ids_ + used_ids);
    used_ids += limits_.codebooks;
  }

  // A guess may be behind all ids of a text, so they are copied only where scores depend on them.
  void pack_drafts(std::int32_t d, const SlotUses& uses) {
    const step::Draw& from = batch_.draws[static_cast<std::size_t>(d)];
    writable(view_.draw_ahead)[d] = from.ahead;
    writable(view_.draw_drafts)[d] = static_cast<std::int32_t>(next_draft);
    writable(view_.draw_guess)[d] = from.is_guess ? 1 : 0;
    if (from.is_guess && !uses.counts_ids(from.slot)) return;
    std::copy_n(from.drafts, from.ahead, ids_ + next_draft);
    next_draft += from.ahead;
  }

  const step::RowBatch& batch_;
  const RowsView& view_;
  const RowLimits& limits_;
  std::int32_t* ids_;
  float* vectors_;
  std::vector<DeviceRows>& device_rows_;
  std::int32_t tiles_ = 0;
};

RowsLayout layout_of(const RowLimits& limits) {
  RowsLayout layout;
  layout.max_rows = limits.max_rows;
  layout.max_draws = limits.max_draws;
  layout.max_blocks = limits.max_blocks;
  layout.codebooks = limits.codebooks;
  layout.code_width = limits.code_width;
  layout.max_drafts = limits.max_drafts;
  layout.has_items = limits.has_items;
  layout.max_tiles = limits.has_items ? limits.tiles.most(limits.max_rows) : 0;
  return layout;
}

void copy_up(void* to, const void* from, std::int64_t bytes, cudaStream_t stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync");
}

}  // namespace

SlotUses uses_of(const KnownSlots& slots) {
  const auto rules = [&slots](std::int32_t slot) -> const rules::SlotRules& {
    return slots.rules[static_cast<std::size_t>(slot)];
  };
  const auto tokens = [&slots](std::int32_t slot) -> const TokenHead& {
    return slots.tokens[static_cast<std::size_t>(slot)];
  };
  return {[=](std::int32_t slot) { return rules(slot).use_local_transformer; },
          [=](std::int32_t slot) { return rules(slot).keep_scores; },
          [=](std::int32_t slot) { return tokens(slot).counts_ids(); },
          [=](std::int32_t slot) { return tokens(slot).num_logprobs >= 0; }};
}

LaunchRows::LaunchRows(const RowLimits& limits, DeviceMemory& memory)
    : limits_(limits), layout_(layout_of(limits)) {
  const auto numbers = static_cast<std::size_t>(num_numbers());
  const auto values = static_cast<std::size_t>(limits.max_rows * limits.dim);
  device_numbers_ = memory.take<std::int32_t>(numbers, "rows");
  device_vectors_ = memory.take<float>(values, "rows");
  view_ = layout_.view(device_numbers_, device_vectors_);
  device_rows_.reserve(static_cast<std::size_t>(limits.max_rows));
  if (memory.counts_only()) return;
  for (std::int32_t stage = 0; stage < kStages; ++stage) {
    numbers_.emplace_back(numbers * sizeof(std::int32_t));
    vectors_.emplace_back(values * sizeof(float));
  }
}

RowsView LaunchRows::pack(const step::RowBatch& batch, const SlotUses& uses, std::int32_t stage,
                          std::int32_t* numbers, float* vectors) {
  const RowsView view = layout_.view(numbers, vectors);
  device_rows_.clear();
  Packer packer(batch, view, limits_, writable(view.ids), vectors, device_rows_);
  packer.next_draft = layout_.first_draft();
  packer.pack(uses, stage);
  used_blocks_ = packer.used_blocks;
  used_ids_ = limits_.max_drafts > 0 ? packer.next_draft : packer.used_ids;
  used_rows_ = packer.used_rows;
  return view;
}

LaunchCounts LaunchRows::copy(const step::RowBatch& batch, const SlotUses& uses, std::int32_t stage,
                              cudaStream_t stream) {
  const auto at = static_cast<std::size_t>(stage);
  const RowsView host =
      pack(batch, uses, stage, numbers_[at].as<std::int32_t>(), vectors_[at].as<float>());
  const auto width = static_cast<std::int64_t>(sizeof(std::int32_t));
  copy_up(device_numbers_, host.counts, (layout_.table_numbers() + used_blocks_) * width, stream);
  copy_up(writable(view_.ids), host.ids, used_ids_ * width, stream);
  copy_up(device_vectors_, host.vectors, used_rows_ * limits_.dim * width, stream);
  for (const DeviceRows& of : device_rows_) {
    check(cudaMemcpyAsync(device_vectors_ + of.to * limits_.dim, of.from,
                          static_cast<std::size_t>(of.rows * limits_.dim) * sizeof(float),
                          cudaMemcpyDeviceToDevice, stream),
          "a copy of rows of a request");
  }
  LaunchCounts counts;
  counts.rows = batch.rows;
  counts.draws = static_cast<std::int32_t>(batch.draws.size());
  counts.picks = host.counts[static_cast<int>(Count::picks)];
  counts.keeps_scores = host.counts[static_cast<int>(Count::keeps_scores)] != 0;
  counts.tells_logprobs = host.counts[static_cast<int>(Count::tells_logprobs)] != 0;
  counts.has_single_rows = batch.segments.size() == static_cast<std::size_t>(batch.rows);
  for (std::int32_t row = 0; counts.has_single_rows && row < batch.rows; ++row)
    counts.has_single_rows = host.chain_begin[row] == row;
  return counts;
}

}  // namespace ttsrt::cuda
