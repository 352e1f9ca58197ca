// A rope for tests of SelfAttention: frequencies of no particular model.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "ops/weight.h"

namespace ttsrt::test {

inline double test_frequency(std::int32_t pair) { return std::pow(50.0, -pair / 5.0); }

class TestRope {
 public:
  TestRope(std::int32_t positions, std::int32_t dims) : dims_(dims) {
    for (std::int32_t position = 0; position < positions; ++position) {
      for (std::int32_t j = 0; j < dims / 2; ++j)
        values_.push_back(static_cast<float>(std::cos(position * test_frequency(j))));
      for (std::int32_t j = 0; j < dims / 2; ++j)
        values_.push_back(static_cast<float>(std::sin(position * test_frequency(j))));
    }
  }

  // Absent where it has no dimensions.
  ops::Weight weight() const {
    ops::Weight weight;
    if (dims_ == 0) return weight;
    weight.name = "rope";
    weight.rows = static_cast<std::int64_t>(values_.size()) / dims_;
    weight.cols = dims_;
    weight.data = reinterpret_cast<const std::byte*>(values_.data());
    return weight;
  }

 private:
  std::int32_t dims_;
  std::vector<float> values_;
};

}  // namespace ttsrt::test
