// Threads of the host as a Block (cuda/kernels/cooperate.cuh), so that code which the threads of a
// CUDA block run together can be tested without a device. Any number of threads will do; a data
// race between barriers is one for a thread sanitizer, too.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "cuda/kernels/cooperate.cuh"

namespace ttsrt::test {

// What the threads share.
struct HostRoom {
  explicit HostRoom(std::int32_t threads)
      : values(static_cast<std::size_t>(threads)), bins(cuda::kBins), barrier(threads) {}

  std::vector<std::uint64_t> values;  // one per thread
  std::vector<std::uint32_t> bins;
  std::barrier<> barrier;
};

class HostBlock {
 public:
  HostBlock(HostRoom& room, std::int32_t rank) : room_(room), rank_(rank) {}

  std::int32_t rank() const { return rank_; }
  std::int32_t size() const { return static_cast<std::int32_t>(room_.values.size()); }
  void sync() { room_.barrier.arrive_and_wait(); }

  std::uint64_t sum(std::uint64_t value) { return before(value).total; }

  std::uint64_t max(std::uint64_t value) {
    const std::vector<std::uint64_t> all = exchange(value);
    return *std::max_element(all.begin(), all.end());
  }

  cuda::Prefix before(std::uint64_t value) {
    cuda::Prefix found;
    const std::vector<std::uint64_t> all = exchange(value);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i < static_cast<std::size_t>(rank_)) found.before += all[i];
      found.total += all[i];
    }
    return found;
  }

  std::uint32_t* bins() { return room_.bins.data(); }
  void count(std::uint32_t& bin) { std::atomic_ref<std::uint32_t>(bin).fetch_add(1); }

 private:
  std::vector<std::uint64_t> exchange(std::uint64_t value) {
    room_.values[static_cast<std::size_t>(rank_)] = value;
    sync();
    std::vector<std::uint64_t> all = room_.values;
    sync();
    return all;
  }

  HostRoom& room_;
  std::int32_t rank_;
};

// Runs function(block) on `threads` threads that form a block, and returns what each returned.
template <typename Function>
auto run_block(std::int32_t threads, const Function& function) {
  HostRoom room(threads);
  HostBlock first(room, 0);
  std::vector<decltype(function(first))> results(static_cast<std::size_t>(threads));
  std::vector<std::thread> others;
  for (std::int32_t rank = 1; rank < threads; ++rank) {
    others.emplace_back([&, rank] {
      HostBlock block(room, rank);
      results[static_cast<std::size_t>(rank)] = function(block);
    });
  }
  results[0] = function(first);
  for (std::thread& thread : others) thread.join();
  return results;
}

}  // namespace ttsrt::test
