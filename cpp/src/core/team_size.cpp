#include "core/team_size.h"

#include <algorithm>
#include <numeric>

namespace ttsrt {
namespace {

// A window is as long as the period of Linux's quotas, in which a group of processes runs and is
// then stopped.
constexpr double kWindow = 0.1;
// The team stays as it is if the member that loses most loses a smaller share of its time.
constexpr double kNotable = 0.2;
// A smaller team must promise more than this multiple of the work that is done now.
constexpr double kMargin = 1.05;
// A team that uses at least this share of the quota counts as stopped by it; the quota in cores is
// rounded up, so the share is below 1.
constexpr double kQuotaShare = 0.7;
// Seconds of runs until all members take part again: at first, and at most.
constexpr double kLeastPatience = 0.5;
constexpr double kMostPatience = 16.0;

}  // namespace

TeamSize::TeamSize(std::int32_t num_members, std::optional<std::int32_t> quota)
    : num_members_(num_members),
      quota_(quota),
      size_(num_members),
      times_(static_cast<std::size_t>(num_members)),
      patience_(kLeastPatience) {
  order_.reserve(times_.size());
  exchanges_.reserve(times_.size());
}

bool TeamSize::add(double seconds, const std::vector<MemberTime>& times) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(size_); ++i) {
    times_[i].worked += std::clamp(times[i].worked, 0.0, seconds);
    times_[i].lost += std::clamp(times[i].lost, 0.0, seconds);
  }
  seconds_ += seconds;
  exchanges_.clear();
  if (num_members_ == 1 || seconds_ < kWindow) return false;
  const std::int32_t before = size_;
  close_window();
  std::fill(times_.begin(), times_.end(), MemberTime{});
  seconds_ = 0.0;
  return size_ != before;
}

void TeamSize::close_window() {
  order_.resize(static_cast<std::size_t>(size_));
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [this](std::int32_t a, std::int32_t b) {
    const double one = times_[static_cast<std::size_t>(a)].lost;
    const double other = times_[static_cast<std::size_t>(b)].lost;
    return one != other ? one < other : a < b;
  });
  const bool was_trial = std::exchange(is_trial_, false);
  const std::int32_t best = best_size();
  rested_ += seconds_;
  if (best < size_) {
    if (was_trial) patience_ = std::min(2.0 * patience_, kMostPatience);
    shrink_to(best);
  } else if (was_trial) {
    patience_ = kLeastPatience;
  } else if (size_ < num_members_ && rested_ >= patience_) {
    grow();
  }
}

std::int32_t TeamSize::best_size() {
  const auto lost_by = [this](std::int32_t at) {
    const std::int32_t member = order_[static_cast<std::size_t>(at)];
    return times_[static_cast<std::size_t>(member)].lost / seconds_;
  };
  if (lost_by(size_ - 1) < kNotable) return size_;
  double done = 0.0;     // by how many members that never wait
  double running = 0.0;  // members, on average
  for (std::int32_t at = 0; at < size_; ++at) {
    done += times_[static_cast<std::size_t>(at)].worked / seconds_;
    running += 1.0 - lost_by(at);
  }
  const bool is_stopped = quota_.has_value() && running >= kQuotaShare * *quota_;
  std::int32_t best = size_;
  double most = kMargin * done;
  double freed = running;  // by those that would rest
  for (std::int32_t size = 1; size < size_; ++size) {
    freed -= 1.0 - lost_by(size - 1);
    const double gained = is_stopped ? freed / size : 0.0;
    const double promised = size * (1.0 - std::max(lost_by(size - 1) - gained, 0.0));
    if (promised <= most) continue;
    most = promised;
    best = size;
  }
  return best;
}

void TeamSize::shrink_to(std::int32_t size) {
  // A member from `size` on that lost little exchanges cores with a member below `size` that lost
  // much, since the members below `size` are those that go on.
  auto late = order_.begin() + size;
  for (auto good = order_.begin(); good != order_.begin() + size; ++good) {
    if (*good < size) continue;
    late = std::find_if(late, order_.end(), [size](std::int32_t member) { return member < size; });
    exchanges_.emplace_back(*late++, *good);
  }
  size_ = size;
  rested_ = 0.0;
}

void TeamSize::grow() {
  size_ = num_members_;
  rested_ = 0.0;
  is_trial_ = true;
}

}  // namespace ttsrt
