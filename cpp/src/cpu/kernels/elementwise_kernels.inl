// Elementwise kernels, and helpers for the other families: stored elements, exp, activations.
//
// exp_of has a relative error within 2e-7 for x <= 88 and returns exactly 0 below -87.3. gelu uses
// the sigmoid form of the tanh approximation, which does not lose accuracy where tanh is near -1.

namespace ttsrt::cpu {
namespace {

// Reads 16 stored elements, and rounds one element to nearest even.
template <Element E>
struct Stored;

template <>
struct Stored<Element::float32> {
  using Type = float;
  static Vec read(const float* p) { return load(p); }
  static float round(float x) { return x; }
};

template <>
struct Stored<Element::bfloat16> {
  using Type = uint16_t;
  static Vec read(const uint16_t* p) { return load_bf16(p); }
  static uint16_t round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint32_t quiet = (bits >> 16) | 0x40U;
    const uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    return static_cast<uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : rounded);
  }
};

template <>
struct Stored<Element::float16> {
  using Type = uint16_t;
  static Vec read(const uint16_t* p) { return load_f16(p); }
  static uint16_t round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);  // NaN
    if (magnitude >= 0x477FF000U)
      return static_cast<uint16_t>(sign | 0x7C00U);  // too large, rounds to infinity
    if (magnitude < 0x38800000U) {  // subnormal: adding 0.5 rounds to units of 2^-24 and leaves
                                    // their number in the low bits
      float shifted;
      memcpy(&shifted, &magnitude, sizeof(shifted));
      shifted += 0.5F;
      memcpy(&bits, &shifted, sizeof(bits));
      return static_cast<uint16_t>(sign | (bits - 0x3F000000U));
    }
    const uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
  }
};

// Integers that the caller multiplies by a scale.
template <>
struct Stored<Element::int8> {
  using Type = int8_t;
  static Vec read(const int8_t* p) { return load_bytes(reinterpret_cast<const unsigned char*>(p)); }
};

// Reads up to 16 elements; the other lanes are zero.
template <Element E>
Vec read_partial(const typename Stored<E>::Type* p, int64_t count) {
  if (count >= kLanes) return Stored<E>::read(p);
  typename Stored<E>::Type lanes[kLanes] = {};
  memcpy(lanes, p, static_cast<size_t>(count) * sizeof(lanes[0]));
  return Stored<E>::read(lanes);
}

inline int32_t lanes_left(int64_t count, int64_t at) {
  return count - at >= kLanes ? kLanes : static_cast<int32_t>(count - at);
}
inline Vec read_floats(const float* p, int32_t lanes) {
  return lanes == kLanes ? load(p) : load_partial(p, lanes);
}
inline void write_floats(float* p, Vec x, int32_t lanes) {
  if (lanes == kLanes) {
    store(p, x);
  } else {
    store_partial(p, x, lanes);
  }
}

// Returns the largest magnitude, and NaN if there is one.
inline float largest_magnitude(const float* x, int64_t count) {
  Ints magnitudes = set_ints(0);
  for (int64_t i = 0; i < count; i += kLanes)
    magnitudes = larger(magnitudes, magnitude_bits(read_floats(x + i, lanes_left(count, i))));
  const int32_t bits = reduce_max(magnitudes);
  float largest;
  memcpy(&largest, &bits, sizeof(largest));
  return largest;
}

// Numbers are checked by a vector of poison: x * 0 is NaN if x is infinite or NaN, else 0 or -0.
inline Vec poisoned_by(Vec x, Vec poison) { return fma(x, zero(), poison); }
inline bool is_pure(Vec poison) { return mask_not_less(zero(), poison) == (1U << kLanes) - 1U; }

