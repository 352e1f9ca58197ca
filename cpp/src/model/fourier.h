// Short Fourier transforms of real frames as matrices, whose bins are real parts, then imaginary
// parts.
#pragma once

#include <cstdint>
#include <vector>

namespace ttsrt::model {

// The periodic Hann window.
std::vector<float> hann(std::int32_t samples);

// The transform of a windowed frame, as a matrix [samples + 2, samples].
std::vector<float> fourier_transform(std::int32_t samples, const std::vector<float>& window);

// The inverse transform of a frame, windowed, as a matrix [samples, samples + 2].
std::vector<float> inverse_transform(std::int32_t samples, const std::vector<float>& window);

}  // namespace ttsrt::model
