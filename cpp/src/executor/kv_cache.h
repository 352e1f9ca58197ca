// Books of the paged self-attention cache: which blocks are whose. No memory is touched here.
//
// Blocks are reference-counted. A shared prefix (the unconditional context of a given length, a
// voice) is filled once; a sequence forks it: whole blocks are shared, the last, partly filled one
// is copied. Nothing is evicted while in use; prefixes without users are dropped when blocks run
// short, the longest unused first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "step/itinerary.h"

namespace ttsrt::executor {

class BlockPool {
 public:
  BlockPool(std::int32_t num_blocks, std::int32_t block_size);

  std::int32_t num_blocks() const { return static_cast<std::int32_t>(references_.size()); }
  std::int32_t num_free() const { return static_cast<std::int32_t>(free_.size()); }
  std::int32_t block_size() const { return block_size_; }
  std::int32_t blocks_for(std::int32_t positions) const {
    return (positions + block_size_ - 1) / block_size_;
  }

  // Since the start: blocks taken, and takes that shared one.
  std::uint64_t num_taken() const { return num_taken_; }
  std::uint64_t num_shared() const { return num_shared_; }

  // Throws InternalError where none is free: callers reserve first.
  std::int32_t take();
  void share(std::int32_t block);
  void release(std::int32_t block);

 private:
  std::int32_t block_size_;
  std::vector<std::int32_t> references_;  // [num_blocks]
  std::vector<std::int32_t> free_;
  std::uint64_t num_taken_ = 0;
  std::uint64_t num_shared_ = 0;
};

// Blocks of one branch, in order of position. Gives them back when it goes.
class BlockTable {
 public:
  BlockTable() = default;
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  BlockTable(BlockTable&& other) noexcept : pool_(other.pool_), blocks_(std::move(other.blocks_)) {
    other.blocks_.clear();
  }
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() { clear(); }  // NOLINT(bugprone-exception-escape): the pool has room for all

  // Room for `positions` without moving data(), which launches point into.
  void reserve(std::int32_t positions);
  // Takes blocks until `positions` fit.
  void grow(std::int32_t positions);
  // Gives back what lies beyond `positions`.
  void truncate(std::int32_t positions);
  // Becomes a fork of `other`: shares its whole blocks of the first `positions` and copies the rest
  // of them.
  void fork_from(const BlockTable& other, std::int32_t positions,
                 std::vector<step::BlockCopy>& copies);
  void clear();

  const std::int32_t* data() const { return blocks_.data(); }
  std::int32_t size() const { return static_cast<std::int32_t>(blocks_.size()); }

 private:
  BlockPool* pool_ = nullptr;
  std::vector<std::int32_t> blocks_;
};

// The start of a branch's prompt that several requests read: filled once, then forked.
struct Prefix {
  std::uint64_t id = 0;  // never 0, never given twice
  step::PrefixKey key;
  std::int32_t planned = 0;    // rows that are launched
  std::int32_t committed = 0;  // rows that are in the cache
  std::int32_t users = 0;      // sequences that wait for it or forked it
  // A launch that should have filled it failed: nobody new may use it, and those who do fail.
  bool is_broken = false;
  BlockTable table;

  std::int32_t rows() const { return key.rows; }
};

class PrefixCache {
 public:
  explicit PrefixCache(BlockPool& pool) : pool_(pool) {}

  // The prefix of that key, its blocks taken; made where there is none yet.
  Prefix& acquire(const step::PrefixKey& key);
  void release(Prefix& prefix);
  // Drops unused prefixes, longest unused first, until `blocks` are free; whether they are.
  bool make_room(std::int32_t blocks);
  // Blocks of the prefixes that have users.
  std::int32_t used_blocks() const { return used_blocks_; }

 private:
  BlockPool& pool_;
  std::int32_t used_blocks_ = 0;
  std::list<std::unique_ptr<Prefix>> prefixes_;  // most recently used first
  std::uint64_t last_id_ = 0;
};

}  // namespace ttsrt::executor
