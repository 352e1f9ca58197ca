// Layer normalisation, with two passes over the row for mean and variance in float32.

namespace ttsrt::cpu {
namespace {

void layer_norm_kernel(const float* x, const float* weight, int64_t width, float epsilon,
                       float* out) {
  Vec sum = zero();
  for (int64_t i = 0; i < width; i += kLanes) sum = sum + read_floats(x + i, lanes_left(width, i));
  const Vec mean = set(reduce_add(sum) / static_cast<float>(width));
  Vec squares = zero();
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    Vec centred = read_floats(x + i, lanes) - mean;
    if (lanes < kLanes) centred = keep_first(centred, lanes, 0.0F);
    squares = fma(centred, centred, squares);
  }
  const float variance = reduce_add(squares) / static_cast<float>(width);
  const Vec scale = set(1.0F / __builtin_sqrtf(variance + epsilon));
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    write_floats(out + i,
                 (read_floats(x + i, lanes) - mean) * scale * read_floats(weight + i, lanes),
                 lanes);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
