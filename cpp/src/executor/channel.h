// Carries a request's events, and at the end its result, from the loop to the caller. The other way
// there is cancel(), and the text of requests that bring theirs in parts.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/process.h"
#include "executor/ready_list.h"
#include "executor/text_feed.h"
#include "ttsrt/executor.h"
#include "ttsrt/request.h"
#include "ttsrt/selector.h"

namespace ttsrt {

class Channel {
 public:
  explicit Channel(std::uint64_t id) : id_(id) {}

  std::uint64_t id() const { return id_; }
  const HomeProcess& home() const { return home_; }
  void cancel() { is_cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const { return is_cancelled_.load(std::memory_order_relaxed); }

  // Text that comes while the request runs, or null. Set before the loop sees the channel.
  executor::TextFeed* feed() const { return feed_.get(); }
  void open_feed(const step::Rounds& rounds) {
    feed_ = std::make_unique<executor::TextFeed>(rounds);
  }

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
  // Watch::events: marks `entry` ready now if there is something to take, and each time something
  // arrives after there was nothing. Watch::end: marks it ready once, now or when the request ends.
  // Replaces an earlier entry of the same list and key.
  void report_to(std::unique_ptr<ReadyList::Entry> entry, Watch watch = Watch::events);
  void stop_reporting_to(const ReadyList& list);
  void stop_reporting_to(const ReadyList& list, std::uint64_t key);

 private:
  bool has_something() const { return !events_.empty() || result_.has_value(); }
  // Tells the selectors that the channel is no longer empty, or that the request has ended. Needs
  // the lock.
  void report_arrival(bool had_something) noexcept {
    for (const Watcher& watcher : watchers_) {
      if (watcher.watch == Watch::end ? result_.has_value() : !had_something)
        watcher.entry->mark_ready();
    }
  }

  struct Watcher {
    std::unique_ptr<ReadyList::Entry> entry;
    Watch watch;
  };

  const std::uint64_t id_;
  const HomeProcess home_;
  std::unique_ptr<executor::TextFeed> feed_;
  std::atomic<bool> is_cancelled_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::optional<Result> result_;
  std::vector<Watcher> watchers_;
  bool has_last_to_tell_ = false;  // an abandoned request whose last event is still to be made
};

// What Handle copies share: when the last one goes, the request is cancelled. A channel must come
// from make_channel, which keeps forked children from destroying it.
struct Ticketed {
  explicit Ticketed(std::shared_ptr<Channel> the_channel) : channel(std::move(the_channel)) {}
  ~Ticketed() { channel->cancel(); }
  Ticketed(const Ticketed&) = delete;
  Ticketed& operator=(const Ticketed&) = delete;

  std::shared_ptr<Channel> channel;
};

std::shared_ptr<Channel> make_channel(std::uint64_t id);

// The channel of a handle. Throws ConfigError where the handle is empty, and ClosedError, naming
// the call, in a forked child.
Channel& channel_of(const std::shared_ptr<Ticketed>& ticketed, const char* call);

}  // namespace ttsrt
