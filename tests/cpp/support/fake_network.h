// A model::Network that computes nothing: it keeps books of a paged cache, checks every batch
// against them, and yields codes that depend on a request's seed and step alone. Tests hold it,
// fail it and look at what it was sent through its Control.
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/check.h"
#include "model/network.h"
#include "support/facts.h"

namespace ttsrt::test {

// The code a request with this seed draws at `step` in place `c` of its stack: never an end.
inline std::int32_t fake_code(std::uint64_t seed, std::int32_t step, std::int32_t c) {
  return static_cast<std::int32_t>(
      (seed * 7 + static_cast<std::uint64_t>(step) * 3 + static_cast<std::uint64_t>(c)) % 12);
}

enum class Fail { none, launch, device };

// What tests and the network's thread share.
class Control {
 public:
  // Launches wait from now on, until release() or permit().
  void hold() { set_permits(0); }
  void release() { set_permits(INT64_MAX); }
  void permit(std::int64_t launches) { set_permits(launches); }
  // The next launch fails.
  void fail_next(Fail how) {
    const std::lock_guard<std::mutex> lock(mutex_);
    fail_ = how;
  }
  // Waits until so many launches were begun (a held one counts).
  void await_launches(std::int64_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return begun_ >= count; });
  }
  std::int64_t num_launches() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_;
  }
  // Seeds in the order their requests were admitted.
  std::vector<std::uint64_t> admitted() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return admitted_;
  }
  std::int32_t most_draws() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return most_draws_;
  }

 private:
  friend class FakeNetwork;

  void set_permits(std::int64_t permits) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      permits_ = permits;
    }
    changed_.notify_all();
  }

  Fail begin_launch(const step::StepBatch& batch) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return permits_ > 0; });
    if (permits_ != INT64_MAX) --permits_;
    for (const step::Admission& admission : batch.admissions)
      admitted_.push_back(admission.rules.sampler.seed);
    most_draws_ = std::max(
        most_draws_, static_cast<std::int32_t>(batch.of(step::RowClass::decode).draws.size()));
    return std::exchange(fail_, Fail::none);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t permits_ = INT64_MAX;
  std::int64_t begun_ = 0;
  Fail fail_ = Fail::none;
  std::vector<std::uint64_t> admitted_;
  std::int32_t most_draws_ = 0;
};

struct FakeOptions {
  step::ModelFacts facts = small_facts();
  std::int32_t slots = 3;
  std::int32_t block_size = 4;
  std::int32_t num_blocks = 120;
  std::int32_t encoder_parts = 1;  // layers an encoder may stop behind
  double row_seconds = 0.0;        // what a row of encoders and prefill says it took, per part
  // Step of a seed at which speech ends, and the frame of that stack; -1: never.
  std::function<std::int32_t(std::uint64_t)> end_step = [](std::uint64_t) { return -1; };
  std::int32_t end_frame = 0;
};

class FakeNetwork final : public model::Network {
 public:
  FakeNetwork(FakeOptions options, std::shared_ptr<Control> control)
      : options_(std::move(options)),
        control_(std::move(control)),
        slots_(static_cast<std::size_t>(options_.slots)),
        cells_(static_cast<std::size_t>(options_.num_blocks * options_.block_size)) {
    info_.device = "fake";
    info_.slots = options_.slots;
    info_.num_blocks = options_.num_blocks;
    info_.block_size = options_.block_size;
    info_.num_parts = {options_.encoder_parts, 1, options_.encoder_parts, 1, 1};
    info_.facts = options_.facts;
  }

  const model::NetworkInfo& info() const override { return info_; }

  model::Ticket launch(const step::StepBatch& batch) override {
    const Fail fail = control_->begin_launch(batch);
    if (fail == Fail::launch) throw std::runtime_error("the launch failed");
    if (fail == Fail::device) throw DeviceError("the device fell off");
    for (const step::Admission& admission : batch.admissions)
      slots_.at(at(admission.slot)) = {admission.rules, 0, ++owners_};
    for (const step::RowClass row_class :
         {step::RowClass::encode_text, step::RowClass::project_memory,
          step::RowClass::encode_context}) {
      check_rows(batch.of(row_class), info_.facts.max_rows);
      check_parts(row_class, batch.of(row_class));
    }
    check_rows(batch.of(step::RowClass::prefill), info_.facts.max_rows);
    for (const step::Segment& segment : batch.of(step::RowClass::prefill).segments)
      write_rows(segment);
    for (const step::BlockCopy& copy : batch.block_copies) copy_block(copy);
    decode(batch.of(step::RowClass::decode));
    tell_seconds(batch);
    return ++ticket_;
  }

  const step::StepOutput& collect(model::Ticket ticket) override {
    TTSRT_CHECK(InternalError, ticket == ticket_, "collect: an unknown ticket");
    return output_;
  }

 private:
  static constexpr std::uint64_t kUnconditional = std::uint64_t{1} << 32;  // flag of an owner

  struct Slot {
    rules::SlotRules rules;
    std::int32_t step = 0;
    std::uint64_t owner = 0;
  };
  struct Cell {
    std::uint64_t owner = UINT64_MAX;  // 0: the unconditional context, anybody's
    std::int32_t position = -1;
  };

