// Scaled dot-product attention of one query row, shared by self-attention, cross-attention and the
// local transformer.
#pragma once

#include <cstdint>
#include <vector>

namespace ttsrt::ops::reference {

// The rows to which a query attends; each row is [heads * head_dim].
struct Seen {
  std::vector<const float*> keys;
  std::vector<const float*> values;
};

struct HeadShape {
  std::int32_t heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t kv_heads = 0;  // 0: as many as heads
  float scale = 0.0F;         // 0: 1 / sqrt(head_dim)

  // Where the keys and values of a query head begin in their rows.
  std::int64_t kv_begin(std::int32_t head) const {
    return std::int64_t{kv_heads > 0 ? head * kv_heads / heads : head} * head_dim;
  }
};

// Returns softmax(q k / sqrt(head_dim)) of one head over the first `count` rows.
// `q` [heads * head_dim].
std::vector<double> attention_probabilities(const HeadShape& shape, std::int32_t head,
                                            const float* q, const Seen& seen, std::int64_t count);

// Writes one head of `out` [heads * head_dim]: the sum of probabilities * values.
void mix_values(const HeadShape& shape, std::int32_t head, const std::vector<double>& probabilities,
                const Seen& seen, float* out);

// Does attention for all heads; `out` [heads * head_dim].
void attend(const HeadShape& shape, const float* q, const Seen& seen, std::int64_t count,
            float* out);

}  // namespace ttsrt::ops::reference
