// Carries a request's events, and at the end its result, from the loop to the caller. The other way
// there is only cancel().
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "executor/ready_list.h"
#include "ttsrt/executor.h"
#include "ttsrt/request.h"

namespace ttsrt {

class Channel {
 public:
  explicit Channel(std::uint64_t id) : id_(id) {}

  std::uint64_t id() const { return id_; }
  void cancel() { is_cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const { return is_cancelled_.load(std::memory_order_relaxed); }

  // The loop's side. finish() is the end: it pushes the last event and keeps the result.
  void push(Event event);
  void finish(Event last, Result result);
  // Ends a request for whose result there is no memory: the result is an error, and its last event
  // is made when the caller asks for it.
  void abandon() noexcept;

  // The caller's side.
  std::optional<Event> next(std::optional<double> timeout_seconds, bool& timed_out);
  std::optional<Result> result(std::optional<double> timeout_seconds);
  bool is_done() const;
  // Marks `entry` ready now if there is something to take, and each time something arrives after
  // there was nothing. Replaces an earlier entry.
  void report_to(std::unique_ptr<ReadyList::Entry> entry);
  void stop_reporting_to(const ReadyList& list);

 private:
  bool has_something() const { return !events_.empty() || result_.has_value(); }
  // Tells the selector, if there is one, that the channel is no longer empty. Needs the lock.
  void report_arrival(bool had_something) noexcept {
    if (entry_ != nullptr && !had_something) entry_->mark_ready();
  }

  const std::uint64_t id_;
  std::atomic<bool> is_cancelled_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::optional<Result> result_;
  std::unique_ptr<ReadyList::Entry> entry_;
  bool has_last_to_tell_ = false;  // an abandoned request whose last event is still to be made
};

// What Handle copies share: when the last one goes, the request is cancelled.
struct Ticketed {
  explicit Ticketed(std::shared_ptr<Channel> the_channel) : channel(std::move(the_channel)) {}
  ~Ticketed() { channel->cancel(); }
  Ticketed(const Ticketed&) = delete;
  Ticketed& operator=(const Ticketed&) = delete;

  std::shared_ptr<Channel> channel;
};

// The channel of a handle; throws ConfigError where the handle is empty.
const std::shared_ptr<Channel>& channel_of(const std::shared_ptr<Ticketed>& ticketed);

}  // namespace ttsrt
