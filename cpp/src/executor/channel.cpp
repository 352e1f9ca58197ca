#include "executor/channel.h"

#include <utility>

#include "core/check.h"

namespace ttsrt {
namespace {

// Waits on `changed` until `is_ready`, for at most `timeout` seconds where given; whether it became
// ready.
template <typename Ready>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                std::optional<double> timeout, Ready is_ready) {
  constexpr double kForever = 1e8;  // seconds: beyond it the clock could overflow
  if (!timeout.has_value() || *timeout >= kForever) {
    changed.wait(lock, is_ready);
    return true;
  }
  TTSRT_CHECK(ConfigError, *timeout >= 0.0, "timeout: expected seconds of 0 or more, got ",
              *timeout);
  return changed.wait_for(lock, std::chrono::duration<double>(*timeout), is_ready);
}

}  // namespace

const std::shared_ptr<Channel>& channel_of(const std::shared_ptr<Ticketed>& ticketed) {
  TTSRT_CHECK(ConfigError, ticketed != nullptr,
              "handle: expected one that submit() gave, got an empty one");
  return ticketed->channel;
}

void Channel::push(Event event) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool had_something = has_something();
    events_.push_back(std::move(event));
    report_arrival(had_something);
  }
  changed_.notify_all();
}

void Channel::finish(Event last, Result result) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool had_something = has_something();
    events_.push_back(std::move(last));
    result_ = std::move(result);
    report_arrival(had_something);
  }
  changed_.notify_all();
}

void Channel::abandon() noexcept {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool had_something = has_something();
    result_.emplace();
    result_->finish_reason = FinishReason::error;
    result_->error = "no memory";  // short enough to be stored without an allocation
    has_last_to_tell_ = true;
    report_arrival(had_something);
  }
  changed_.notify_all();
}

void Channel::report_to(std::unique_ptr<ReadyList::Entry> entry) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entry_ = std::move(entry);
  if (has_something()) entry_->mark_ready();
}

void Channel::stop_reporting_to(const ReadyList& list) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entry_ != nullptr && entry_->belongs_to(list)) entry_.reset();
}

std::optional<Event> Channel::next(std::optional<double> timeout_seconds, bool& timed_out) {
  std::unique_lock<std::mutex> lock(mutex_);
  timed_out = !wait_until(changed_, lock, timeout_seconds, [&] { return has_something(); });
  if (timed_out) return std::nullopt;
  if (events_.empty() && std::exchange(has_last_to_tell_, false)) {
    Event last;
    last.is_last = true;
    last.finish_reason = FinishReason::error;
    return last;
  }
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Result> Channel::result(std::optional<double> timeout_seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!wait_until(changed_, lock, timeout_seconds, [&] { return result_.has_value(); }))
    return std::nullopt;
  return result_;
}

bool Channel::is_done() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return result_.has_value();
}

std::optional<Event> Handle::next() {
  bool timed_out = false;
  return channel_of(ticketed_)->next(std::nullopt, timed_out);
}

std::optional<Event> Handle::next_for(std::chrono::duration<double> timeout, bool& timed_out) {
  return channel_of(ticketed_)->next(timeout.count(), timed_out);
}

std::optional<Result> Handle::result(std::optional<double> timeout_seconds) {
  return channel_of(ticketed_)->result(timeout_seconds);
}

void Handle::cancel() { channel_of(ticketed_)->cancel(); }

bool Handle::is_done() const { return channel_of(ticketed_)->is_done(); }

std::uint64_t Handle::id() const { return channel_of(ticketed_)->id(); }

}  // namespace ttsrt
