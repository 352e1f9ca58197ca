// Every allocation of a call fails once: the call gives its result or an error, and what it was
// called on goes on.
#include <gtest/gtest.h>

#include <new>
#include <optional>
#include <string>

#include "support/allocations.h"
#include "support/tiny_executor.h"
#include "ttsrt/build.h"
#include "ttsrt/error.h"

namespace ttsrt {
namespace {

using test::Threads;

class OutOfMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::counts_allocations()) GTEST_SKIP() << "a sanitizer brings its own operator new";
  }

  // Runs `action` until it needs no more allocations than those before the one that fails; later
  // ones fail at growing distances.
  template <typename Action, typename Check>
  static void walk(Threads threads, Action action, Check check) {
    for (std::uint64_t number = 0;; number += 1 + number / 32) {
      bool has_failed = false;
      {
        const test::FailingAllocation failing(number, threads);
        try {
          action();
        } catch (const std::bad_alloc&) {
        } catch (const Error&) {
        }
        has_failed = failing.has_failed();
      }
      check(number);
      if (!has_failed) return;
      ASSERT_LT(number, 1000000U);
    }
  }
  static ExecutorOptions options() {
    ExecutorOptions options;
    options.device = "cpu";
    options.num_threads = 2;
    return options;
  }
  static Request request() { return test::spoken({1, 2, 3}, 5); }

  test::TempDir folder_;
  test::TinyEngine engine_;
};

TEST_F(OutOfMemory, OpeningAndVerifying) {
  const auto nothing = [](std::uint64_t) {};
  walk(Threads::this_one, [&] { Engine::open(engine_.path()); }, nothing);
  const Engine engine = Engine::open(engine_.path());
  walk(Threads::this_one, [&] { engine.verify(); }, nothing);
  EXPECT_NO_THROW(Engine::open(engine_.path()).verify());
}

TEST_F(OutOfMemory, Building) {
  const Json config = test::tiny_config();
  const std::string checkpoint = folder_.file("checkpoint");
  test::write_checkpoint(checkpoint, config, test::tiny_tensors(config));
  BuildOptions over;
  over.overwrite = true;
  const auto make = [&] { build(checkpoint, folder_.file("engine"), over); };
  walk(Threads::this_one, make, [](std::uint64_t) {});
  EXPECT_NO_THROW(Engine::open(folder_.file("engine")).verify());
}

TEST_F(OutOfMemory, CreatingExecutors) {
  const Engine engine = Engine::open(engine_.path());
  walk(Threads::this_one, [&] { Executor executor(engine, options()); }, [](std::uint64_t) {});
  Executor executor(engine, options());
  EXPECT_EQ(executor.generate(request()).codes.rows, 12);
}

TEST_F(OutOfMemory, CallsOfAnExecutor) {
  Executor executor(Engine::open(engine_.path()), options());
  const Result expected = executor.generate(request());
  const auto goes_on = [&](std::uint64_t number) {
    test::expect_same(executor.generate(request()), expected, std::to_string(number));
  };
  walk(Threads::this_one, [&] { executor.submit(request()).result(); }, goes_on);
  walk(
      Threads::this_one,
      [&] {
        Handle handle = executor.submit(request());
        while (handle.next()) {
        }
      },
      goes_on);
  walk(Threads::this_one, [&] { executor.submit(request()).cancel(); }, goes_on);
  walk(
      Threads::this_one,
      [&] {
        executor.add_voice("a", test::random_rows(2, 8, 1));
        executor.remove_voice("a");
      },
      [&](std::uint64_t number) {
        for (const std::string& name : executor.voices()) {
          if (name == "a") executor.remove_voice("a");
        }
        goes_on(number);
      });
  walk(Threads::this_one, [&] { executor.stats(); }, goes_on);
}

// Here the loop's own allocations fail as well: the request that needed them ends with an error.
TEST_F(OutOfMemory, TheLoopGoesOn) {
  Executor executor(Engine::open(engine_.path()), options());
  const Result expected = executor.generate(request());
  walk(
      Threads::all,
      [&] {
        const std::optional<Result> result = executor.submit(request()).result(60.0);
        ASSERT_TRUE(result.has_value()) << "a request without an end";
      },
      [&](std::uint64_t number) {
        test::expect_same(executor.generate(request()), expected, std::to_string(number));
      });
  test::expect_idle(executor, 1);
}

}  // namespace
}  // namespace ttsrt
