// Long work that tells how far it is, on a thread of its own.
#pragma once

#include <pybind11/functional.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "interruptible.h"
#include "ttsrt/build.h"
#include "values.h"

namespace ttsrt::python {

// A function, or nothing of None. Throws ConfigError for anything else.
inline std::optional<BuildProgress> progress_from(const py::object& callback) {
  if (callback.is_none()) return std::nullopt;
  if (!PyCallable_Check(callback.ptr()))
    throw ConfigError("progress: expected a function or None, got " + shown(callback));
  return callback.cast<BuildProgress>();
}

// Runs `work` with a BuildProgress and a flag that stops it. `callback` is called on this thread;
// if it or a signal handler raises, the work is told to stop, and when it has, the error leaves.
template <typename Work>
void run_with_progress(const py::object& callback, Work work) {
  using Call = BackgroundCall<bool>;
  const std::optional<BuildProgress> progress = progress_from(callback);
  const BuildProgress* tell = progress ? &*progress : nullptr;
  const auto stops = std::make_shared<std::atomic<bool>>(false);
  const auto call = Call::start([tell, stops, work = std::move(work)](Call& self) {
    work(
        [&](std::int32_t done, std::int32_t total, const std::string& name) {
          self.ask([&] {
            if (tell != nullptr) (*tell)(done, total, name);
          });
        },
        stops.get());
    return true;
  });
  std::exception_ptr interruption;
  for (Call::State state{}; (state = call->wait_slice()) != Call::State::ended;) {
    try {
      if (state == Call::State::asks) call->answer();
      check_signals();
    } catch (...) {
      interruption = std::current_exception();
      if (!call->is_here()) break;  // a forked child; the work is its parent's
      *stops = true;
      call->leave();
    }
  }
  if (interruption) std::rethrow_exception(interruption);
  call->take();
}

}  // namespace ttsrt::python
