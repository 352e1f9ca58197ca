#include "core/team_size.h"

#include <algorithm>
#include <numeric>

namespace ttsrt {
namespace {

// A window is as long as the period of Linux's quotas, in which a group of processes runs and is
// then stopped.
constexpr double kWindow = 0.1;
// Smaller losses of the latest member are not worth a change.
constexpr double kNotable = 0.2;
// Seconds of runs until all members take part again: at first, and at most.
constexpr double kLeastPatience = 0.5;
constexpr double kMostPatience = 16.0;
// A larger size of the same speed is not preferred; this is for rounding.
constexpr double kMargin = 1.001;

}  // namespace

TeamSize::TeamSize(std::int32_t num_members, bool is_pinned)
    : num_members_(num_members),
      is_pinned_(is_pinned),
      size_(num_members),
      lost_(static_cast<std::size_t>(num_members), 0.0),
      patience_(kLeastPatience) {
  order_.reserve(lost_.size());
  exchanges_.reserve(lost_.size());
}

bool TeamSize::add(double seconds, const std::vector<double>& lost) {
  const auto taking_part = static_cast<std::size_t>(size_);
  for (std::size_t i = 0; i < taking_part; ++i) lost_[i] += std::clamp(lost[i], 0.0, seconds);
  seconds_ += seconds;
  exchanges_.clear();
  if (num_members_ == 1 || seconds_ < kWindow) return false;
  const std::int32_t before = size_;
  close_window();
  std::fill(lost_.begin(), lost_.end(), 0.0);
  seconds_ = 0.0;
  return size_ != before;
}

void TeamSize::close_window() {
  for (double& lost : lost_) lost /= seconds_;
  order_.resize(static_cast<std::size_t>(size_));
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [this](std::int32_t a, std::int32_t b) {
    const double one = lost_[static_cast<std::size_t>(a)];
    const double other = lost_[static_cast<std::size_t>(b)];
    return one != other ? one < other : a < b;
  });
  const bool was_trial = std::exchange(is_trial_, false);
  const std::int32_t best = best_size();
  rested_ += seconds_;
  if (best < size_) {
    patience_ = was_trial ? std::min(2.0 * patience_, kMostPatience) : kLeastPatience;
    shrink_to(best);
  } else if (size_ < num_members_ && rested_ >= patience_) {
    grow();
  } else if (was_trial) {
    patience_ = kLeastPatience;
  }
}

std::int32_t TeamSize::best_size() {
  const auto lost_by = [this](std::int32_t at) {
    return lost_[static_cast<std::size_t>(order_[static_cast<std::size_t>(at)])];
  };
  if (lost_by(size_ - 1) < kNotable) return size_;
  std::int32_t best = 1;
  double most = 0.0;
  double freed = 0.0;  // time of all that would rest
  for (std::int32_t size = 1; size <= size_; ++size) freed += 1.0 - lost_by(size - 1);
  for (std::int32_t size = 1; size <= size_; ++size) {
    freed -= 1.0 - lost_by(size - 1);
    const double gained = is_pinned_ ? 0.0 : freed / size;
    const double speed = size * (1.0 - std::max(lost_by(size - 1) - gained, 0.0));
    if (speed <= kMargin * most) continue;
    most = speed;
    best = size;
  }
  return best;
}

void TeamSize::shrink_to(std::int32_t size) {
  // Those that should go on but have a number that rests take the cores of those in the reverse
  // case.
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
