#include "model/transposed.h"

#include <cstddef>

#include "core/stop_flag.h"

namespace ttsrt::model {

std::vector<float> transposed_product(const std::vector<float>& values,
                                      const std::vector<std::int64_t>& shape, std::int64_t rate) {
  const std::int64_t inputs = shape.at(0);
  const std::int64_t outputs = shape.at(1);
  const std::int64_t taps = shape.at(2);
  const std::int64_t reach = transposed_reach(taps, rate);
  const std::int64_t cols = transposed_rows(taps, rate) * inputs;
  std::vector<float> product(static_cast<std::size_t>(rate * outputs * cols), 0.0F);
  for (std::int64_t j = 0; j < rate; ++j) {
    check_stop();
    for (std::int64_t away = -reach; away <= reach; ++away) {
      const std::int64_t tap = j + (taps - rate) / 2 - away * rate;
      if (tap < 0 || tap >= taps) continue;
      for (std::int64_t n = 0; n < outputs; ++n) {
        float* row = product.data() + (j * outputs + n) * cols + (away + reach) * inputs;
        for (std::int64_t c = 0; c < inputs; ++c)
          row[c] = values[static_cast<std::size_t>((c * outputs + n) * taps + tap)];
      }
    }
  }
  return product;
}

}  // namespace ttsrt::model
