#include "executor/ready_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace ttsrt {
namespace {

using Keys = std::vector<std::uint64_t>;

TEST(ReadyList, GivesEachMarkedKeyOnce) {
  const auto list = std::make_shared<ReadyList>();
  ReadyList::Entry one(list, 1), two(list, 2), three(list, 3);
  three.mark_ready();
  one.mark_ready();
  three.mark_ready();
  EXPECT_EQ(list->wait(), (Keys{3, 1}));
  two.mark_ready();
  three.mark_ready();
  EXPECT_EQ(list->wait(), (Keys{2, 3}));
}

TEST(ReadyList, ForgetsWhatIsDestroyed) {
  const auto list = std::make_shared<ReadyList>();
  std::optional<ReadyList::Entry> ready(std::in_place, list, 1);
  std::optional<ReadyList::Entry> idle(std::in_place, list, 2);
  ready->mark_ready();
  ready.reset();
  idle.reset();
  list->wake();
  EXPECT_TRUE(list->wait().empty());
}

TEST(ReadyList, AWakeBeforeTheWaitIsNotLost) {
  ReadyList list;
  list.wake();
  EXPECT_TRUE(list.wait().empty());
}

TEST(ReadyList, LosesNothingFromManyThreads) {
  const auto list = std::make_shared<ReadyList>();
  constexpr std::uint64_t kThreads = 4, kPerThread = 50;
  std::vector<std::unique_ptr<ReadyList::Entry>> entries;
  for (std::uint64_t key = 0; key < kThreads * kPerThread; ++key)
    entries.push_back(std::make_unique<ReadyList::Entry>(list, key));
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&entries, thread] {
      for (std::uint64_t i = 0; i < kPerThread; ++i) entries[i * kThreads + thread]->mark_ready();
    });
  }
  Keys seen;
  while (seen.size() < entries.size()) {
    const Keys keys = list->wait();
    seen.insert(seen.end(), keys.begin(), keys.end());
  }
  for (std::thread& thread : threads) thread.join();
  std::sort(seen.begin(), seen.end());
  for (std::uint64_t key = 0; key < seen.size(); ++key) EXPECT_EQ(seen[key], key);
}

}  // namespace
}  // namespace ttsrt
