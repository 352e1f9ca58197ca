// Waits on a condition, with or without a timeout.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "core/check.h"

namespace ttsrt {

// Waits on `changed` until `is_ready`, for at most `timeout` seconds if given; returns whether it
// became ready. Throws ConfigError if the timeout is negative or not a number.
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

}  // namespace ttsrt
