// What a launch found not finite: one word per row, 0 where all is well. Every backend binds an
// array of these words per Executable, which its ops write and the host reads with the outcome.
//
// Words belong to rows and not to slots, because a launch may fill a shared prefix for one request
// with rows beside that request's own: whoever reads the prefix must fail, and nobody else. The
// smallest word of a row stays, which is that of the first op; it does not depend on threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/program.h"
#include "step/fault.h"

namespace ttsrt::ops {

enum class FaultKind : std::uint32_t {
  not_finite = 0,
  no_choice = 1,  // of ops that draw: every id is forbidden
};

// Returns the word that an op of a Program, by its index, writes for a row.
constexpr std::uint32_t fault_word(std::size_t op, FaultKind kind) {
  return (static_cast<std::uint32_t>(op) + 1U) * 2U + static_cast<std::uint32_t>(kind);
}

// Returns what a word says; `program` must be the Program that has the op.
step::Fault fault_of(const Program& program, std::uint32_t word);

// The words of an Executable on the host. Ops of one launch may add from any thread.
class RowFaults {
 public:
  explicit RowFaults(std::int32_t max_rows) : words_(static_cast<std::size_t>(max_rows)) {}

  // Called before the first part of a Program runs on new rows.
  void clear() {
    if (!has_any_.load(std::memory_order_relaxed)) return;
    for (auto& word : words_) word.store(0, std::memory_order_relaxed);
    has_any_.store(false, std::memory_order_relaxed);
  }

  void add(std::int32_t row, std::uint32_t word) {
    std::atomic<std::uint32_t>& at = words_[static_cast<std::size_t>(row)];
    std::uint32_t known = at.load(std::memory_order_relaxed);
    while (known == 0 || word < known) {
      if (at.compare_exchange_weak(known, word, std::memory_order_relaxed)) break;
    }
    has_any_.store(true, std::memory_order_relaxed);
  }

  // Appends the faults of rows [0, rows) of a launch of the Program that the network numbers
  // `index`.
  void append(const Program& program, std::int32_t index, std::int32_t rows,
              std::vector<step::Fault>& faults) const;

 private:
  std::vector<std::atomic<std::uint32_t>> words_;  // [max_rows]
  std::atomic<bool> has_any_{false};
};

}  // namespace ttsrt::ops
