// The local transformer's own network: rows in, rows out, and its heads. Used by both ways of
// picking codes.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/program.h"
#include "rules/slot_rules.h"

namespace ttsrt::ops::reference {

class LocalTransformer {
 public:
  explicit LocalTransformer(const PickCodes& op);

  // Appends the projection of a decoder output [dim] to `rows` [n, width].
  void append_hidden(const float* hidden, std::vector<float>& rows) const;
  // Appends the projection of a code's embedding in table `place`.
  void append_code(std::int32_t place, std::int32_t code, std::vector<float>& rows) const;
  // The stack over `rows` [n, width] from position 0 on; there is no final norm.
  std::vector<float> forward(std::vector<float> rows, bool is_causal) const;
  // Logits [vocab] of head `place` from a row [width].
  void head(std::int32_t place, const float* row, float* logits) const;

 private:
  void add_self_attention(const LocalLayer& layer, std::int64_t count, bool is_causal,
                          std::vector<float>& x) const;
  void add_feed_forward(const LocalLayer& layer, std::int64_t count, std::vector<float>& x) const;

  const PickCodes& op_;
};

// How each kind picks: codes [codebooks] from the branches' decoder outputs [dim], raw logits
// [codebooks * vocab] kept per branch.
struct Pick {
  const PickCodes& op;
  const LocalTransformer& network;
  const rules::SlotRules& rules;
  const rules::SlotState& state;
  std::vector<const float*> hidden;        // per branch, conditional first
  std::vector<float*> logits;              // per branch
  std::vector<const std::uint32_t*> seen;  // per place, null where no penalty counts

  // The guided, masked logits of a slice, from `logits`.
  std::vector<float> masked(std::int32_t place, float scale) const;
};
void pick_autoregressive(const Pick& pick, std::int32_t* codes);
void pick_maskgit(const Pick& pick, std::int32_t* codes);

}  // namespace ttsrt::ops::reference
