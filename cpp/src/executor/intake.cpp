#include "executor/intake.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "executor/timed_wait.h"
#include "ttsrt/executor.h"

namespace ttsrt::executor {
namespace {

bool has_ended(const Pending& pending, Clock::time_point now) {
  return pending.channel->is_cancelled() ||
         is_expired(pending.request.deadline, pending.submitted, now);
}

Demand demand_of(const Pending& pending) { return {pending.request.priority, pending.blocks}; }

}  // namespace

Intake::Intake(std::int32_t max_queue_size, std::int32_t max_iterations)
    : max_queue_size_(max_queue_size), stats_(max_iterations) {}

std::int32_t Intake::add_replica(const std::string& device, const std::string& description,
                                 const Load& idle, const BlockPool& pool) {
  const std::lock_guard<std::mutex> lock(mutex_);
  loads_.push_back(idle);
  foreseen_.reserve(loads_.size());
  replicas_.emplace_back().device = device;
  return stats_.add_replica(device, description, idle.slots, pool);
}

void Intake::submit(Pending pending) {
  const std::lock_guard<std::mutex> lock(mutex_);
  check_room();
  TTSRT_CHECK(NeverFitsError, pending.blocks <= most_blocks(), "submit: the request may need ",
              pending.blocks, " cache blocks, there are ", most_blocks(),
              "; ask for fewer tokens, or raise max_tokens_in_paged_kv_cache");
  const std::int32_t priority = pending.request.priority;
  const auto behind = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Pending& of) {
    return of.request.priority >= priority;
  });
  waiting_.insert(behind.base(), std::move(pending));
  stats_.count_submitted(waiting_.size());
  wake();
}

void Intake::check_accepts() {
  const std::lock_guard<std::mutex> lock(mutex_);
  check_room();
}

// Requests that were cancelled while they waited take no room, although a loop removes them only
// between two steps; but so that callers who submit and cancel in turns can't make the queue grow,
// they count once there are as many of them as there is room.
void Intake::check_room() {
  TTSRT_CHECK(DeviceError, !is_failed(), "submit: the device failed before: ", failures());
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
  const auto running = static_cast<std::ptrdiff_t>(stats.requests.size());
  stats.requests.reserve(stats.requests.size() + waiting_.size());
  for (const Pending& pending : waiting_) stats.requests.push_back({.id = pending.channel->id()});
  std::sort(stats.requests.begin() + running, stats.requests.end(),
            [](const RequestStats& a, const RequestStats& b) { return a.id < b.id; });
  return stats;
}

void Intake::close(bool drain) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::closing) state_ = drain ? State::draining : State::closing;
  wake();
}

bool Intake::wait_for_work(std::int32_t replica, bool is_busy, std::optional<double> timeout) {
  if (is_busy) return true;
  std::unique_lock<std::mutex> lock(mutex_);
  Replica& of = replicas_[static_cast<std::size_t>(replica)];
  of.is_asleep = true;
  wait_until(of.changed, lock, timeout,
             [&] { return must_wake(replica) && (!timeout.has_value() || !waiting_.empty()); });
  of.is_asleep = false;
  if (timeout.has_value()) return true;
  return !of.failure.has_value() && !waiting_.empty();
}

bool Intake::is_closing() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ == State::closing;
}

// Whether an idle replica has something to do, or nothing any more. While the executor drains, it
// stays for the requests that wait for others, which may fail.
bool Intake::must_wake(std::int32_t replica) {
  if (replicas_[static_cast<std::size_t>(replica)].failure.has_value()) return true;
  if (waiting_.empty()) return state_ != State::running;
  return state_ == State::closing || next_task(replica).kind != Task::Kind::nothing;
}

// Wakes the idle replicas that have something to do.
void Intake::wake() {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].is_asleep && must_wake(static_cast<std::int32_t>(i)))
      replicas_[i].changed.notify_one();
  }
}

