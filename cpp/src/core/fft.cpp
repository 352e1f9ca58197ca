// Two halves of the real values are transformed as one complex sequence of half the length, which
// is then taken apart by the symmetry of real input.
#include "core/fft.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "core/check.h"

namespace ttsrt {
namespace {

using Complex = std::complex<double>;

// Both are finite here, so the rules for infinities that operator* follows are not needed.
Complex multiply(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

RealFft::RealFft(std::size_t size) : size_(size) {
  TTSRT_CHECK(InternalError, size >= 2 && std::has_single_bit(size),
              "fft: expected a power of two, got ", size);
  const std::size_t half = size / 2;
  roots_.reserve(half);
  for (std::size_t k = 0; k < half; ++k) {
    const double angle =
        -2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(size);
    roots_.emplace_back(std::cos(angle), std::sin(angle));
  }
  order_.resize(half);
  for (std::size_t i = 1; i < half; ++i) order_[i] = order_[i / 2] / 2 + (i % 2) * (half / 2);
  packed_.resize(half);
  bins_.resize(half + 1);
}

const std::vector<Complex>& RealFft::forward(const double* values) {
  const std::size_t half = size_ / 2;
  for (std::size_t i = 0; i < half; ++i) {
    packed_[order_[i]] = {values[2 * i], values[2 * i + 1]};
  }
  for (std::size_t span = 1; span < half; span *= 2) {
    const std::size_t stride = half / span;  // roots_ has twice the resolution of this transform
    for (std::size_t begin = 0; begin < half; begin += 2 * span) {
      for (std::size_t k = 0; k < span; ++k) {
        const Complex even = packed_[begin + k];
        const Complex odd = multiply(roots_[k * stride], packed_[begin + k + span]);
        packed_[begin + k] = even + odd;
        packed_[begin + k + span] = even - odd;
      }
    }
  }
  const std::size_t mask = half - 1;  // indices are modulo `half`, a power of two
  for (std::size_t k = 0; k <= half; ++k) {
    const Complex one = packed_[k & mask];
    const Complex other = std::conj(packed_[(half - k) & mask]);
    const Complex even = (one + other) * 0.5;
    const Complex odd = multiply(one - other, {0.0, -0.5});
    bins_[k] = even + (k == half ? -odd : multiply(roots_[k], odd));
  }
  return bins_;
}

}  // namespace ttsrt
