// What a FakeNetwork runs: every row is checked against books of who wrote what, and codes, samples
// and scores depend on a request's seed and step alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "core/check.h"
#include "step/output.h"
#include "support/fake_control.h"

namespace ttsrt::test {

// The code a request with this seed draws at `step` in place `c` of its stack: never an end.
inline std::int32_t fake_code(std::uint64_t seed, std::int32_t step, std::int32_t c) {
  return static_cast<std::int32_t>(
      (seed * 7 + static_cast<std::uint64_t>(step) * 3 + static_cast<std::uint64_t>(c)) % 12);
}

// The sample that a frame's first code becomes, and one that a whole item's row becomes, to which
// every evaluation of the Programs before it adds a sixteenth.
inline float fake_sample(std::int32_t code) { return static_cast<float>(code) + 0.25F; }
inline float fake_row_value(std::uint64_t seed, std::int32_t row) {
  return static_cast<float>(seed * 100) + static_cast<float>(row);
}

class FakeDevice {
 public:
  explicit FakeDevice(const FakeOptions& options)
      : options_(options),
        slots_(at(options.slots)),
        cells_(at(options.num_blocks * options.block_size)),
        paused_(options.programs.size()) {}

  // A launch that failed half-way: what it should have written is spoiled, and so is whoever reads
  // it, until a later request takes the slot.
  void spoil(const step::StepBatch& batch) {
    spoils_ = true;
    run(batch);
    spoils_ = false;
  }

  step::StepOutput run(const step::StepBatch& batch) {
    step::StepOutput output;
    output.max_text_len = options_.facts.max_text_len;
    output.seconds.assign(options_.programs.size(), 0.0);
    for (const step::SlotReset& reset : batch.resets) {
      Slot& slot = slots_.at(at(reset.slot));
      if (reset.is_next_round) {
        slot.rules = reset.rules;
        slot.step = 0;
      } else {
        slot = {reset.rules, 0, ++owners_, {}, spoils_};
      }
    }
    TTSRT_CHECK(InternalError, batch.programs.size() == options_.programs.size(),
                "fake: a batch of ", batch.programs.size(), " Programs");
    for (std::size_t p = 0; p < batch.programs.size(); ++p) {
      const step::RowBatch& rows = batch.programs[p];
      for (const step::BlockCopy& copy : rows.copies) copy_block(copy);
      if (rows.rows == 0) continue;
      run_program(static_cast<std::int32_t>(p), rows, output);
    }
    options_.change(batch, output);
    return output;
  }

 private:
  static constexpr std::int32_t kSpoiledCode = 15;                         // what no request gives
  static constexpr std::uint64_t kUnconditional = std::uint64_t{1} << 32;  // flag of an owner

  struct Slot {
    rules::SlotRules rules;
    std::int32_t step = 0;  // of its round
    std::uint64_t owner = 0;
    std::map<std::int32_t, std::int32_t> evaluations;  // by Program: whole items that ran
    bool is_spoiled = false;
  };
  struct Cell {
    std::uint64_t owner = UINT64_MAX;  // 0: zeros, anybody's
    std::int32_t position = -1;
    bool is_spoiled = false;
  };
  struct Paused {
    std::int32_t next_part = 0;
    std::vector<std::uint64_t> owners;
  };

  static std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

  void run_program(std::int32_t index, const step::RowBatch& rows, step::StepOutput& output) {
    const step::ProgramInfo& program = options_.programs[at(index)];
    const bool is_step = program.pace == step::Pace::stepwise;
    for (const step::Segment& segment : rows.segments) {
      if (spoils_ && segment.slot != step::kNoSlot) slots_.at(at(segment.slot)).is_spoiled = true;
    }
    check_rows(rows, is_step ? 2 * options_.slots : options_.facts.max_rows);
    if (program.pace == step::Pace::whole) {
      if (!run_whole(index, rows)) return tell_seconds(index, rows, output);
    } else if (program.uses_cache) {
      for (const step::Segment& segment : rows.segments) write_rows(segment);
    }
    if (program.emits != step::Emits::nothing && rows.returns_rows) emit(index, rows, output);
    if (is_step) {
      step(rows, output);
    } else {
      tell_seconds(index, rows, output);
    }
  }

  static void check_rows(const step::RowBatch& rows, std::int32_t max_rows) {
    std::int32_t reached = 0;
    for (const step::Segment& segment : rows.segments) {
      TTSRT_CHECK(InternalError, segment.first_row == reached && segment.rows > 0,
                  "fake: a gap between segments");
      reached += segment.rows;
    }
    TTSRT_CHECK(InternalError, reached == rows.rows && reached <= max_rows, "fake: ", rows.rows,
                " rows of ", max_rows);
  }

  // A whole Program goes on where it stopped, with the same rows; those of ended requests are
  // nobody's. Whether it has come to its last part.
  bool run_whole(std::int32_t index, const step::RowBatch& rows) {
    Paused& paused = paused_[at(index)];
    const std::int32_t end = options_.programs[at(index)].num_parts;
    const std::int32_t last = std::min(rows.last_part, end);
    TTSRT_CHECK(InternalError, rows.first_part < last, "fake: no part runs");
    TTSRT_CHECK(InternalError, rows.first_part == 0 || rows.first_part == paused.next_part,
                "fake: part ", rows.first_part, " after ", paused.next_part);
    std::vector<std::uint64_t> owners;
    for (const step::Segment& segment : rows.segments)
      owners.push_back(segment.slot == step::kNoSlot ? 0 : slots_.at(at(segment.slot)).owner);
    for (std::size_t i = 0; rows.first_part > 0 && i < owners.size(); ++i) {
      TTSRT_CHECK(InternalError, owners.size() == paused.owners.size(), "fake: other rows");
      TTSRT_CHECK(InternalError, owners[i] == 0 || owners[i] == paused.owners[i],
                  "fake: another's rows go on");
    }
    paused = {last, std::move(owners)};
    if (last < end) return false;
    for (const step::Segment& segment : rows.segments) {
      if (segment.slot != step::kNoSlot) ++slots_.at(at(segment.slot)).evaluations[index];
    }
    return true;
  }

