#include "executor/courier.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "core/start_thread.h"
#include "executor/timed_wait.h"
#include "ttsrt/selector.h"

namespace ttsrt::executor {

struct Courier::Deliveries {
  struct Delivery {
    Handle handle;
    EventCallback on_event;
  };

  void run();
  void deliver(std::uint64_t key);
  bool is_over() const { return is_closed && open.empty(); }

  Selector selector;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, std::shared_ptr<Delivery>> open;
  std::uint64_t last_key = 0;
  bool is_closed = false;
  bool is_running = false;  // the thread has not ended
};

void Courier::Deliveries::run() {
  for (;;) {
    try {
      for (const std::uint64_t key : selector.select()) deliver(key);
    } catch (const std::exception&) {
      std::this_thread::yield();  // no memory: the keys are reported again
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (!is_over()) continue;
    is_running = false;
    changed.notify_all();
    return;
  }
}

// Passes on what a request has by now.
void Courier::Deliveries::deliver(std::uint64_t key) {
  std::shared_ptr<Delivery> delivery;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = open.find(key);
    if (found == open.end()) return;
    delivery = found->second;
  }
  try {
    for (bool timed_out = false;;) {
      std::optional<Event> event =
          delivery->handle.next_for(std::chrono::duration<double>(0.0), timed_out);
      if (timed_out) return;
      if (!event.has_value()) break;
      delivery->on_event(delivery->handle, std::move(*event));
    }
  } catch (...) {  // the callback's own; there is nobody to tell but the request
    delivery->handle.cancel();
  }
  delivery->handle = Handle();
  const std::lock_guard<std::mutex> lock(mutex);
  open.erase(key);
}

Courier::Courier() : deliveries_(std::make_shared<Deliveries>()) {}

// There is no timeout that could be refused. NOLINTNEXTLINE(bugprone-exception-escape)
Courier::~Courier() {
  close(std::nullopt);
  if (!thread_.joinable()) return;
  if (is_own_thread()) {  // a callback destroys the executor
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Courier::add(const Handle& handle, EventCallback on_event) {
  std::uint64_t key = 0;
  {
    const std::lock_guard<std::mutex> lock(deliveries_->mutex);
    key = ++deliveries_->last_key;
    deliveries_->open[key] =
        std::make_shared<Deliveries::Delivery>(Deliveries::Delivery{handle, std::move(on_event)});
  }
  try {
    start_thread();
    deliveries_->selector.add(handle, key);
  } catch (...) {
    const std::lock_guard<std::mutex> lock(deliveries_->mutex);
    deliveries_->open.erase(key);
    deliveries_->selector.wake();  // the thread may wait for this one before it ends
    throw;
  }
}

// Starts the thread where none runs: the first time, and for a request that was accepted just
// before another thread closed the executor.
void Courier::start_thread() {
  const std::lock_guard<std::mutex> thread_lock(thread_mutex_);
  {
    const std::lock_guard<std::mutex> lock(deliveries_->mutex);
    if (std::exchange(deliveries_->is_running, true)) return;
  }
  if (thread_.joinable()) thread_.join();
  try {
    thread_ = ttsrt::start_thread("submit", [deliveries = deliveries_] { deliveries->run(); });
  } catch (...) {
    const std::lock_guard<std::mutex> lock(deliveries_->mutex);
    deliveries_->is_running = false;
    throw;
  }
}

bool Courier::close(std::optional<double> timeout) {
  const bool is_own = is_own_thread();
  std::unique_lock<std::mutex> lock(deliveries_->mutex);
  deliveries_->is_closed = true;
  deliveries_->selector.wake();
  if (is_own) return true;
  return wait_until(deliveries_->changed, lock, timeout, [&] { return !deliveries_->is_running; });
}

bool Courier::is_own_thread() {
  const std::lock_guard<std::mutex> lock(thread_mutex_);
  return thread_.get_id() == std::this_thread::get_id();
}

}  // namespace ttsrt::executor
