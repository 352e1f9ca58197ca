// One thread serves the streams of many requests, of two executors.
#include "ttsrt/selector.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

using test::spoken;

class SelectorTest : public ::testing::Test {
 protected:
  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

// Takes what the reported requests have until all have ended; the codes of each.
std::map<std::uint64_t, std::vector<std::int32_t>> follow(Selector& selector,
                                                          std::map<std::uint64_t, Handle> running) {
  std::map<std::uint64_t, std::vector<std::int32_t>> codes;
  while (!running.empty()) {
    for (const std::uint64_t key : selector.select()) {
      const auto found = running.find(key);
      if (found == running.end()) continue;
      bool timed_out = false;
      while (const std::optional<Event> event =
                 found->second.next_for(std::chrono::duration<double>(0.0), timed_out))
        codes[key].insert(codes[key].end(), event->codes.values.begin(), event->codes.values.end());
      if (!timed_out) running.erase(found);
    }
  }
  return codes;
}

TEST_F(SelectorTest, OneThreadServesManyStreams) {
  Executor one(engine_, test::Place{"cpu", 1}.options());
  Executor other(engine_, test::Place{"reference", 1}.options());
  Selector selector;
  std::map<std::uint64_t, Handle> running;
  for (std::int32_t i = 0; i < 12; ++i) {
    Executor& executor = i % 2 == 0 ? one : other;
    const auto key = static_cast<std::uint64_t>(i);
    running[key] = executor.submit(spoken({1, 2, 3 + i % 4}, i));
    selector.add(running[key], key);
  }
  const auto codes = follow(selector, std::move(running));
  ASSERT_EQ(codes.size(), 12U);
  for (const auto& [key, streamed] : codes) {
    const auto i = static_cast<std::int32_t>(key);
    Executor& executor = i % 2 == 0 ? one : other;
    EXPECT_EQ(streamed, executor.generate(spoken({1, 2, 3 + i % 4}, i)).codes.values) << i;
  }
}

TEST_F(SelectorTest, ARequestThatEndedBeforeItWasAddedIsReported) {
  Executor executor(engine_, test::Place{"cpu", 1}.options());
  Handle handle = executor.submit(spoken({1, 2, 3}, 1));
  handle.result();
  Selector selector;
  selector.add(handle, 5);
  EXPECT_EQ(selector.select(), std::vector<std::uint64_t>{5});
}

TEST_F(SelectorTest, TheEndIsReportedThoughNoEventIsTaken) {
  Executor executor(engine_, test::Place{"cpu", 1}.options());
  Handle handle = executor.submit(spoken({1, 2, 3}, 1));
  Selector selector;
  selector.add(handle, 5, Watch::end);
  selector.add(handle, 6, Watch::end);
  selector.remove(handle, 6);
  EXPECT_EQ(selector.select(), std::vector<std::uint64_t>{5});
  EXPECT_TRUE(handle.is_done());
}

TEST_F(SelectorTest, ARemovedRequestIsNotReported) {
  Executor executor(engine_, test::Place{"cpu", 1}.options());
  Handle handle = executor.submit(spoken({1, 2, 3}, 1));
  Selector selector;
  selector.add(handle, 5);
  selector.remove(handle);
  handle.result();
  selector.wake();
  EXPECT_TRUE(selector.select().empty());
}

TEST_F(SelectorTest, ASelectorMayGoBeforeItsRequests) {
  Executor executor(engine_, test::Place{"cpu", 1}.options());
  Handle handle;
  {
    Selector selector;
    handle = executor.submit(spoken({1, 2, 3}, 1));
    selector.add(handle, 5);
  }
  EXPECT_EQ(handle.result()->finish_reason, FinishReason::length);
}

TEST(Selector, WakeEndsAWait) {
  Selector selector;
  std::thread waker([&] { selector.wake(); });
  EXPECT_TRUE(selector.select().empty());
  waker.join();
}

TEST(Selector, AnEmptyHandleIsRefused) {
  Selector selector;
  EXPECT_TRUE(test::throws_naming<ConfigError>("submit()", [&] { selector.add(Handle(), 1); }));
  EXPECT_THROW(selector.remove(Handle()), ConfigError);
}

}  // namespace
}  // namespace ttsrt
