// Nibbles as bytes, on levels whose byte product takes any bytes.
#pragma once

#include <stdint.h>

namespace ttsrt::cpu {
namespace {

// The nibbles of a block: of its first four inputs, and of the next four.
struct Nibbles {
  Quads low, high;
};
inline Nibbles nibbles_of(const Block& x) { return {nibble_quads<0>(x), nibble_quads<1>(x)}; }
// Adds the products with four int8 at `low` and four at `high`.
inline Ints dot_nibbles(const Nibbles& w, const uint32_t* low, const uint32_t* high,
                        const Ints& sum) {
  return dot_quads(w.high, set_quad(high), dot_quads(w.low, set_quad(low), sum));
}

}  // namespace
}  // namespace ttsrt::cpu
