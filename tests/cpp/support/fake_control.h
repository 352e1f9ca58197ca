// What tests and a FakeNetwork share: tests hold launches, make them fail, and look at what came.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/check.h"
#include "step/batch.h"
#include "step/output.h"
#include "support/facts.h"

namespace ttsrt::test {

// How a launch fails: at once, when it runs, or because the device is gone.
enum class Fail { none, launch, run, device };

struct FakeOptions {
  std::string device = "fake";
  step::Facts facts = small_facts();
  std::vector<step::ProgramInfo> programs = small_programs();
  std::int32_t depth = 1;  // launches in flight
  std::int32_t slots = 3;
  std::int32_t paused_slots = 0;  // of these
  std::int32_t block_size = 4;
  std::int32_t num_blocks = 120;
  double row_seconds = 0.0;      // what a row of whole and chunked Programs says it took, per part
  std::int32_t row_samples = 1;  // that a row becomes
  // Step of a seed at which speech ends, and the frame of that stack; -1: never.
  std::function<std::int32_t(std::uint64_t)> end_step = [](std::uint64_t) { return -1; };
  std::int32_t end_frame = 0;
  // Changes what a launch gives.
  std::function<void(const step::StepBatch&, step::StepOutput&)> change = [](const auto&, auto&) {};
  bool is_any_branch_shared = false;  // zeros that any branch may read; else the unconditional one
};

class Control {
 public:
  // Launches wait from now on, until release() or permit().
  void hold() { set_permits(0); }
  void release() { set_permits(INT64_MAX); }
  void permit(std::int64_t launches) { set_permits(launches); }
  // The next launch fails.
  void fail_next(Fail how) {
    const std::lock_guard<std::mutex> lock(mutex_);
    fail_ = how;
  }
  // Launch number n (from 1) fails as `how(n)` says.
  void fail_by(std::function<Fail(std::int64_t)> how) {
    const std::lock_guard<std::mutex> lock(mutex_);
    fail_by_ = std::move(how);
  }
  // Every launch runs up to so many microseconds late, by a fixed pseudo-random sequence.
  void delay_up_to(std::uint32_t microseconds) {
    const std::lock_guard<std::mutex> lock(mutex_);
    most_delay_ = microseconds;
  }
  // Waits until so many launches were begun (a held one counts).
  void await_launches(std::int64_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return begun_ >= count; });
  }
  std::int64_t num_launches() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_;
  }
  // Seeds in the order their requests were admitted.
  std::vector<std::uint64_t> admitted() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return admitted_;
  }
  std::int32_t most_draws() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return most_draws_;
  }
  // Most launches that were in flight at once.
  std::int32_t most_open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return most_open_;
  }

  // Rows of zeros that were launched.
  std::int64_t num_zero_rows() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return zero_rows_;
  }

  // The network's side. Throws where the launch shall fail at once.
  void begin_launch(const step::StepBatch& batch) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return permits_ > 0; });
    if (permits_ != INT64_MAX) --permits_;
    for (const step::SlotReset& reset : batch.resets) admitted_.push_back(reset.rules.sampler.seed);
    for (const step::RowBatch& rows : batch.programs) {
      most_draws_ = std::max(most_draws_, static_cast<std::int32_t>(rows.draws.size()));
      for (const step::Segment& segment : rows.segments)
        zero_rows_ += segment.input == step::Input::zeros ? segment.rows : 0;
    }
    Fail fail = std::exchange(fail_, Fail::none);
    if (fail_by_) fail = fail_by_(begun_);
    if (fail == Fail::launch) throw std::runtime_error("the launch failed");
    if (fail == Fail::device) throw DeviceError("the device fell off");
    fails_.push_back(fail == Fail::run);
  }
  void tell_open(std::int32_t launches) {
    const std::lock_guard<std::mutex> lock(mutex_);
    most_open_ = std::max(most_open_, launches);
  }
  // Waits as long as the next launch is late; whether it shall fail.
  bool delay() {
    std::uint32_t wait = 0;
    bool fails = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      random_ = random_ * 1664525U + 1013904223U;
      if (most_delay_ > 0) wait = (random_ >> 8) % most_delay_;
      fails = fails_.front();
      fails_.erase(fails_.begin());
    }
    if (wait > 0) std::this_thread::sleep_for(std::chrono::microseconds(wait));
    return fails;
  }

 private:
  void set_permits(std::int64_t permits) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      permits_ = permits;
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t permits_ = INT64_MAX;
  std::int64_t begun_ = 0;
  Fail fail_ = Fail::none;
  std::function<Fail(std::int64_t)> fail_by_;
  std::vector<bool> fails_;  // of launches that haven't run
  std::uint32_t most_delay_ = 0;
  std::uint32_t random_ = 1;
  std::vector<std::uint64_t> admitted_;
  std::int32_t most_draws_ = 0;
  std::int32_t most_open_ = 0;
  std::int64_t zero_rows_ = 0;
};

}  // namespace ttsrt::test
