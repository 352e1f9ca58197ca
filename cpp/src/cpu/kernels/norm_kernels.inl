// Normalisation of a row in float32: a pass for the mean if it is subtracted, one for the mean
// square, and one that writes. If the mean square is not finite, every output is NaN: dividing by
// an infinite root would turn a row of huge numbers into zeros.

namespace ttsrt::cpu {
namespace {

inline Vec mean_of_row(const float* x, int64_t width) {
  Vec sum = zero();
  for (int64_t i = 0; i < width; i += kLanes) sum = sum + read_floats(x + i, lanes_left(width, i));
  return set(reduce_add(sum) / static_cast<float>(width));
}

void norm_kernel(const float* x, const NormArgs& args, float* out) {
  const int64_t width = args.width;
  const Vec mean = args.is_centred ? mean_of_row(x, width) : zero();
  Vec squares = zero();
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    Vec centred = read_floats(x + i, lanes) - mean;
    if (lanes < kLanes) centred = keep_first(centred, lanes, 0.0F);
    squares = fma(centred, centred, squares);
  }
  const float variance = reduce_add(squares) / static_cast<float>(width);
  const float poison = variance * 0.0F;  // 0, or NaN
  const Vec scale = set(1.0F / __builtin_sqrtf(variance + args.epsilon) + poison);
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    Vec weight = read_floats(args.weight + i, lanes);
    if (args.adds_one) weight = weight + set(1.0F);
    Vec value = (read_floats(x + i, lanes) - mean) * scale * weight;
    if (args.bias != nullptr) value = value + read_floats(args.bias + i, lanes);
    write_floats(out + i, value, lanes);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
