// The one-way road from the loop to a request's caller: events, then a result. The caller may
// cancel; nothing else comes back.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

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
  // An end where there is no memory for one: an error, whose last event is made when it is asked
  // for.
  void abandon() noexcept;

  // The caller's side.
  std::optional<Event> next(std::optional<double> timeout_seconds, bool& timed_out);
  std::optional<Result> result(std::optional<double> timeout_seconds);
  bool is_done() const;

 private:
  const std::uint64_t id_;
  std::atomic<bool> is_cancelled_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  std::optional<Result> result_;
  bool has_last_to_tell_ = false;  // an abandoned request's last event, made when it is asked for
};

// What Handle copies share: when the last one goes, the request is cancelled.
struct Ticketed {
  explicit Ticketed(std::shared_ptr<Channel> the_channel) : channel(std::move(the_channel)) {}
  ~Ticketed() { channel->cancel(); }
  Ticketed(const Ticketed&) = delete;
  Ticketed& operator=(const Ticketed&) = delete;

  std::shared_ptr<Channel> channel;
};

}  // namespace ttsrt