// Computes e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln(2) / 2; e^r is its series up to
// r^7.
inline Vec exp_of(Vec x) {
  const Vec magic = set(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec bounded = smaller(x, set(88.7F));
  const Vec n = larger(fma(bounded, set(1.44269504F), magic) - magic, set(-126.0F));
  const Vec high = fma(n, set(-0.693359375F), bounded);
  const Vec r = fma(n, set(2.12194440e-4F), high);
  Vec series = fma(set(1.0F / 5040.0F), r, set(1.0F / 720.0F));
  series = fma(series, r, set(1.0F / 120.0F));
  series = fma(series, r, set(1.0F / 24.0F));
  series = fma(series, r, set(1.0F / 6.0F));
  series = fma(series, r, set(0.5F));
  const Vec value = fma(series, r * r, r) + set(1.0F);
  return if_less(x, set(-87.3F), zero(), scale_by_power(value, n));
}

// Computes 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
inline Vec gelu_of(Vec x) {
  const Vec inner =
      x * fma(x * x, set(-2.0F * 0.7978845608F * 0.044715F), set(-2.0F * 0.7978845608F));
  return x / (set(1.0F) + exp_of(inner));
}

// x / (1 + e^-x).
inline Vec silu_of(Vec x) { return x / (set(1.0F) + exp_of(zero() - x)); }

// Computes 0.5 x (1 + erf(x / sqrt 2)) by formula 7.1.26 of Abramowitz and Stegun, whose error is
// below 1.5e-7: with P the polynomial, erf z = 1 - P(1 / (1 + 0.3275911 z)) e^(-z^2) for z >= 0.
inline Vec exact_gelu_of(Vec x) {
  const Vec magnitude = larger(x, zero() - x);
  const Vec z = magnitude * set(0.70710678118654752F);
  const Vec t = set(1.0F) / fma(z, set(0.3275911F), set(1.0F));
  Vec series = fma(set(1.061405429F), t, set(-1.453152027F));
  series = fma(series, t, set(1.421413741F));
  series = fma(series, t, set(-0.284496736F));
  series = fma(series, t, set(0.254829592F));
  const Vec tail = series * t * exp_of(zero() - z * z);
  return larger(zero(), x) - set(0.5F) * magnitude * tail;
}

// Computes x tanh(ln(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2). Beyond 20 it is x.
inline Vec mish_of(Vec x) {
  const Vec power = exp_of(smaller(x, set(20.0F)));
  const Vec n = power * (power + set(2.0F));
  return x * (n / (n + set(2.0F)));
}

// e^x - 1 where x is negative.
inline Vec elu_of(Vec x) { return if_less(x, zero(), exp_of(smaller(x, zero())) - set(1.0F), x); }

inline Vec activated(Activation activation, Vec x) {
  if (activation == Activation::gelu) return gelu_of(x);
  if (activation == Activation::exact_gelu) return exact_gelu_of(x);
  if (activation == Activation::mish) return mish_of(x);
  if (activation == Activation::elu) return elu_of(x);
  return activation == Activation::silu ? silu_of(x) : x;
}

void exp_kernel(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    write_floats(out + i, exp_of(read_floats(x + i, lanes)), lanes);
  }
}

void activate_kernel(const float* x, Activation activation, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    write_floats(out + i, activated(activation, read_floats(x + i, lanes)), lanes);
  }
}

void rotate_kernel(const float* x, const float* angles, int32_t dims, int32_t count, float* out) {
  const int32_t pairs = dims / 2;
  for (int32_t i = 0; i < pairs; i += kLanes) {
    const int32_t lanes = lanes_left(pairs, i);
    const Vec first = read_floats(x + i, lanes);
    const Vec second = read_floats(x + pairs + i, lanes);
    const Vec cosines = read_floats(angles + i, lanes);
    const Vec sines = read_floats(angles + pairs + i, lanes);
    write_floats(out + i, first * cosines - second * sines, lanes);
    write_floats(out + pairs + i, second * cosines + first * sines, lanes);
  }
  memcpy(out + dims, x + dims, static_cast<size_t>(count - dims) * sizeof(float));
}

void gate_kernel(const float* gate, const float* up, Activation activation, int64_t count,
                 float* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec opened = activated(activation, read_floats(gate + i, lanes));
    write_floats(out + i, opened * read_floats(up + i, lanes), lanes);
  }
}

void add_kernel(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    write_floats(out + i, read_floats(out + i, lanes) + read_floats(x + i, lanes), lanes);
  }
}

bool is_finite_kernel(const float* x, int64_t count) {
  Vec poison = zero();
  for (int64_t i = 0; i < count; i += kLanes)
    poison = poisoned_by(read_floats(x + i, lanes_left(count, i)), poison);
  return is_pure(poison);
}

bool copy_kernel(const float* x, int64_t count, float* out) {
  Vec poison = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec part = read_floats(x + i, lanes);
    poison = poisoned_by(part, poison);
    write_floats(out + i, part, lanes);
  }
  return is_pure(poison);
}

bool mix_kernel(const float* conditional, const float* unconditional, float scale, int64_t count,
                float* out) {
  Vec poison = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec kept = set(1.0F - scale) * read_floats(unconditional + i, lanes);
    const Vec mixed = set(scale) * read_floats(conditional + i, lanes) + kept;
    poison = poisoned_by(mixed, poison);
    write_floats(out + i, mixed, lanes);
  }
  return is_pure(poison);
}

bool extrapolate_kernel(const float* conditional, const float* unconditional, float scale,
                        int64_t count, float* out) {
  Vec poison = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    const int32_t lanes = lanes_left(count, i);
    const Vec kept = read_floats(conditional + i, lanes);
    const Vec difference = kept - read_floats(unconditional + i, lanes);
    const Vec mixed = kept + set(scale) * difference;
    poison = poisoned_by(mixed, poison);
    write_floats(out + i, mixed, lanes);
  }
  return is_pure(poison);
}

template <Element E>
void mean_rows_kernel(const void* const* rows, int32_t count, int64_t width, float* out) {
  using Type = typename Stored<E>::Type;
  for (int64_t i = 0; i < width; i += kLanes) {
    const int32_t lanes = lanes_left(width, i);
    Vec sum = zero();
    for (int32_t r = 0; r < count; ++r)
      sum = sum + read_partial<E>(static_cast<const Type*>(rows[r]) + i, lanes);
    write_floats(out + i, count == 1 ? sum : sum / set(static_cast<float>(count)), lanes);
  }
}

}  // namespace
}  // namespace ttsrt::cpu
