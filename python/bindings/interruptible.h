// Waits during which Python's signal handlers run: in slices, each without the GIL, with a check
// for signals between them. A call of the library that cannot wait in slices runs on a thread of
// its own.
#pragma once

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "bindings.h"
#include "ttsrt/error.h"

namespace ttsrt::python {

// The longest time that a signal handler has to wait.
constexpr std::chrono::duration<double> kSlice{0.05};

// A call of the library on a thread of its own. The work runs there; all other methods but ask()
// are for the thread that started it and has the GIL. Both share the object, so that either may end
// first.
template <typename Value>
class BackgroundCall {
 public:
  enum class State { running, asks, ended };
  struct Left {};  // thrown by ask()

  // Starts work(call); it may not use Python, except in ask().
  template <typename Work>
  static std::shared_ptr<BackgroundCall> start(Work work) {
    auto call = std::make_shared<BackgroundCall>();
    auto run = [call, work = std::move(work)]() mutable {
      std::optional<Value> value;
      std::exception_ptr error;
      try {
        value.emplace(work(*call));
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(call->mutex_);
      call->value_ = std::move(value);
      call->error_ = std::move(error);
      call->state_ = State::ended;
      call->changed_.notify_all();
    };
    try {
      std::thread(std::move(run)).detach();
    } catch (const std::system_error& problem) {
      throw CapacityError(std::string("the system gave no thread: ") + problem.what());
    }
    return call;
  }

  // For the work: runs `question` on the other thread and returns when it is answered. Throws Left
  // after leave().
  void ask(const std::function<void()>& question) {
    std::unique_lock<std::mutex> lock(mutex_);
    question_ = &question;
    state_ = State::asks;
    changed_.notify_all();
    changed_.wait(lock, [&] { return has_left_ || state_ != State::asks; });
    state_ = State::running;
    if (has_left_) throw Left{};
  }

  // Waits without the GIL until there is something to do, for a slice at most.
  State wait_slice() {
    const WithoutGil release;
    // A signal handler may have forked, and the thread of the call is the parent's.
    if (!is_here())
      throw ClosedError("the call goes on in the process that this one was forked from");
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, kSlice, [&] { return state_ != State::running; });
    return state_;
  }

  // Runs the question. If it throws, it is not answered.
  void answer() {
    (*question_)();
    const std::lock_guard<std::mutex> lock(mutex_);
    state_ = State::running;
    changed_.notify_all();
  }

  // Whether the call runs in this process, and not in the one that it was forked from.
  bool is_here() const { return ::getpid() == process_; }

  // Answers no more questions, which ends a call that asks. A forked child leaves nothing: the
  // thread of the call is its parent's, which may hold the lock for ever.
  void leave() {
    if (!is_here()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    has_left_ = true;
    if (state_ == State::asks) state_ = State::running;
    changed_.notify_all();
  }

  // Once the call has ended: its value, or the error that it threw.
  Value take() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return std::move(*value_);
  }

 private:
  const pid_t process_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::running;
  bool has_left_ = false;
  const std::function<void()>* question_ = nullptr;
  std::optional<Value> value_;
  std::exception_ptr error_;
};

// Returns what `work` returns. If a signal handler raises, the error leaves at once, and the work
// goes on to its end on its own thread, where its value is then destroyed. So it must own all that
// it uses.
template <typename Work>
auto run_interruptible(Work work) {
  using Call = BackgroundCall<decltype(work())>;
  const auto call = Call::start([work = std::move(work)](Call&) mutable { return work(); });
  while (call->wait_slice() != Call::State::ended) check_signals();
  return call->take();
}

}  // namespace ttsrt::python
