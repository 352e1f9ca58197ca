// A run of units that one thread works through from the front while others, done with theirs, take
// from its back.
//
// Decided: who was preempted, or reads from the slower memory, must not hold up the others for the
// rest of its share. Empty before its owner opens it and again before the owner's next barrier, so
// who looks too early or too late finds nothing to take. Which thread does a unit changes no bit.
#pragma once

#include <atomic>
#include <cstdint>

namespace ttsrt::cpu {

class SharedRange {
 public:
  struct Taken {
    std::int32_t begin = 0;
    std::int32_t end = 0;
    bool is_empty() const { return begin == end; }
  };

  // By the owner.
  void open(std::int32_t begin, std::int32_t end) {
    bounds_.store(pack(begin, end), std::memory_order_relaxed);
  }
  // Up to `most` units; none where all are taken.
  Taken take_front(std::int32_t most) { return take(most, true); }
  Taken take_back(std::int32_t most) { return take(most, false); }

 private:
  static std::uint64_t pack(std::int32_t begin, std::int32_t end) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(begin)) << 32 |
           static_cast<std::uint32_t>(end);
  }

  Taken take(std::int32_t most, bool from_front) {
    std::uint64_t seen = bounds_.load(std::memory_order_relaxed);
    for (;;) {
      const auto begin = static_cast<std::int32_t>(seen >> 32);
      const auto end = static_cast<std::int32_t>(seen & 0xFFFFFFFFU);
      const std::int32_t count = end - begin < most ? end - begin : most;
      if (count <= 0) return {};
      const std::uint64_t left = from_front ? pack(begin + count, end) : pack(begin, end - count);
      if (bounds_.compare_exchange_weak(seen, left, std::memory_order_relaxed)) {
        return from_front ? Taken{begin, begin + count} : Taken{end - count, end};
      }
    }
  }

  alignas(64) std::atomic<std::uint64_t> bounds_{0};  // begin, end
};

}  // namespace ttsrt::cpu
