// Loops that measure the peaks of the instruction set: chains of products that depend only on
// themselves, and a sequential read of memory.
//
// One operand of each step comes from a small table, so that the products differ and the compiler
// cannot move them out of the loop.

namespace ttsrt::cpu {
namespace {

// Enough chains to hide the latency of a multiply-add, and few enough for the registers.
constexpr int32_t kPeakChains = kTileRows >= 12 ? 12 : kTileRows >= 4 ? 6 : 3;
constexpr int64_t kPeakOperands = 16;  // vectors of 64 bytes

struct PeakFloat32 {
  static Vec start() { return zero(); }
  static Vec moving(const unsigned char* p) { return load(reinterpret_cast<const float*>(p)); }
  static Vec fixed(const unsigned char* p) {
    return StepFloat32::input(reinterpret_cast<const uint32_t*>(p));
  }
  static Vec add(Vec x, Vec y, Vec sum) { return fma(x, y, sum); }
};

struct PeakBfloat16 {
  static Vec start() { return zero(); }
  static Bf16Pairs moving(const unsigned char* p) { return load_pairs(p); }
  static Bf16Pairs fixed(const unsigned char* p) {
    return set_pair(reinterpret_cast<const uint32_t*>(p), 1);
  }
  static Vec add(const Bf16Pairs& x, const Bf16Pairs& y, Vec sum) { return dot_pairs(x, y, sum); }
};

struct PeakInt8 {
  static Ints start() { return set_ints(0); }
  static Quads moving(const unsigned char* p) { return byte_quads(load_block(p)); }
  static auto fixed(const unsigned char* p) {
    return set_quad(reinterpret_cast<const uint32_t*>(p));
  }
  template <class Input>
  static Ints add(const Quads& w, const Input& x, Ints sum) {
    return dot_quads(w, x, sum);
  }
};

template <class Step>
float chain_kernel(const unsigned char* operands, int64_t steps) {
  decltype(Step::start()) sums[kPeakChains];
  decltype(Step::fixed(operands)) fixed[kPeakChains];
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) {
    sums[c] = Step::start();
    fixed[c] = Step::fixed(operands + c * 64);
  }
  for (int64_t i = 0; i < steps; ++i) {
    const auto moving = Step::moving(operands + i % kPeakOperands * 64);
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) sums[c] = Step::add(moving, fixed[c], sums[c]);
  }
  float all = 0.0F;
  for (int c = 0; c < kPeakChains; ++c) {  // sum all lanes, or the compiler drops the others
    float lanes[kLanes];
    static_assert(sizeof(sums[c]) == sizeof(lanes));
    memcpy(lanes, &sums[c], sizeof(lanes));
    for (const float lane : lanes) all += lane;
  }
  return all;
}

float read_kernel(const float* data, int64_t count) {
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i < count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[v] = sums[v] + load(data + i + v * kLanes);
  }
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace
}  // namespace ttsrt::cpu