  static std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

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

  // An encoder goes on where it stopped, with the same rows; those of the gone are nobody's.
  void check_parts(step::RowClass row_class, const step::RowBatch& rows) {
    if (rows.rows == 0) return;
    Encoder& encoder = encoders_[static_cast<std::size_t>(row_class)];
    const std::int32_t end = info_.num_parts[static_cast<std::size_t>(row_class)];
    const std::int32_t last = std::min(rows.last_part, end);
    TTSRT_CHECK(InternalError, rows.first_part < last, "fake: no part of an encoder runs");
    TTSRT_CHECK(InternalError, rows.first_part == 0 || rows.first_part == encoder.next_part,
                "fake: part ", rows.first_part, " after ", encoder.next_part);
    std::vector<std::uint64_t> owners;
    for (const step::Segment& segment : rows.segments)
      owners.push_back(segment.slot == step::kNobody ? 0 : slots_.at(at(segment.slot)).owner);
    for (std::size_t i = 0; rows.first_part > 0 && i < owners.size(); ++i) {
      TTSRT_CHECK(InternalError, owners.size() == encoder.owners.size(), "fake: other rows");
      TTSRT_CHECK(InternalError, owners[i] == 0 || owners[i] == encoder.owners[i],
                  "fake: another's rows go on");
    }
    encoder = {last, std::move(owners)};
    for (const std::uint64_t owner : encoder.owners) {
      if (last == end) encoded_[owner] = true;
    }
  }

  void tell_seconds(const step::StepBatch& batch) {
    for (std::size_t c = 0; c + 1 < info_.num_parts.size(); ++c) {
      const step::RowBatch& rows = batch.classes[c];
      const std::int32_t parts = std::min(rows.last_part, info_.num_parts[c]) - rows.first_part;
      output_.seconds[c] = rows.rows * parts * options_.row_seconds;
    }
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
    if (segment.branch == step::Branch::conditional) return owner;
    return segment.input == step::Input::zeros ? 0 : owner | kUnconditional;
  }

  void write_rows(const step::Segment& segment) {
    for (std::int32_t i = 0; i < segment.rows; ++i) {
      cell(segment, segment.position + i) = {owner_of(segment), segment.position + i};
    }
  }

  void copy_block(const step::BlockCopy& copy) {
    for (std::int32_t i = 0; i < options_.block_size; ++i) {
      cells_.at(at(copy.to * options_.block_size + i)) =
          cells_.at(at(copy.from * options_.block_size + i));
    }
  }

  // Everything a decode row sees must be what its own request wrote, or the shared unconditional
  // context.
  void check_past(const step::Segment& segment) {
    for (std::int32_t position = 0; position <= segment.position; ++position) {
      const Cell& seen = cell(segment, position);
      const bool may_share = segment.branch == step::Branch::unconditional && seen.owner == 0;
      TTSRT_CHECK(InternalError,
                  seen.position == position && (may_share || seen.owner == owner_of(segment)),
                  "fake: slot ", segment.slot, " sees another's row at ", position);
    }
  }

  void decode(const step::RowBatch& rows) {
    check_rows(rows, 2 * options_.slots);
    for (const step::Segment& segment : rows.segments) write_rows(segment);
    for (const step::Segment& segment : rows.segments) check_past(segment);
    output_ = {};
    output_.seconds.assign(step::kRowClasses, 0.0);
    output_.max_text_len = info_.facts.max_text_len;
    for (const step::Draw& draw : rows.draws) {
      Slot& slot = slots_.at(at(draw.slot));
      TTSRT_CHECK(InternalError, encoded_[slot.owner], "fake: decodes before its text is encoded");
      TTSRT_CHECK(InternalError, (draw.unconditional_row >= 0) == (slot.rules.cfg_scale != 1.0F),
                  "fake: guidance");
      const bool ends = options_.end_step(slot.rules.sampler.seed) == slot.step;
      const bool has_prior = slot.rules.prior.mode != rules::PriorMode::off;
      output_.draws.push_back(
          {draw.slot, ends ? options_.end_frame : -1, has_prior ? slot.step : -1});
      for (std::int32_t c = 0; c < info_.facts.stack_codes(); ++c) {
        output_.codes.push_back(fake_code(slot.rules.sampler.seed, slot.step, c));
      }
      for (std::int32_t j = 0; j < output_.max_text_len; ++j)
        output_.scores.push_back(static_cast<float>(slot.step * 100 + j));
      ++slot.step;
    }
  }

  FakeOptions options_;
  std::shared_ptr<Control> control_;
  model::NetworkInfo info_;
  std::vector<Slot> slots_;
  std::vector<Cell> cells_;
  struct Encoder {
    std::int32_t next_part = 0;
    std::vector<std::uint64_t> owners;
  };
  std::array<Encoder, step::kRowClasses> encoders_;
  std::map<std::uint64_t, bool> encoded_;  // by owner
  std::uint64_t owners_ = 0;
  model::Ticket ticket_ = 0;
  step::StepOutput output_;
};

}  // namespace ttsrt::test
