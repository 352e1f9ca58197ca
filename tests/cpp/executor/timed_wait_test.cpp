#include "executor/timed_wait.h"

#include <gtest/gtest.h>

#include <limits>
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

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ready_ = false;
};

TEST_F(TimedWait, TellsWhetherItBecameReady) {
  EXPECT_FALSE(wait(0.0));
  EXPECT_FALSE(wait(0.001));
  make_ready();
  EXPECT_TRUE(wait(0.0));
  EXPECT_TRUE(wait(std::nullopt));
}

TEST_F(TimedWait, WaitsWithoutEndForNoTimeoutAndAHugeOne) {
  std::thread other([&] { make_ready(); });
  EXPECT_TRUE(wait(std::nullopt));
  EXPECT_TRUE(wait(std::numeric_limits<double>::infinity()));
  other.join();
}

TEST_F(TimedWait, ANegativeTimeoutIsRefused) {
  EXPECT_TRUE(test::throws_naming<ConfigError>("timeout", [&] { wait(-1.0); }));
  EXPECT_THROW(wait(std::numeric_limits<double>::quiet_NaN()), ConfigError);
}

}  // namespace
}  // namespace ttsrt
