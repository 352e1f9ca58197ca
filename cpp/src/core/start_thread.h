// Starts threads of the library.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "core/check.h"

namespace ttsrt {

// Throws CapacityError naming `what` where the system gives no more threads.
template <typename Work>
std::thread start_thread(const char* what, Work work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& problem) {
    throw CapacityError(message(what, ": the system gave no thread: ", problem.what()));
  }
}

}  // namespace ttsrt
