#include "executor/timed_wait.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <optional>
#include <thread>

#include "support/errors.h"

namespace ttsrt {
namespace {

class TimedWait : public ::testing::Test {
 protected:
  bool wait(std::optional<double> timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    return wait_until(changed_, lock, timeout, [&] { return is_ready_; });
  }
  void make_ready() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_ready_ = true;
    changed_.notify_all();
  }

  bool is_ready_ = false;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

TEST_F(TimedWait, TellsWhetherItBecameReady) {
  EXPECT_FALSE(wait(0.0));
  EXPECT_FALSE(wait(0.001));
  make_ready();
  EXPECT_TRUE(wait(0.0));
  EXPECT_TRUE(wait(std::nullopt));
}

TEST_F(TimedWait, WaitsWithoutEndForNoTimeoutAndAHugeOne) {
  for (const std::optional<double> endless :
       {std::optional<double>(), std::optional(std::numeric_limits<double>::infinity())}) {
    is_ready_ = false;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the wait has begun
      make_ready();
    });
    EXPECT_TRUE(wait(endless));
    other.join();
  }
}

TEST_F(TimedWait, ANegativeTimeoutIsRefused) {
  EXPECT_TRUE(test::throws_naming<ConfigError>("timeout", [&] { wait(-1.0); }));
  EXPECT_THROW(wait(std::numeric_limits<double>::quiet_NaN()), ConfigError);
}

}  // namespace
}  // namespace ttsrt
