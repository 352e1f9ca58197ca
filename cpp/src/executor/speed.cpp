#include "executor/speed.h"

#include <algorithm>

namespace ttsrt::executor {
namespace {

void smooth(double& known, double seen) {
  constexpr double kNewest = 0.25;
  known = known > 0.0 ? known + kNewest * (seen - known) : seen;
}

}  // namespace

void Speed::learn(const step::StepPlan& plan, const step::StepBatch& batch,
                  const step::StepOutput& output, const Site& site, StepBudget& budget) {
  for (std::size_t p = 0; p < output.seconds.size(); ++p) {
    const step::RowBatch& rows = batch.programs[p];
    const double seconds = output.seconds[p];
    if (rows.rows == 0 || seconds <= 0.0) continue;
    const std::int32_t parts =
        std::min(rows.last_part, site.programs[p].num_parts) - rows.first_part;
    smooth(budget.row_seconds[p], seconds / rows.rows / std::max(parts, 1));
    if (site.programs[p].pace != step::Pace::stepwise) continue;
    const auto requests = std::count_if(
        plan.items.begin(), plan.items.end(),
        [p](const step::PlanItem& item) { return static_cast<std::size_t>(item.program) == p; });
    if (requests == 1) {
      smooth(lone_step_, seconds);
    } else if (lone_step_ > 0.0) {
      const double more = (seconds / lone_step_ - 1.0) / static_cast<double>(requests - 1);
      smooth(budget.step_share, std::max(more, 0.0));
    }
  }
}

}  // namespace ttsrt::executor
