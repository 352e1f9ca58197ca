#include "core/stop_flag.h"

#include <utility>

#include "ttsrt/error.h"

namespace ttsrt {
namespace {

thread_local const std::atomic<bool>* current = nullptr;

}  // namespace

StopScope::StopScope(const std::atomic<bool>* flag) : before_(std::exchange(current, flag)) {}

StopScope::~StopScope() { current = before_; }

void check_stop() {
  if (current != nullptr && current->load(std::memory_order_relaxed))
    throw ClosedError("the work was stopped before its end");
}

}  // namespace ttsrt