  void tell_seconds(std::int32_t index, const step::RowBatch& rows, step::StepOutput& output) {
    const std::int32_t parts =
        std::min(rows.last_part, options_.programs[at(index)].num_parts) - rows.first_part;
    output.seconds[at(index)] = rows.rows * parts * options_.row_seconds;
  }

  // A sample for each row: of the frame's first code where rows are codes, else of the row.
  void emit(std::int32_t index, const step::RowBatch& rows, step::StepOutput& output) {
    step::RowsOutput& emitted = output.rows.emplace_back();
    emitted.program = index;
    emitted.width = options_.row_samples;
    for (const step::Segment& segment : rows.segments) {
      for (std::int32_t row = 0; row < segment.rows; ++row) {
        if (segment.slot == step::kNoSlot) {
          add_samples(emitted, 0.0F);
        } else if (segment.input == step::Input::codes) {
          add_samples(emitted, fake_sample(segment.ids[row * options_.facts.codebooks]));
        } else {
          const Slot& slot = slots_.at(at(segment.slot));
          float value = fake_row_value(slot.rules.sampler.seed, row);
          for (const auto& [program, count] : slot.evaluations)
            value += program < index ? static_cast<float>(count) / 16.0F : 0.0F;
          add_samples(emitted, value);
        }
      }
    }
  }

  void add_samples(step::RowsOutput& emitted, float value) const {
    emitted.values.insert(emitted.values.end(), at(options_.row_samples), value);
  }

  Cell& cell(const step::Segment& segment, std::int32_t position) {
    const std::int32_t block = position / options_.block_size;
    TTSRT_CHECK(InternalError, block < segment.num_blocks, "fake: position ", position,
                " has no block");
    return cells_.at(
        at(segment.blocks[block] * options_.block_size + position % options_.block_size));
  }

  std::uint64_t owner_of(const step::Segment& segment) const {
    const std::uint64_t owner = slots_.at(at(segment.slot)).owner;
    const bool is_unconditional = segment.branch == step::Branch::unconditional;
    const bool may_share = options_.is_any_branch_shared || is_unconditional;
    if (may_share && segment.input == step::Input::zeros) return 0;
    return is_unconditional ? owner | kUnconditional : owner;
  }

  void write_rows(const step::Segment& segment) {
    for (std::int32_t i = 0; i < segment.rows; ++i)
      cell(segment, segment.position + i) = {owner_of(segment), segment.position + i, spoils_};
  }

  void copy_block(const step::BlockCopy& copy) {
    for (std::int32_t i = 0; i < options_.block_size; ++i) {
      cells_.at(at(copy.to * options_.block_size + i)) =
          cells_.at(at(copy.from * options_.block_size + i));
    }
  }

  // Everything a step's row sees must be what its own request wrote, or shared zeros.
  void check_past(const step::Segment& segment) {
    Slot& slot = slots_.at(at(segment.slot));
    for (std::int32_t position = 0; position <= segment.position; ++position) {
      const Cell& seen = cell(segment, position);
      slot.is_spoiled |= seen.is_spoiled;
      if (slot.is_spoiled) return;
      const bool is_shared =
          options_.is_any_branch_shared || segment.branch == step::Branch::unconditional;
      const bool may_share = is_shared && seen.owner == 0;
      TTSRT_CHECK(InternalError,
                  seen.position == position && (may_share || seen.owner == owner_of(segment)),
                  "fake: slot ", segment.slot, " sees another's row at ", position);
    }
  }

  void step(const step::RowBatch& rows, step::StepOutput& output) {
    for (const step::Segment& segment : rows.segments) check_past(segment);
    for (const step::Draw& draw : rows.draws) {
      Slot& slot = slots_.at(at(draw.slot));
      TTSRT_CHECK(InternalError, slot.is_spoiled || !slot.evaluations.empty(),
                  "fake: steps before its text is encoded");
      TTSRT_CHECK(InternalError, (draw.unconditional_row >= 0) == (slot.rules.cfg_scale != 1.0F),
                  "fake: guidance");
      const step::Segment& fed = rows.segments.at(at(draw.conditional_row));
      TTSRT_CHECK(InternalError, (fed.input == step::Input::last_codes) == (slot.step > 0),
                  "fake: step ", slot.step, " is fed by another");
      const bool ends = options_.end_step(slot.rules.sampler.seed) == slot.step;
      const bool has_prior = slot.rules.prior.mode != rules::PriorMode::off;
      output.draws.push_back(
          {draw.slot, ends ? options_.end_frame : -1, has_prior ? slot.step : -1});
      const std::int32_t step = slot.rules.first_step + slot.step;
      for (std::int32_t c = 0; c < options_.facts.stack_codes(); ++c)
        output.codes.push_back(slot.is_spoiled ? kSpoiledCode
                                               : fake_code(slot.rules.sampler.seed, step, c));
      for (std::int32_t j = 0; j < output.max_text_len; ++j)
        output.scores.push_back(static_cast<float>(step * 100 + j));
      ++slot.step;
    }
  }

  const FakeOptions options_;
  std::vector<Slot> slots_;
  std::vector<Cell> cells_;
  std::vector<Paused> paused_;  // of every Program
  std::uint64_t owners_ = 0;
  bool spoils_ = false;
};

}  // namespace ttsrt::test
