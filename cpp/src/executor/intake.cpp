#include "executor/intake.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

bool has_ended(const Pending& pending, Clock::time_point now) {
  return pending.channel->is_cancelled() ||
         is_expired(pending.request.deadline, pending.submitted, now);
}

}  // namespace

Intake::Intake(std::int32_t max_queue_size, StatsBook stats)
    : max_queue_size_(max_queue_size), stats_(std::move(stats)) {}

void Intake::submit(Pending pending) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    check_room();
    waiting_.push_back(std::move(pending));
    stats_.count_submitted(waiting_.size());
  }
  changed_.notify_one();
}

void Intake::check_accepts() {
  const std::lock_guard<std::mutex> lock(mutex_);
  check_room();
}

// The lock is held. Requests that were cancelled while they waited take no room, although the loop
// removes them only between two steps; but so that callers who submit and cancel in turns can't
// make the queue grow, they count once there are as many of them as there is room.
void Intake::check_room() {
  TTSRT_CHECK(DeviceError, device_failure_.empty(),
              "submit: the device failed before: ", device_failure_);
  TTSRT_CHECK(ClosedError, state_ == State::running, "submit: the executor is closed");
  const auto room = static_cast<std::size_t>(max_queue_size_);
  const auto is_live = [](const Pending& of) { return !of.channel->is_cancelled(); };
  const auto num_live = [&] {
    return static_cast<std::size_t>(std::count_if(waiting_.begin(), waiting_.end(), is_live));
  };
  const bool is_full =
      waiting_.size() >= room && (waiting_.size() >= 2 * room || num_live() >= room);
  if (is_full) stats_.count_refused();
  TTSRT_CHECK(CapacityError, !is_full, "submit: the queue is full: ", max_queue_size_,
              " requests wait (max_queue_size)");
}

void Intake::check_open(const char* call) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  TTSRT_CHECK(ClosedError, state_ == State::running, call, ": the executor is closed");
}

ExecutorStats Intake::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  ExecutorStats stats = stats_.snapshot();
  stats.requests.reserve(stats.requests.size() + waiting_.size());
  for (const Pending& pending : waiting_) stats.requests.push_back({.id = pending.channel->id()});
  return stats;
}

void Intake::close(bool drain) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::closing) state_ = drain ? State::draining : State::closing;
  }
  changed_.notify_one();
}

bool Intake::wait_for_work(bool is_busy) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return is_busy || !waiting_.empty() || state_ != State::running; });
  return is_busy || !waiting_.empty();
}

bool Intake::is_closing() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ == State::closing;
}

std::optional<Pending> Intake::take_next(const std::function<bool(const PreparedRequest&)>& fits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  auto best = waiting_.begin();
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    if (at->request.priority > best->request.priority) best = at;
  }
  if (has_ended(*best, Clock::now()) || !fits(best->request)) return std::nullopt;
  std::optional<Pending> taken = std::move(*best);
  waiting_.erase(best);
  stats_.count_queued(waiting_.size());
  stats_.count_started(taken->channel->id(),
                       std::chrono::duration<double>(Clock::now() - taken->submitted).count());
  return taken;
}

std::vector<Pending> Intake::take_ended(Clock::time_point now) {
  std::vector<Pending> ended;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_over = [&](const Pending& of) {
    return state_ == State::closing || has_ended(of, now);
  };
  if (std::none_of(waiting_.begin(), waiting_.end(), is_over)) return ended;
  ended.reserve(waiting_.size());  // before any of them moves
  const auto first = std::stable_partition(waiting_.begin(), waiting_.end(),
                                           [&](const Pending& of) { return !is_over(of); });
  std::move(first, waiting_.end(), std::back_inserter(ended));
  waiting_.erase(first, waiting_.end());
  stats_.count_queued(waiting_.size());
  return ended;
}

std::deque<Pending> Intake::fail_device(const std::string& why) {
  std::deque<Pending> waiting;
  const std::lock_guard<std::mutex> lock(mutex_);
  device_failure_ = why;
  waiting.swap(waiting_);
  stats_.count_queued(0);
  return waiting;
}

}  // namespace ttsrt::executor
