// Transposed convolutions as products: an input row becomes `rate` output rows, so that a launch
// reads each input with a few neighbours and gives the outputs of all its rows at once.
//
// With taps k and a rate u, and (k - u) / 2 samples of padding, output q * u + j is the sum over
// inputs q + d of tap j + (k - u) / 2 - d * u, where there is one. Those are at most `reach` rows
// away on either side; a tap that isn't there is zero.
#pragma once

#include <cstdint>
#include <vector>

namespace ttsrt::model {

inline std::int64_t transposed_reach(std::int64_t taps, std::int64_t rate) {
  return ((taps + rate) / 2 - 1) / rate;
}
inline std::int64_t transposed_rows(std::int64_t taps, std::int64_t rate) {
  return 2 * transposed_reach(taps, rate) + 1;
}

// `values` [inputs, outputs, taps] as [rate * outputs, rows around * inputs].
std::vector<float> transposed_product(const std::vector<float>& values,
                                      const std::vector<std::int64_t>& shape, std::int64_t rate);

}  // namespace ttsrt::model
