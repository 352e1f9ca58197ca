#include "decode/ngram_index.h"

#include <algorithm>
#include <bit>
#include <random>

namespace ttsrt::decode {
namespace {

std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

NgramIndex::NgramIndex(std::int32_t max_ngram, NgramMatch match, std::size_t most_ids)
    : match_(match),
      start_(random_word()),
      multiplier_(random_word() | 1),
      tables_(static_cast<std::size_t>(max_ngram), Table(std::bit_ceil(2 * most_ids + 2), 0)) {
  ids_.reserve(most_ids);
}

std::uint64_t NgramIndex::hash_of(const std::int32_t* ids, std::size_t size) const {
  std::uint64_t hash = start_;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<std::uint64_t>(ids[i])) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32;
  }
  return hash * multiplier_;
}

// The slot of the n-gram in front of place `end`: its own, or a free one.
std::size_t NgramIndex::slot_of(const Table& table, std::int32_t ngram, std::size_t end) const {
  const auto size = static_cast<std::size_t>(ngram);
  const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(end - size);
  const int bits = std::countr_zero(table.size());
  std::size_t slot = hash_of(ids_.data() + (end - size), size) >> (64 - bits);
  while (table[slot] != 0) {
    const auto other = ids_.begin() + static_cast<std::ptrdiff_t>(table[slot] - size);
    if (std::equal(begin, begin + static_cast<std::ptrdiff_t>(size), other)) break;
    slot = (slot + 1) & (table.size() - 1);
  }
  return slot;
}

// An id now stands at place `end`, behind the n-gram.
void NgramIndex::put(std::int32_t ngram, std::size_t end) {
  Table& table = tables_[static_cast<std::size_t>(ngram) - 1];
  std::uint32_t& place = table[slot_of(table, ngram, end)];
  if (place == 0 || match_ == NgramMatch::last) place = static_cast<std::uint32_t>(end);
}

void NgramIndex::append(std::int32_t id) {
  const std::size_t end = ids_.size();
  ids_.push_back(id);
  for (std::size_t ngram = 1; ngram <= std::min(tables_.size(), end); ++ngram)
    put(static_cast<std::int32_t>(ngram), end);
}

NgramDraft NgramIndex::draft(std::int32_t most, const std::vector<std::int32_t>& ends,
                             std::int32_t* draft) const {
  const std::size_t size = ids_.size();
  NgramDraft found;
  if (size < 2 || most <= 0) return found;
  std::size_t from = 0;
  for (std::size_t ngram = std::min(tables_.size(), size - 1); ngram >= 1 && from == 0; --ngram) {
    const Table& table = tables_[ngram - 1];
    from = table[slot_of(table, static_cast<std::int32_t>(ngram), size)];
    if (from != 0) found.ngram = static_cast<std::int32_t>(ngram);
  }
  if (from == 0) return found;
  for (; found.ids < most; ++found.ids, ++from) {
    if (from >= size && match_ == NgramMatch::first) break;
    const std::int32_t id = from < size ? ids_[from] : draft[from - size];
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
    draft[found.ids] = id;
  }
  return found;
}

}  // namespace ttsrt::decode
