#include "executor/kv_cache.h"

#include <algorithm>

#include "core/check.h"

namespace ttsrt::executor {

BlockPool::BlockPool(std::int32_t num_blocks, std::int32_t block_size)
    : block_size_(block_size), references_(static_cast<std::size_t>(num_blocks), 0) {
  free_.reserve(references_.size());
  for (std::int32_t block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

std::int32_t BlockPool::take() {
  TTSRT_CHECK(InternalError, !free_.empty(), "block pool: none free of ", references_.size());
  const std::int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<std::size_t>(block)] = 1;
  ++num_taken_;
  return block;
}

void BlockPool::share(std::int32_t block) {
  TTSRT_DCHECK(references_[static_cast<std::size_t>(block)] > 0);
  ++references_[static_cast<std::size_t>(block)];
  ++num_shared_;
}

void BlockPool::release(std::int32_t block) {
  std::int32_t& count = references_[static_cast<std::size_t>(block)];
  TTSRT_DCHECK(count > 0);
  if (--count == 0) free_.push_back(block);
}

// Giving blocks back throws nothing: the pool has room for all of them.
// NOLINTNEXTLINE(bugprone-exception-escape)
BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this != &other) {
    clear();
    pool_ = other.pool_;
    blocks_ = std::move(other.blocks_);
    other.blocks_.clear();
  }
  return *this;
}

void BlockTable::reserve(std::int32_t positions) {
  blocks_.reserve(static_cast<std::size_t>(pool_->blocks_for(positions)));
}

void BlockTable::grow(std::int32_t positions) {
  while (size() * pool_->block_size() < positions) blocks_.push_back(pool_->take());
}

void BlockTable::truncate(std::int32_t positions) {
  if (pool_ == nullptr) return;
  const std::int32_t kept = pool_->blocks_for(positions);
  while (size() > kept) {
    pool_->release(blocks_.back());
    blocks_.pop_back();
  }
}

void BlockTable::fork_from(const BlockTable& other, std::int32_t positions,
                           std::vector<step::BlockCopy>& copies) {
  clear();
  const std::int32_t whole = positions / pool_->block_size();
  TTSRT_CHECK(InternalError, pool_->blocks_for(positions) <= other.size(), "fork: expected ",
              positions, " positions in ", other.size(), " blocks");
  for (std::int32_t i = 0; i < whole; ++i) {
    const std::int32_t shared = other.blocks_[static_cast<std::size_t>(i)];
    pool_->share(shared);
    blocks_.push_back(shared);
  }
  if (positions % pool_->block_size() != 0) {
    blocks_.push_back(pool_->take());
    copies.push_back({other.blocks_[static_cast<std::size_t>(whole)], blocks_.back()});
  }
}

void BlockTable::clear() {
  for (const std::int32_t block : blocks_) pool_->release(block);
  blocks_.clear();
}

Prefix& PrefixCache::acquire(const step::PrefixKey& key) {
  auto found = std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& prefix) {
    return prefix->key == key && !prefix->is_broken;
  });
  if (found == prefixes_.end()) {
    auto prefix = std::make_unique<Prefix>();
    prefix->id = ++last_id_;
    prefix->key = key;
    prefix->table = BlockTable(pool_);
    prefix->table.grow(key.rows);
    prefixes_.push_front(std::move(prefix));
  } else {
    prefixes_.splice(prefixes_.begin(), prefixes_, found);
  }
  Prefix& prefix = *prefixes_.front();
  if (++prefix.users == 1) used_blocks_ += prefix.table.size();
  return prefix;
}

void PrefixCache::release(Prefix& prefix) {
  TTSRT_DCHECK(prefix.users > 0);
  if (--prefix.users > 0) return;
  used_blocks_ -= prefix.table.size();
  if (!prefix.is_broken) return;
  prefixes_.remove_if([&](const auto& of) { return of.get() == &prefix; });
}

bool PrefixCache::make_room(std::int32_t blocks) {
  for (auto at = prefixes_.end(); at != prefixes_.begin() && pool_.num_free() < blocks;) {
    --at;
    if ((*at)->users == 0) at = prefixes_.erase(at);
  }
  return pool_.num_free() >= blocks;
}

}  // namespace ttsrt::executor
