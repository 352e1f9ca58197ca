// An executor's threads: where they may run, and that they sleep while there is nothing to do.
#ifdef __linux__
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/thread_team.h"
#include "support/speculating.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

using test::spoken;

class ExecutorThreads : public ::testing::Test {
 protected:
  ExecutorOptions options(bool pin_threads) const {
    ExecutorOptions options = test::Place{"cpu", usable_cores()}.options();
    options.pin_threads = pin_threads;
    return options;
  }

  const test::TinyEngine folder_{test::tiny_config(), test::crowd_limits()};
  const Engine engine_ = Engine::open(folder_.path());
};

std::set<pid_t> threads_of_this_process() {
  std::set<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    found.insert(std::stoi(entry.path().filename().string()));
  return found;
}

std::vector<std::size_t> cores_of(pid_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(thread, sizeof(set), &set), 0);
  std::vector<std::size_t> cores;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

TEST_F(ExecutorThreads, PinnedAreItsOwnAndNoOthers) {
  const std::vector<std::size_t> allowed = cores_of(0);
  std::thread([] {}).join();  // a sanitizer starts a thread of its own with the first one
  const std::set<pid_t> before = threads_of_this_process();
  Executor executor(engine_, options(true));
  EXPECT_NE(executor.info().description.find("pinned"), std::string::npos);
  executor.submit(spoken({1, 2, 3}, 9)).result();
  std::set<std::size_t> taken;
  for (const pid_t thread : threads_of_this_process()) {
    if (before.count(thread) > 0) {
      EXPECT_EQ(cores_of(thread), allowed);
      continue;
    }
    EXPECT_EQ(cores_of(thread).size(), 1U);
    taken.insert(cores_of(thread).front());
  }
  EXPECT_EQ(std::vector<std::size_t>(taken.begin(), taken.end()), allowed);
}

TEST_F(ExecutorThreads, ResultsAreTheSamePinned) {
  Executor pinned(engine_, options(true));
  Executor free(engine_, options(false));
  test::expect_same(pinned.submit(spoken({4, 5, 6}, 3)).result().value(),
                    free.submit(spoken({4, 5, 6}, 3)).result().value(), "pinned");
}

// A draft engine computes in turn with the engine that it drafts for, on the same threads.
TEST_F(ExecutorThreads, ADraftEngineHasNoneOfItsOwn) {
  const test::TinyEngine folder(test::model_config(test::llama_stack_json()),
                                test::text_limits(DType::float32));
  const Engine engine = Engine::open(folder.path());
  ExecutorOptions with = test::Place{"cpu", 4}.options();
  std::thread([] {}).join();
  const auto threads_of = [&](const ExecutorOptions& options) {
    const std::size_t before = threads_of_this_process().size();
    Executor executor(engine, options);
    executor.generate(test::prompt({5, 6, 5}));
    return threads_of_this_process().size() - before;
  };
  const std::size_t alone = threads_of(with);
  EXPECT_GE(alone, 4U);
  with.draft_engine = folder.path();
  EXPECT_EQ(threads_of(with), alone);
  with.device = "cpu,cpu";
  EXPECT_EQ(threads_of(with), 2 * alone);
}

// Threads that spun while idle would take a second of a core each.
TEST_F(ExecutorThreads, IdleExecutorsBurnNoCores) {
  Executor one(engine_, options(false));
  Executor other(engine_, options(true));
  for (Executor* executor : {&one, &other}) executor->submit(spoken({1, 2, 3}, 9)).result();
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.2);
}

}  // namespace
}  // namespace ttsrt
#endif
