// Lets another thread end long work of this one: the work asks now and then whether it should stop.
#pragma once

#include <atomic>

namespace ttsrt {

// While it lives, check_stop() on this thread looks at the flag; null: it looks at none.
class StopScope {
 public:
  explicit StopScope(const std::atomic<bool>* flag);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  const std::atomic<bool>* before_;
};

// Throws ClosedError if the flag of this thread is set. Called about every millisecond of work.
void check_stop();

}  // namespace ttsrt
