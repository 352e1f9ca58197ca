// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is a
// counter-based generator, so a random number depends only on the request's seed and on the place
// of the draw.
#pragma once

#include <cstdint>

#include "rules/inline.h"

namespace ttsrt::rules {

// The use of a random number, which is part of the counter.
enum class DrawKind : std::uint32_t {
  code = 0,
  maskgit_noise = 1,
  block_noise = 2,
  flow_noise = 3,
  source_noise = 4,
  source_phase = 5
};

TTSRT_RULE void philox_round(std::uint32_t counter[4], std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t a = 0xD2511F53ULL * counter[0];
  const std::uint64_t b = 0xCD9E8D57ULL * counter[2];
  const std::uint32_t next[4] = {
      static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(b),
      static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(a)};
  for (int i = 0; i < 4; ++i) counter[i] = next[i];
}

// Replaces the counter by the four random 32-bit words of (seed, counter).
TTSRT_RULE void philox4x32(std::uint64_t seed, std::uint32_t counter[4]) {
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    philox_round(counter, key0, key1);
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
}

// Returns a uniform number in [0, 1) with 24 random bits. `place` is the place of the code in the
// stack; `pass` is the MaskGit pass, or 0.
TTSRT_RULE float uniform(std::uint64_t seed, std::int32_t step, std::int32_t place,
                         std::int32_t pass, DrawKind kind) {
  std::uint32_t counter[4] = {static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(place),
                              static_cast<std::uint32_t>(pass), static_cast<std::uint32_t>(kind)};
  philox4x32(seed, counter);
  return static_cast<float>(counter[0] >> 8) * (1.0F / 16777216.0F);
}

}  // namespace ttsrt::rules
