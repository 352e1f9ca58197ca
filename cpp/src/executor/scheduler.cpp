#include "executor/scheduler.h"

#include <algorithm>
#include <limits>
#include <map>

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::RowClass;

// Prefill goes on by so many rows at least, and by so many while nobody knows what a row takes.
constexpr std::int32_t kLeastPrefill = 16;
constexpr std::int32_t kFirstPrefill = 64;

std::size_t at(RowClass row_class) { return static_cast<std::size_t>(row_class); }

class Planner {
 public:
  Planner(const std::vector<SequenceView>& sequences, const StepBudget& budget)
      : sequences_(sequences), budget_(budget), encoded_(sequences.size(), 0) {
    left_.fill(budget.max_rows);
    const bool is_awaited = std::any_of(sequences.begin(), sequences.end(),
                                        [](const auto& view) { return view.can_decode(); });
    is_limited_ = is_awaited && budget.seconds > 0.0;
    seconds_left_ = budget.seconds;
  }

  void encode(RowClass row_class, const PausedBatch& paused) {
    const std::vector<PausedBatch::Member> members =
        paused.is_empty() ? choose(row_class) : paused.members;
    if (members.empty()) return;
    std::int32_t rows = 0;
    for (const PausedBatch::Member& member : members) {
      rows += member.rows;
      plan_.items.push_back(
          {member.sequence, row_class, Branch::conditional, false, 0, member.rows});
    }
    step::PlanParts& parts = plan_.parts[at(row_class)];
    parts.first = paused.next_part;
    parts.last = last_part(row_class, paused.next_part, rows);
    plan_.pauses[at(row_class)] = parts.last < budget_.num_parts[at(row_class)];
    if (plan_.pauses_in(row_class)) return;
    for (const PausedBatch::Member& member : members) {
      if (member.sequence != step::kNobody)
        encoded_[static_cast<std::size_t>(member.sequence)] |= 1U << at(row_class);
    }
  }

  // What decodes, and what prefill must come before it, once the encoders are planned.
  void limit_prefill() {
    if (!is_limited_) return;
    const double row = budget_.row_seconds[at(RowClass::prefill)];
    const double fitting = row > 0.0 ? std::max(seconds_left_, 0.0) / row : kFirstPrefill;
    std::int32_t& left = left_[at(RowClass::prefill)];
    if (fitting < left) left = std::max(static_cast<std::int32_t>(fitting), kLeastPrefill);
    left = std::min(left, budget_.max_rows);
  }

  void plan(std::int32_t index) {
    const SequenceView& view = sequences_[static_cast<std::size_t>(index)];
    if (!is_encoded(index, view)) return;  // its decoder rows read what the encoders leave behind
    bool is_filled =
        part(index, Branch::conditional, view.conditional_done, view.conditional_target);
    is_filled =
        part(index, Branch::unconditional, view.unconditional_done, view.unconditional_target) &&
        is_filled;
    is_filled = prefix(index, view) && is_filled;
    if (!is_filled) return;
    plan_.items.push_back(
        {index, RowClass::decode, Branch::conditional, false, view.conditional_target, 1});
    if (view.is_guided)
      plan_.items.push_back(
          {index, RowClass::decode, Branch::unconditional, false, view.conditional_target, 1});
  }

  step::StepPlan take() { return std::move(plan_); }

 private:
  std::int32_t& left(RowClass row_class) { return left_[at(row_class)]; }

  static std::int32_t rows_of(RowClass row_class, const SequenceView& view) {
    if (row_class == RowClass::encode_context) return view.context_encoder_rows;
    return view.is_encoder_output == (row_class == RowClass::project_memory) ? view.text_rows : 0;
  }

  // Whose rows a new batch of an encoder takes: whole inputs, oldest first, the first one always.
  std::vector<PausedBatch::Member> choose(RowClass row_class) {
    std::int32_t room = budget_.max_rows;
    const double row = budget_.row_seconds[at(row_class)];
    if (is_limited_ && row > 0.0)
      room = static_cast<std::int32_t>(std::min<double>(room, budget_.seconds / row));
    std::vector<PausedBatch::Member> members;
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      const std::int32_t rows = rows_of(row_class, sequences_[i]);
      const std::int32_t most = members.empty() ? budget_.max_rows : room;
      if (rows == 0 || rows > most) continue;
      room -= rows;
      members.push_back({static_cast<std::int32_t>(i), rows});
    }
    return members;
  }

  // How far a batch of so many rows gets in the time that is left, at least one part.
  std::int32_t last_part(RowClass row_class, std::int32_t next, std::int32_t rows) {
    const std::int32_t end = budget_.num_parts[at(row_class)];
    if (!is_limited_) return end;
    const double part_seconds = rows * budget_.row_seconds[at(row_class)];
    std::int32_t count = 1;
    if (part_seconds > 0.0)
      count = static_cast<std::int32_t>(
          std::clamp(seconds_left_ / part_seconds, 1.0, static_cast<double>(end)));
    const std::int32_t last = std::min(end, next + count);
    seconds_left_ -= (last - next) * part_seconds;
    return last;
  }

  bool is_encoded(std::int32_t index, const SequenceView& view) const {
    const std::uint32_t done = encoded_[static_cast<std::size_t>(index)];
    const RowClass text = view.is_encoder_output ? RowClass::project_memory : RowClass::encode_text;
    const auto has = [done](RowClass row_class) { return ((done >> at(row_class)) & 1U) != 0; };
    return (view.text_rows == 0 || has(text)) &&
           (view.context_encoder_rows == 0 || has(RowClass::encode_context));
  }

  bool part(std::int32_t index, Branch branch, std::int32_t done, std::int32_t target) {
    const std::int32_t rows = std::min(target - done, left(RowClass::prefill));
    if (rows > 0) {
      left(RowClass::prefill) -= rows;
      plan_.items.push_back({index, RowClass::prefill, branch, false, done, rows});
    }
    return done + rows == target;
  }

  bool prefix(std::int32_t index, const SequenceView& view) {
    if (view.prefix < 0) return true;
    std::int32_t& done = prefixes_.try_emplace(view.prefix, view.prefix_done).first->second;
    const std::int32_t rows = std::min(view.prefix_target - done, left(RowClass::prefill));
    if (rows > 0) {
      left(RowClass::prefill) -= rows;
      plan_.items.push_back({index, RowClass::prefill, Branch::unconditional, true, done, rows});
      done += rows;
    }
    return done == view.prefix_target;
  }

  const std::vector<SequenceView>& sequences_;
  const StepBudget& budget_;
  std::vector<std::uint32_t> encoded_;  // [sequences] bit c: class c is through with this step
  bool is_limited_ = false;             // somebody decodes, and would wait
  double seconds_left_ = 0.0;
  std::array<std::int32_t, step::kRowClasses> left_;
  std::map<std::int32_t, std::int32_t> prefixes_;  // rows of each shared prefix planned so far
  step::StepPlan plan_;
};

}  // namespace

step::StepPlan plan_step(const std::vector<SequenceView>& sequences, const PausedBatches& paused,
                         const StepBudget& budget) {
  Planner planner(sequences, budget);
  for (const RowClass row_class :
       {RowClass::encode_text, RowClass::project_memory, RowClass::encode_context})
    planner.encode(row_class, paused[at(row_class)]);
  planner.limit_prefill();
  for (std::size_t i = 0; i < sequences.size(); ++i) planner.plan(static_cast<std::int32_t>(i));
  return planner.take();
}

}  // namespace ttsrt::executor
