// What a forked child may do with an executor of its parent, and what it may not.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/errors.h"
#include "support/fork.h"
#include "support/tiny_executor.h"
#include "ttsrt/bench.h"
#include "ttsrt/selector.h"

namespace ttsrt {
namespace {

using test::spoken;

#ifdef __SANITIZE_THREAD__
constexpr bool kMayFork = false;  // the thread sanitizer allows no threads in a forked child
#else
constexpr bool kMayFork = true;
#endif

class ExecutorFork : public test::ExecutorAt {
 protected:
  void SetUp() override {
    if (!kMayFork) GTEST_SKIP() << "the thread sanitizer can't follow a fork";
  }

  static bool is_refused(const std::function<void()>& use) {
    return test::throws_naming<ClosedError>("create a new", use);
  }

  // Every use of what belongs to the parent.
  static bool refuses_all(Executor& executor, Handle& handle, Selector& selector) {
    bool timed_out = false;
    const std::chrono::duration<double> second{1.0};
    return is_refused([&] { executor.submit(spoken({1, 2, 3}, 1)); }) &&
           is_refused([&] { executor.submit(spoken({1, 2, 3}, 1), [](Handle&, Event) {}); }) &&
           is_refused([&] { executor.generate(spoken({1, 2, 3}, 1)); }) &&
           is_refused([&] { executor.add_voice("me", {}); }) &&
           is_refused([&] { executor.add_voice_codes("me", {}); }) &&
           is_refused([&] { executor.remove_voice("me"); }) &&
           is_refused([&] { executor.voices(); }) && is_refused([&] { executor.stats(); }) &&
           is_refused([&] { handle.next(); }) &&
           is_refused([&] { handle.next_for(second, timed_out); }) &&
           is_refused([&] { handle.result(); }) && is_refused([&] { handle.cancel(); }) &&
           is_refused([&] { handle.is_done(); }) && is_refused([&] { selector.add(handle, 2); }) &&
           is_refused([&] { selector.remove(handle); }) && is_refused([&] { selector.select(); }) &&
           is_refused([&] { selector.wake(); }) && handle.id() == 1 &&
           executor.engine().info().dim > 0 && !executor.info().device.empty();
  }

  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

TEST_P(ExecutorFork, AChildIsRefusedAndLeavesTheParentUnharmed) {
  auto executor = std::make_unique<Executor>(engine_, options());
  auto selector = std::make_unique<Selector>();
  Handle handle = executor->submit(spoken({1, 2, 3}, 1));
  const std::vector<std::int32_t> codes = handle.result()->codes.values;
  selector->add(handle, 1);
  EXPECT_TRUE(test::holds_in_child([&] { return refuses_all(*executor, handle, *selector); }));
  EXPECT_TRUE(test::holds_in_child([&] {
    executor->close(true);
    const bool is_closed = executor->close_for(std::chrono::duration<double>(1.0));
    executor.reset();
    handle = Handle();
    selector.reset();
    return is_closed;
  }));
  EXPECT_TRUE(test::holds_in_child([&] {
    Executor own(engine_, options());
    return own.generate(spoken({1, 2, 3}, 1)).codes.values == codes;
  }));
  EXPECT_EQ(executor->generate(spoken({1, 2, 3}, 1)).codes.values, codes);
}

// The parent's threads submit, wait, select and look at statistics meanwhile, so that most locks
// are held by some of them at some of the forks.
TEST_P(ExecutorFork, WhileTheParentIsBusy) {
  auto executor = std::make_unique<Executor>(engine_, options());
  auto selector = std::make_unique<Selector>();
  Handle handle = executor->submit(spoken({1, 2, 3}, 1), [](Handle&, Event) {});
  std::atomic<bool> is_over{false};
  std::vector<std::thread> storm;
  for (std::uint64_t t = 0; t < 3; ++t) {
    storm.emplace_back([&, t] {
      while (!is_over) {
        try {
          Handle of = executor->submit(spoken({1, 2, 3}, t));
          selector->add(of, t);
          executor->stats();
          if (t == 0) of.result();
        } catch (const CapacityError&) {
          std::this_thread::yield();
        }
      }
    });
  }
  for (int fork = 0; fork < 20; ++fork) {
    EXPECT_TRUE(test::holds_in_child([&] {
      const bool is_refused_first = is_refused([&] { executor->submit(spoken({1, 2, 3}, 1)); });
      const bool is_refused_too = is_refused([&] { handle.result(); });
      executor->close();
      handle = Handle();
      selector.reset();
      executor.reset();
      return is_refused_first && is_refused_too;
    }));
  }
  is_over = true;
  for (std::thread& thread : storm) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Places, ExecutorFork,
                         testing::Values(test::Place{"cpu", 2}, test::Place{"reference", 0}),
                         test::place_name);

TEST(OpBenchFork, AChildIsRefused) {
  if (!kMayFork) GTEST_SKIP() << "the thread sanitizer can't follow a fork";
  OpBenchOptions options;
  options.family = "layer_norm";
  options.num_threads = 2;
  options.resident = true;
  auto bench = std::make_unique<OpBench>(options);
  EXPECT_TRUE(test::holds_in_child([&] {
    const bool is_refused = test::throws_naming<ClosedError>("OpBench", [&] { bench->run(1); }) &&
                            test::throws_naming<ClosedError>("OpBench", [&] { bench->check(); });
    bench.reset();
    return is_refused;
  }));
  EXPECT_GT(bench->run(1), 0.0);
}

}  // namespace
}  // namespace ttsrt
