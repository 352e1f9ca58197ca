// The discrete Fourier transform of real values, in float64.
#pragma once

#include <complex>
#include <cstddef>
#include <vector>

namespace ttsrt {

class RealFft {
 public:
  // `size` is a power of two, at least 2.
  explicit RealFft(std::size_t size);

  std::size_t size() const { return size_; }
  // Bins 0 to size / 2 of `values` [size]. The result stays valid until the next call.
  const std::vector<std::complex<double>>& forward(const double* values);

 private:
  std::size_t size_ = 0;
  std::vector<std::complex<double>> roots_;   // [size / 2]: exp(-2 pi i k / size)
  std::vector<std::size_t> order_;            // [size / 2]: indices with their bits reversed
  std::vector<std::complex<double>> packed_;  // [size / 2]: even values and, imaginary, odd ones
  std::vector<std::complex<double>> bins_;    // [size / 2 + 1]
};

}  // namespace ttsrt
