// Drafts by lookup: what followed the last ids of a text where they stood in it before. This is
// prompt lookup decoding (Saxena, 2023), as `PromptLookupCandidateGenerator` of transformers does
// it; here each id costs the same, however long the text is.
//
// The longest n-gram counts, from max_ngram ids down to one. Of several earlier occurrences with a
// continuation, the first or the last one is taken: "first" gives exactly what transformers gives.
// With "last", a continuation that comes to the end of the text goes on behind it with the draft
// itself, so that a repeated piece is drafted in full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ttsrt::decode {

enum class NgramMatch : std::int32_t { first, last };

// What lookup found.
struct NgramDraft {
  std::int32_t ngram = 0;  // ids that stood there before; 0: none did
  std::int32_t ids = 0;    // of the draft
};

class NgramIndex {
 public:
  // Room for a text of so many ids. Appending and drafting take no memory.
  NgramIndex(std::int32_t max_ngram, NgramMatch match, std::size_t most_ids);

  void append(std::int32_t id);

  const std::vector<std::int32_t>& ids() const { return ids_; }

  // Writes up to `most` ids that may follow to `draft`, cut off before the first of `ends`.
  NgramDraft draft(std::int32_t most, const std::vector<std::int32_t>& ends,
                   std::int32_t* draft) const;

 private:
  // For n-grams of one size, an open hash table of the places of the ids behind them; 0: free.
  using Table = std::vector<std::uint32_t>;

  std::uint64_t hash_of(const std::int32_t* ids, std::size_t size) const;
  std::size_t slot_of(const Table& table, std::int32_t ngram, std::size_t end) const;
  void put(std::int32_t ngram, std::size_t end);

  NgramMatch match_;
  std::uint64_t start_;       // of every hash
  std::uint64_t multiplier_;  // odd; the high bits of its product with a hash are a slot
  std::vector<std::int32_t> ids_;
  std::vector<Table> tables_;  // [max_ngram]
};

}  // namespace ttsrt::decode
