#include "executor/scheduler.h"

#include <algorithm>
#include <array>
#include <map>

namespace ttsrt::executor {
namespace {

using step::Branch;
using step::PlanItem;
using step::RowClass;

class Planner {
 public:
  explicit Planner(std::int32_t max_rows) { left_.fill(max_rows); }

  void plan(std::int32_t index, const SequenceView& view) {
    bool is_ready =
        whole(index, view.is_encoder_output ? RowClass::project_memory : RowClass::encode_text,
              view.text_rows);
    is_ready = whole(index, RowClass::encode_context, view.context_encoder_rows) && is_ready;
    if (!is_ready) return;  // its decoder rows read what the encoders leave behind
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
  std::int32_t& left(RowClass row_class) { return left_[static_cast<std::size_t>(row_class)]; }

  bool whole(std::int32_t index, RowClass row_class, std::int32_t rows) {
    if (rows == 0) return true;
    if (rows > left(row_class)) return false;
    left(row_class) -= rows;
    plan_.items.push_back({index, row_class, Branch::conditional, false, 0, rows});
    return true;
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

  std::array<std::int32_t, step::kRowClasses> left_;
  std::map<std::int32_t, std::int32_t> prefixes_;  // rows of each shared prefix planned so far
  step::StepPlan plan_;
};

}  // namespace

step::StepPlan plan_step(const std::vector<SequenceView>& sequences, std::int32_t max_rows) {
  Planner planner(max_rows);
  for (std::size_t i = 0; i < sequences.size(); ++i)
    planner.plan(static_cast<std::int32_t>(i), sequences[i]);
  return planner.take();
}

}  // namespace ttsrt::executor
