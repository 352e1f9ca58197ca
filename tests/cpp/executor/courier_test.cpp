#include "executor/courier.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/errors.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

using test::spoken;

class CourierTest : public ::testing::Test {
 protected:
  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
  const ExecutorOptions options_ = test::Place{"cpu", 1}.options();
};

// What callbacks were given.
struct Taken {
  std::vector<std::int32_t> codes;
  std::vector<bool> is_last;
  std::vector<std::thread::id> threads;
  std::optional<Result> result;

  EventCallback callback() {
    return [this](Handle& handle, Event event) {
      codes.insert(codes.end(), event.codes.values.begin(), event.codes.values.end());
      is_last.push_back(event.is_last);
      threads.push_back(std::this_thread::get_id());
      if (event.is_last) result = handle.result(0.0);
    };
  }
};

TEST_F(CourierTest, GivesEveryEventInOrderOnOneThread) {
  Executor executor(engine_, options_);
  constexpr std::uint64_t kRequests = 8;
  std::vector<Taken> taken(kRequests);
  for (std::uint64_t seed = 0; seed < kRequests; ++seed)
    executor.submit(spoken({1, 2, 3}, seed), taken[seed].callback());  // the handle is dropped
  executor.close(true);
  Executor again(engine_, options_);
  for (std::uint64_t seed = 0; seed < kRequests; ++seed) {
    const Taken& of = taken[seed];
    ASSERT_FALSE(of.is_last.empty());
    EXPECT_EQ(of.codes, again.generate(spoken({1, 2, 3}, seed)).codes.values);
    for (std::size_t i = 0; i < of.is_last.size(); ++i) {
      EXPECT_EQ(of.is_last[i], i + 1 == of.is_last.size());
      EXPECT_EQ(of.threads[i], taken[0].threads[0]);
      EXPECT_NE(of.threads[i], std::this_thread::get_id());
    }
    ASSERT_TRUE(of.result.has_value());
    EXPECT_EQ(of.result->codes.values, of.codes);
  }
}

TEST_F(CourierTest, ASlowCallbackDelaysNoStep) {
  Executor executor(engine_, options_);
  std::promise<void> may_go_on;
  executor.submit(spoken({1, 2, 3}, 0), [&, is_first = true](Handle&, Event) mutable {
    if (std::exchange(is_first, false)) may_go_on.get_future().wait();
  });
  EXPECT_EQ(executor.generate(spoken({1, 2, 3}, 1)).finish_reason, FinishReason::length);
  EXPECT_THROW(executor.close_for(std::chrono::duration<double>(-1.0)), ConfigError);
  EXPECT_FALSE(executor.close_for(std::chrono::duration<double>(0.01), true));  // for the callback
  may_go_on.set_value();
  EXPECT_TRUE(executor.close_for(std::chrono::duration<double>(60.0), true));
}

TEST_F(CourierTest, ACallbackMayCancelSubmitAndClose) {
  const test::TinyEngine folder(test::long_config(), test::long_limits());
  Executor executor(Engine::open(folder.path()), options_);
  std::promise<FinishReason> first_end;
  std::promise<FinishReason> second_end;
  const auto second = [&](Handle&, Event event) {
    if (event.is_last) return second_end.set_value(event.finish_reason);
    executor.close();
  };
  executor.submit(spoken({1, 2, 3}, 0), [&](Handle& handle, Event event) {
    if (!event.is_last) return handle.cancel();
    first_end.set_value(event.finish_reason);
    executor.submit(spoken({1, 2, 3}, 1), second);
  });
  EXPECT_EQ(first_end.get_future().get(), FinishReason::cancelled);
  EXPECT_EQ(second_end.get_future().get(), FinishReason::cancelled);
}

TEST_F(CourierTest, ACallbackThatThrowsCancelsItsRequestAlone) {
  Executor executor(engine_, options_);
  std::size_t calls = 0;
  Handle broken = executor.submit(spoken({1, 2, 3}, 0), [&](Handle&, Event) {
    ++calls;
    throw std::runtime_error("the callback's own");
  });
  Taken other;
  executor.submit(spoken({1, 2, 3}, 1), other.callback());
  broken.result();
  executor.close(true);
  EXPECT_EQ(calls, 1U);
  ASSERT_TRUE(other.result.has_value());
  EXPECT_EQ(other.result->finish_reason, FinishReason::length);
}

TEST_F(CourierTest, ACallbackMayDestroyTheExecutor) {
  auto executor = std::make_unique<Executor>(engine_, options_);
  std::promise<void> is_submitted;
  std::promise<void> is_destroyed;
  executor->submit(spoken({1, 2, 3}, 0), [&](Handle&, Event event) {
    if (!event.is_last) return;
    is_submitted.get_future().wait();  // nobody else uses the executor from now on
    executor.reset();
    is_destroyed.set_value();
  });
  is_submitted.set_value();
  is_destroyed.get_future().wait();
}

TEST_F(CourierTest, NoCallbackIsRefused) {
  Executor executor(engine_, options_);
  EXPECT_TRUE(test::throws_naming<ConfigError>(
      "on_event", [&] { executor.submit(spoken({1, 2, 3}, 0), EventCallback()); }));
  EXPECT_EQ(executor.stats().num_submitted, 0);
}

}  // namespace
}  // namespace ttsrt
