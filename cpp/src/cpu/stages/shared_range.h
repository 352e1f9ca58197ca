// Work stealing: a range of units that its owner takes from the front, while threads that have
// finished their own range steal from the back.
//
// A thread that was preempted, or that reads from slower memory, thus does not delay the others by
// the rest of its range. Outside open()..barrier the range is empty, so a thief finds nothing. The
// result does not depend on which thread does a unit.
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

  // Called by the owner.
  void open(std::int32_t begin, std::int32_t end) {
    bounds_.store(pack(begin, end), std::memory_order_relaxed);
  }
  // Take up to `most` units, or none if all are taken.
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
