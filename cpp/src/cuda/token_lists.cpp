#include "cuda/token_lists.h"

#include <algorithm>
#include <cstddef>

#include "core/check.h"
#include "cuda/check.h"

namespace ttsrt::cuda {
namespace {

template <typename T>
void copy_up(T* to, const T* from, std::int32_t count, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T),
                        cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync");
}

}  // namespace

TokenLists::TokenLists(const ops::StateSpec& spec) : max_drawn_(spec.max_drawn) {
  if (max_drawn_ == 0) return;
  const auto slots = static_cast<std::size_t>(spec.slots);
  seen_ = PinnedBuffer(slots * static_cast<std::size_t>(max_drawn_) * sizeof(std::int32_t));
  biases_ = PinnedBuffer(slots * kMaxTokenBiases * sizeof(rules::TokenBias));
}

std::int32_t* TokenLists::seen(std::int64_t index) const {
  return seen_.as<std::int32_t>() + index * max_drawn_;
}

rules::TokenBias* TokenLists::biases(std::int64_t index) const {
  return biases_.as<rules::TokenBias>() + index * kMaxTokenBiases;
}

TokenHead TokenLists::stage(std::int32_t index, const step::TokenRules* tokens) const {
  if (tokens == nullptr) return {};
  TTSRT_CHECK(InternalError,
              tokens->seen.size() <= static_cast<std::size_t>(max_drawn_) &&
                  tokens->biases.size() <= static_cast<std::size_t>(kMaxTokenBiases),
              "token rules: expected at most ", max_drawn_, " ids and ", kMaxTokenBiases,
              " biases, got ", tokens->seen.size(), " and ", tokens->biases.size());
  std::copy(tokens->seen.begin(), tokens->seen.end(), seen(index));
  std::copy(tokens->biases.begin(), tokens->biases.end(), biases(index));
  return {tokens->repetition_penalty,
          tokens->presence_penalty,
          tokens->frequency_penalty,
          static_cast<std::int32_t>(tokens->seen.size()),
          static_cast<std::int32_t>(tokens->biases.size()),
          tokens->num_logprobs};
}

void TokenLists::copy(std::int32_t index, const SlotResetEntry& entry, const TokensView& to,
                      cudaStream_t stream) const {
  const std::int64_t slot = entry.slot;
  if (entry.tokens.num_seen > 0)
    copy_up(to.seen + slot * to.max_drawn, seen(index), entry.tokens.num_seen, stream);
  if (entry.tokens.num_biases > 0)
    copy_up(to.biases + slot * kMaxTokenBiases, biases(index), entry.tokens.num_biases, stream);
}

}  // namespace ttsrt::cuda
