#include "executor/channel.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "executor/timed_wait.h"

namespace ttsrt {
std::shared_ptr<Channel> make_channel(std::uint64_t id) { return make_shared_at_home<Channel>(id); }

Channel& channel_of(const std::shared_ptr<Ticketed>& ticketed, const char* call) {
  TTSRT_CHECK(ConfigError, ticketed != nullptr, call,
              ": handle: expected one that submit() gave, got an empty one");
  ticketed->channel->home().check(call);
  return *ticketed->channel;
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

void Channel::report_to(std::unique_ptr<ReadyList::Entry> entry, Watch watch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_earlier = [&](const Watcher& watcher) { return watcher.entry->is_same(*entry); };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), is_earlier), watchers_.end());
  watchers_.push_back({std::move(entry), watch});
  const bool is_due = watch == Watch::end ? result_.has_value() : has_something();
  if (is_due) watchers_.back().entry->mark_ready();
}

void Channel::stop_reporting_to(const ReadyList& list) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_of_list = [&](const Watcher& watcher) { return watcher.entry->belongs_to(list); };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), is_of_list), watchers_.end());
}

void Channel::stop_reporting_to(const ReadyList& list, std::uint64_t key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_it = [&](const Watcher& watcher) {
    return watcher.entry->belongs_to(list) && watcher.entry->key() == key;
  };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), is_it), watchers_.end());
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
  return channel_of(ticketed_, "next").next(std::nullopt, timed_out);
}

std::optional<Event> Handle::next_for(std::chrono::duration<double> timeout, bool& timed_out) {
  return channel_of(ticketed_, "next").next(timeout.count(), timed_out);
}

std::optional<Result> Handle::result(std::optional<double> timeout_seconds) {
  return channel_of(ticketed_, "result").result(timeout_seconds);
}

void Handle::cancel() { channel_of(ticketed_, "cancel").cancel(); }

void Handle::add_text(std::vector<std::int32_t> text_ids) {
  executor::TextFeed* feed = channel_of(ticketed_, "add_text").feed();
  TTSRT_CHECK(ConfigError, feed != nullptr,
              "add_text: expected a request with later_chunks, got one without");
  feed->add(std::move(text_ids));
}

void Handle::fail_text(const std::string& why) {
  if (executor::TextFeed* feed = channel_of(ticketed_, "fail_text").feed()) feed->fail(why);
}

bool Handle::is_done() const { return channel_of(ticketed_, "is_done").is_done(); }

std::uint64_t Handle::id() const {
  TTSRT_CHECK(ConfigError, ticketed_ != nullptr,
              "id: handle: expected one that submit() gave, got an empty one");
  return ticketed_->channel->id();
}

}  // namespace ttsrt
