// An engine whose files change while they are in use: results stay the same, or the end is named.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/tiny_executor.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using test::throws_naming;

struct Change {
  const char* name;
  std::function<void(const test::TinyEngine&)> make;
};

void fill_with_noise(const std::string& path) {
  const auto bytes = fs::file_size(path);
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  stream << std::string(bytes, '\x7F');
  ASSERT_TRUE(stream.good());
}

std::vector<Change> changes_in_place() {
  return {{"truncated", [](const auto& engine) { fs::resize_file(engine.weights(), 100); }},
          {"emptied", [](const auto& engine) { fs::resize_file(engine.weights(), 0); }},
          {"grown", [](const auto& engine) { fs::resize_file(engine.weights(), 1U << 22); }},
          {"overwritten", [](const auto& engine) { fill_with_noise(engine.weights()); }}};
}

std::vector<Change> changes_of_the_folder() {
  return {{"deleted", [](const auto& engine) { fs::remove_all(engine.path()); }},
          {"replaced",
           [](const auto& engine) {
             test::write_file(engine.path() + "/other", std::string(5000, 'x'));
             fs::rename(engine.path() + "/other", engine.weights());
           }},
          {"moved", [](const auto& engine) { fs::rename(engine.path(), engine.path() + "2"); }}};
}

class ExecutorFiles : public test::ExecutorAt {
 protected:
  static Result run(Executor& executor) { return executor.generate(test::spoken({1, 2, 3}, 5)); }
};

TEST_P(ExecutorFiles, ARunningExecutorKeepsItsWeights) {
  std::vector<Change> changes = changes_in_place();
  for (const Change& change : changes_of_the_folder()) changes.push_back(change);
  for (const Change& change : changes) {
    const test::TinyEngine engine;
    const Engine opened = Engine::open(engine.path());
    Executor executor(opened, options());
    const Result expected = run(executor);
    Handle handle = executor.submit(test::spoken({1, 2, 3}, 5));  // runs across the change
    change.make(engine);
    test::expect_same(*handle.result(), expected, change.name);
    test::expect_same(run(executor), expected, change.name);
    Executor another(opened, options());  // shares the weights that are in memory
    test::expect_same(run(another), expected, change.name);
  }
}

TEST_P(ExecutorFiles, AChangeBetweenOpeningAndLoadingIsNamed) {
  for (const Change& change : changes_in_place()) {
    const test::TinyEngine engine;
    const Engine opened = Engine::open(engine.path());
    change.make(engine);
    EXPECT_TRUE(throws_naming<FormatError>(engine.weights() + ": changed while it was in use", [&] {
      Executor executor(opened, options());
    })) << change.name;
  }
}

TEST_P(ExecutorFiles, AnOpenedEngineKeepsFilesThatAreReplacedOrDeleted) {
  for (const Change& change : changes_of_the_folder()) {
    const test::TinyEngine engine;
    const Engine opened = Engine::open(engine.path());
    const Result expected = [&] {
      Executor executor(Engine::open(engine.path()), options());
      return run(executor);
    }();
    change.make(engine);
    Executor executor(opened, options());
    test::expect_same(run(executor), expected, change.name);
  }
}

TEST_P(ExecutorFiles, WeightsLeaveMemoryWithTheLastExecutor) {
  const test::TinyEngine engine;
  const Engine opened = Engine::open(engine.path());
  Executor(opened, options()).close();
  fs::resize_file(engine.weights(), 100);
  EXPECT_THROW(Executor(opened, options()), FormatError);
}

INSTANTIATE_TEST_SUITE_P(Devices, ExecutorFiles, testing::ValuesIn(test::all_places()),
                         test::place_name);

}  // namespace
}  // namespace ttsrt
