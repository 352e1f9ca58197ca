// The expensive parts of sampling from one row of logits: argmax, the k-th largest value, and exp
// of the survivors.

namespace ttsrt::cpu {
namespace {

// Returns the first index of the largest value.
int32_t argmax_kernel(const float* values, int32_t count) {
  if (count < kLanes) {
    int32_t best = 0;
    for (int32_t i = 1; i < count; ++i) {
      if (values[i] > values[best]) best = i;
    }
    return best;
  }
  Vec most = load(values);
  for (int32_t i = kLanes; i + kLanes <= count; i += kLanes) most = larger(most, load(values + i));
  most = larger(most, load(values + count - kLanes));
  const Vec largest = set(reduce_max(most));
  for (int32_t i = 0; i + kLanes <= count; i += kLanes) {
    const uint32_t found = mask_not_less(load(values + i), largest);
    if (found != 0) return i + __builtin_ctz(found);
  }
  const int32_t rest = count - kLanes;
  const uint32_t found = mask_not_less(load(values + rest), largest);
  return found != 0 ? rest + __builtin_ctz(found) : 0;
}

// Finds the k-th largest value by bisection over the bits of floats, from the highest bit down. The
// result is exactly a value of the row.
float kth_largest_kernel(const float* values, int32_t count, int32_t k) {
  const int32_t whole = count / kLanes * kLanes;
  float tail[kLanes];
  for (int32_t i = 0; i < kLanes; ++i)
    tail[i] = whole + i < count ? values[whole + i] : -__builtin_nanf("");
  const Ints tail_keys = order_keys(load(tail));  // padding is smaller than every value
  uint32_t low = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t candidate = low | (1U << bit);
    const auto least = static_cast<int32_t>(candidate ^ 0x80000000U);
    int32_t at_least = count_not_less(tail_keys, least);
    for (int32_t i = 0; i < whole; i += kLanes)
      at_least += count_not_less(order_keys(load(values + i)), least);
    if (at_least >= k) low = candidate;
  }
  const uint32_t bits = (low & 0x80000000U) != 0 ? low & 0x7FFFFFFFU : ~low;
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

int32_t survivors_kernel(const float* values, int32_t count, float threshold, float largest,
                         float inverse_temperature, const Survivors& out) {
  int32_t found = 0;
  for (int32_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec row = read_floats(values + i, lanes);
    uint32_t alive = mask_not_less(row, set(threshold)) & ((1U << lanes) - 1U);
    if (alive == 0) continue;
    float weights[kLanes];
    store(weights, exp_of((row - set(largest)) * set(inverse_temperature)));
    for (; alive != 0; alive &= alive - 1U) {
      const int32_t lane = __builtin_ctz(alive);
      out.indices[found] = i + lane;
      out.weights[found] = weights[lane];
      ++found;
    }
  }
  return found;
}

}  // namespace
}  // namespace ttsrt::cpu
