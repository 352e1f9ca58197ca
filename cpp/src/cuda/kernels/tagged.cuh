// Words that blocks of a running kernel send each other through global memory: a value and a tag,
// stored and loaded as one. Whoever waits loads the word again until it has the tag, so there is no
// barrier, and a word takes one way to the L2 cache and one back.
//
// Decided: a word is one number of 64 bits, which the memory model keeps whole. Two neighbours are
// stored and loaded together; a load may find one of them new and the other old, which their tags
// tell.
#pragma once

#include "cuda/device.cuh"
#include "cuda/places.h"

namespace ttsrt::cuda {

// Two words: x and z are values, y and w tags.
__device__ inline uint4 load_words(const TaggedWord* from) {
  uint4 words;
  asm volatile(
      "{ .reg .b64 a, b; ld.relaxed.gpu.global.v2.b64 {a, b}, [%4];"
      " mov.b64 {%0, %1}, a; mov.b64 {%2, %3}, b; }"
      : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
      : "l"(from));
  return words;
}

__device__ inline void store_words(TaggedWord* to, std::uint32_t a, std::uint32_t b,
                                   std::uint32_t tag) {
  asm volatile(
      "{ .reg .b64 a, b; mov.b64 a, {%1, %3}; mov.b64 b, {%2, %3};"
      " st.relaxed.gpu.global.v2.b64 [%0], {a, b}; }" ::"l"(to),
      "r"(a), "r"(b), "r"(tag));
}

__device__ inline void store_word(TaggedWord* to, std::uint32_t value, std::uint32_t tag) {
  asm volatile("{ .reg .b64 a; mov.b64 a, {%1, %2}; st.relaxed.gpu.global.b64 [%0], a; }" ::"l"(to),
               "r"(value), "r"(tag));
}

// Waits for a word and returns its value.
__device__ inline std::uint32_t await_word(const TaggedWord* from, std::uint32_t tag) {
  std::uint32_t value = 0;
  std::uint32_t found = 0;
  do {
    asm volatile("{ .reg .b64 a; ld.relaxed.gpu.global.b64 a, [%2]; mov.b64 {%0, %1}, a; }"
                 : "=r"(value), "=r"(found)
                 : "l"(from));
  } while (found != tag);
  return value;
}

// Waits for pairs of words: `at(i)` is where pair i is, null if it is not wanted. All are loaded at
// once, as often as one is missing.
template <int kCount, typename At>
__device__ __forceinline__ void await_pairs(uint4 (&words)[kCount], std::uint32_t tag,
                                            const At& at) {
  bool is_missing = false;
  do {
    is_missing = false;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const TaggedWord* from = at(i);
      words[i] = from == nullptr ? uint4{0, tag, 0, tag} : load_words(from);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      is_missing = is_missing || words[i].y != tag || words[i].w != tag;
  } while (is_missing);
}

__device__ inline float4 numbers_of(const uint4& first, const uint4& second) {
  return {__uint_as_float(first.x), __uint_as_float(first.z), __uint_as_float(second.x),
          __uint_as_float(second.z)};
}

// Returns the number of launches before this one, from which its tags follow.
__device__ inline std::uint32_t number_of(const PlacesArgs& args) {
  return *static_cast<volatile std::uint32_t*>(args.launches);
}

// Counts the launch once all blocks are done. Each has read the number of launches before it comes
// here. A tag must not come again while a word of an earlier launch has it, so the last launch
// whose tags have 32 bits clears all words, and numbers begin again.
__device__ inline void finish_launch(const PlacesArgs& args) {
  const std::uint32_t launch = number_of(args);
  const bool is_last_number =
      launch + 1 >= 0xFFFFFFFFU / static_cast<std::uint32_t>(args.input.codebooks);
  if (is_last_number) __threadfence();
  __syncthreads();
  const bool is_done = threadIdx.x == 0 && atomicAdd(args.launches + 1, 1U) + 1U == gridDim.x;
  if (__syncthreads_or(is_done ? 1 : 0) == 0) return;
  for (std::int64_t i = threadIdx.x; is_last_number && i < args.num_words; i += blockDim.x)
    args.words[i] = {0, 0};
  if (threadIdx.x != 0) return;
  args.launches[0] = is_last_number ? 0 : launch + 1;
  args.launches[1] = 0;
}

}  // namespace ttsrt::cuda