// Gives the requests, first one first, to the replicas that would take them, until one falls to
// this replica or to nobody. Those that have ended hold back nobody.
Intake::Task Intake::next_task(std::int32_t replica) {
  if (waiting_.empty()) return {};
  const Clock::time_point now = Clock::now();
  Task task;
  foreseen_ = loads_;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (has_ended(waiting_[i], now)) {
      task.kind = Task::Kind::remove_ended;
      continue;
    }
    const Demand demand = demand_of(waiting_[i]);
    const std::int32_t taker = choose_replica(foreseen_, demand);
    if (taker == replica) return {Task::Kind::run, i};
    if (taker < 0) break;
    foreseen_[static_cast<std::size_t>(taker)].take(demand);
  }
  return task;
}

std::optional<Pending> Intake::take_next(std::int32_t replica, const Load& load) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Load& known = loads_[static_cast<std::size_t>(replica)];
  known = load;
  const Task task = next_task(replica);
  if (task.kind != Task::Kind::run) return std::nullopt;
  const auto at = waiting_.begin() + static_cast<std::ptrdiff_t>(task.index);
  known.take(demand_of(*at));
  std::optional<Pending> taken = std::move(*at);
  waiting_.erase(at);
  stats_.count_queued(waiting_.size());
  stats_.count_started(replica, taken->channel->id(),
                       std::chrono::duration<double>(Clock::now() - taken->submitted).count());
  wake();
  return taken;
}

std::vector<Intake::Ended> Intake::take_ended(Clock::time_point now) {
  std::vector<Ended> ended;
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool closes = state_ == State::closing;
  const auto is_over = [&](const Pending& of) { return closes || has_ended(of, now); };
  if (std::none_of(waiting_.begin(), waiting_.end(), is_over)) return ended;
  ended.reserve(waiting_.size());  // before any of them moves
  const auto first = std::stable_partition(waiting_.begin(), waiting_.end(),
                                           [&](const Pending& of) { return !is_over(of); });
  for (auto pending = first; pending != waiting_.end(); ++pending) {
    const bool is_cancelled = closes || pending->channel->is_cancelled();
    ended.push_back(
        {std::move(*pending), is_cancelled ? FinishReason::cancelled : FinishReason::deadline});
  }
  waiting_.erase(first, waiting_.end());
  stats_.count_queued(waiting_.size());
  wake();
  return ended;
}

Intake::Loss Intake::fail_device(std::int32_t replica, const std::string& why) {
  const auto index = static_cast<std::size_t>(replica);
  const std::lock_guard<std::mutex> lock(mutex_);
  Loss loss;
  loss.of_running = why;
  if (replicas_.size() > 1)
    loss.of_running = message("replica ", replica, " (", replicas_[index].device, "): ", why);
  replicas_[index].failure = loss.of_running;
  loads_[index] = {};
  stats_.count_failed(replica, why);
  loss.of_waiting = failures();
  const bool is_last = is_failed();
  const std::int32_t most = most_blocks();
  const auto first =
      std::stable_partition(waiting_.begin(), waiting_.end(),
                            [&](const Pending& of) { return !is_last && of.blocks <= most; });
  std::move(first, waiting_.end(), std::back_inserter(loss.waiting));
  waiting_.erase(first, waiting_.end());
  stats_.count_queued(waiting_.size());
  wake();
  return loss;
}

// Why devices have failed.
std::string Intake::failures() const {
  std::string all;
  for (const Replica& of : replicas_) {
    if (of.failure.has_value()) all += (all.empty() ? "" : "; ") + *of.failure;
  }
  return all;
}

// Whether every device has.
bool Intake::is_failed() const {
  return std::all_of(replicas_.begin(), replicas_.end(),
                     [](const Replica& of) { return of.failure.has_value(); });
}

// The largest cache of a device that works.
std::int32_t Intake::most_blocks() const {
  std::int32_t most = 0;
  for (const Load& load : loads_) most = std::max(most, load.blocks);
  return most;
}

}  // namespace ttsrt::executor
