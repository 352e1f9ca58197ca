// The lists of the token rules of a flight's resets, in pinned memory from which they are copied to
// the arrays of their slots: as many resets as there are slots, each with room of its own.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/device_memory.h"
#include "cuda/launch.h"
#include "ops/backend.h"
#include "step/token_rules.h"

namespace ttsrt::cuda {

class TokenLists {
 public:
  TokenLists() = default;
  // Without StateSpec::max_drawn, no reset has token rules.
  explicit TokenLists(const ops::StateSpec& spec);

  // Lays the lists of reset `index`. Returns what the rules say beside them; of none, that they
  // change nothing. Throws InternalError if the lists are longer than those of a slot.
  TokenHead stage(std::int32_t index, const step::TokenRules* tokens) const;
  // Queues the copies of the lists of reset `index`, which has become an entry.
  void copy(std::int32_t index, const SlotResetEntry& entry, const TokensView& to,
            cudaStream_t stream) const;

 private:
  std::int32_t* seen(std::int64_t index) const;
  rules::TokenBias* biases(std::int64_t index) const;

  std::int64_t max_drawn_ = 0;
  PinnedBuffer seen_;    // [slots, max_drawn]
  PinnedBuffer biases_;  // [slots, kMaxTokenBiases]
};

}  // namespace ttsrt::cuda
