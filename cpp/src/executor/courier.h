// Passes the events of requests to callbacks, on a thread of its own that the first request starts.
//
// The loop's thread only marks a request in a ReadyList, as it does for a Selector; a callback that
// blocks delays other callbacks, but no step. The thread owns what it needs together with the
// Courier, so that a callback may destroy the executor.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "ttsrt/executor.h"

namespace ttsrt::executor {

class Courier {
 public:
  Courier();
  ~Courier();  // waits for the callbacks, except on their own thread
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  // Takes every event of the request from now on.
  void add(const Handle& handle, EventCallback on_event);
  // For an executor whose requests have all ended: waits until all callbacks have run, for at most
  // `timeout` seconds if given; whether they have. On the callbacks' own thread it does not wait.
  bool close(std::optional<double> timeout);

 private:
  struct Deliveries;

  void start_thread();
  bool is_own_thread();

  const std::shared_ptr<Deliveries> deliveries_;
  std::mutex thread_mutex_;
  std::thread thread_;
};

}  // namespace ttsrt::executor
