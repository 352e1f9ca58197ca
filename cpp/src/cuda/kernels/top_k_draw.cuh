// A draw by 512 threads that have the row in registers, for the common chain: top-k and
// temperature, and a vocabulary of at most 2048.
//
// The result is that of draw.cuh bit for bit: the k-th largest is exact in both, and sums are of
// the same fixed-point numbers. A histogram by the distance from the largest logit leaves few
// values among which the k-th largest is ranked. Rows that are not finite, or of which too many
// values are in one bin or beyond all, are for draw.cuh.
#pragma once

#include "cuda/kernels/draw_block.cuh"

namespace ttsrt::cuda {

constexpr int kTopKThreads = 512;
constexpr int kTopKValues = 4;  // of a thread, one behind the other
constexpr int kTopKVocab = kTopKThreads * kTopKValues;
constexpr int kTopKWarps = kTopKThreads / kWarp;
constexpr int kTopKBins = 256;
constexpr float kBinsPerUnit = 8.0F;  // of the logits
constexpr int kTopKList = 256;        // values in the bin of the k-th largest, at most
constexpr std::uint32_t kNotFiniteKey = 0xFFFFFFFFU;

struct TopKShared {
  alignas(16) std::uint32_t bins[kTopKBins];
  std::uint32_t list[kTopKList];
  std::uint32_t masked[kTopKVocab / 32];  // ids that masks forbid one by one
  std::uint64_t totals[kTopKWarps];
  std::uint32_t largest[kTopKWarps];  // keys
  std::uint32_t num_listed;
  std::uint32_t kth;
  std::int32_t likeliest;
};

__device__ inline bool draws_top_k(const rules::SamplerRules& sampler, std::int32_t vocab) {
  return sampler.temperature > 0.0F && sampler.top_k > 0 && sampler.top_k < vocab &&
         sampler.top_p >= 1.0F && sampler.min_p <= 0.0F && !rules::counts_seen(sampler) &&
         vocab <= kTopKVocab;
}

// All threads of the block call its functions together.
struct TopKDraw {
  TopKShared& shared;
  const DrawSlot& slot;
  std::int32_t vocab;
  const float& number;       // written before prepare()
  bool has_verdict = false;  // of the analyzer

  __device__ static int first_id() { return static_cast<int>(threadIdx.x) * kTopKValues; }

  // To be called before the logits are there.
  __device__ void prepare() const {
    const auto t = static_cast<int>(threadIdx.x);
    if (t < kTopKBins) shared.bins[t] = 0;
    if (t < kTopKList) shared.list[t] = 0;
    if (t < kTopKVocab / 32) shared.masked[t] = 0;
    if (t == 0) {
      shared.num_listed = 0;
      shared.likeliest = vocab;
    }
    __syncthreads();
    if (t < kMaskedIds) {
      const std::int32_t id = masked_id(slot.rules, slot.state, t);
      if (id >= 0) atomicOr(&shared.masked[id / 32], 1U << (id % 32));
    }
    __syncthreads();
  }

  // Draws from the mixed logits. Returns whether it did; then one thread has code >= 0, and
  // shared.likeliest is the id of the largest logit.
  __device__ bool draw(float (&logits)[kTopKValues], std::int32_t& code) const {
    code = -1;
    mask(logits);
    __syncthreads();
    const std::uint32_t key =
        __reduce_max_sync(kAllLanes, shared.largest[threadIdx.x % kTopKWarps]);
    const float largest = rules::from_order_key(key);
    if (key == kNotFiniteKey || !(largest > rules::kNever)) return false;
#pragma unroll
    for (int i = kTopKValues - 1; i >= 0; --i) {
      if (logits[i] == largest) atomicMin(&shared.likeliest, first_id() + i);
    }
    float kth = 0.0F;
    if (!find_kth(logits, largest, kth)) return false;
    return pick(logits, largest, kth, code);
  }

 private:
  // Masks the row, and finds each warp's largest value. Behind the vocabulary is minus infinity.
  __device__ void mask(float (&logits)[kTopKValues]) const {
    const RowMask mask(slot.rules, slot.state, has_verdict);
    const std::uint32_t word = shared.masked[first_id() / 32] >> (first_id() % 32);
    const std::uint32_t masked = mask.ends ? 0 : word;
    bool is_finite = true;
    float largest = rules::kNever;
#pragma unroll
    for (int i = 0; i < kTopKValues; ++i) {
      const int id = first_id() + i;
      is_finite = is_finite && (id >= vocab || logits[i] - logits[i] == 0.0F);
      logits[i] =
          id >= vocab || (masked >> i & 1U) != 0 ? rules::kNever : mask.apply(id, logits[i]);
      largest = fmaxf(largest, logits[i]);
    }
    std::uint32_t key = rules::order_key(largest + 0.0F);  // so that -0 equals 0
    key = __reduce_max_sync(kAllLanes, is_finite ? key : kNotFiniteKey);
    if (threadIdx.x % kWarp == 0) shared.largest[threadIdx.x / kWarp] = key;
  }

  // Returns the bin where a count from the first one reaches `rest`, which becomes the rank in that
  // bin; -1 if all are fewer. Every warp finds it.
  __device__ int find_bin(std::uint32_t& rest) const {
    constexpr int kPer = kTopKBins / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    std::uint32_t mine = 0;
#pragma unroll
    for (int i = 0; i < kPer; ++i) mine += shared.bins[lane * kPer + i];
    const std::uint32_t sum = warp_sum_up_to(mine);
    const int found = __ffs(static_cast<int>(__ballot_sync(kAllLanes, sum >= rest))) - 1;
    if (found < 0) return -1;
    rest -= __shfl_sync(kAllLanes, sum - mine, found);
    int bin = found * kPer;
    for (; shared.bins[bin] < rest; ++bin) rest -= shared.bins[bin];
    return bin;
  }

  // Subtraction, product and conversion keep the order of logits, so a bin has the values between
  // those of its neighbours.
  __device__ bool find_kth(const float (&logits)[kTopKValues], float largest, float& kth) const {
    int bins[kTopKValues];
#pragma unroll
    for (int i = 0; i < kTopKValues; ++i) {
      const float distance = (largest - logits[i]) * kBinsPerUnit;
      bins[i] = distance < static_cast<float>(kTopKBins) ? static_cast<int>(distance) : kTopKBins;
      if (bins[i] < kTopKBins) atomicAdd(&shared.bins[bins[i]], 1U);
    }
    __syncthreads();
    auto rest = static_cast<std::uint32_t>(slot.rules.sampler.top_k);
    const int bin = find_bin(rest);
    if (bin < 0 || shared.bins[bin] > kTopKList) return false;
#pragma unroll
    for (int i = 0; i < kTopKValues; ++i) {
      if (bins[i] == bin)
        shared.list[atomicAdd(&shared.num_listed, 1U)] = rules::order_key(logits[i]);
    }
    __syncthreads();
    rank(shared.bins[bin], rest);
    __syncthreads();
    kth = rules::from_order_key(shared.kth);
    return true;
  }

  // Finds the listed key that is the k-th largest. Behind the list are zeros.
  __device__ void rank(std::uint32_t listed, std::uint32_t k) const {
    if (threadIdx.x >= listed) return;
    const std::uint32_t key = shared.list[threadIdx.x];
    const auto* list = reinterpret_cast<const uint4*>(shared.list);
    std::uint32_t above = 0;
    std::uint32_t at_least = 0;
#pragma unroll 1
    for (std::uint32_t i = 0; i < ceil_div(listed, 4U); ++i) {
      const uint4 four = list[i];
      above += (four.x > key) + (four.y > key) + (four.z > key) + (four.w > key);
      at_least += (four.x >= key) + (four.y >= key) + (four.z >= key) + (four.w >= key);
    }
    if (above < k && k <= at_least) shared.kth = key;
  }

  // Draws a survivor by the sums of their weights in the order of the ids.
  __device__ bool pick(const float (&logits)[kTopKValues], float largest, float kth,
                       std::int32_t& code) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const float inverse = 1.0F / slot.rules.sampler.temperature;
    std::uint64_t weights[kTopKValues];
    std::uint64_t own = 0;
#pragma unroll
    for (int i = 0; i < kTopKValues; ++i) {
      weights[i] = logits[i] >= kth ? to_fixed(expf((logits[i] - largest) * inverse)) : 0;
      own += weights[i];
    }
    const std::uint64_t in_warp = warp_sum_up_to(own);
    if (lane == kWarp - 1) shared.totals[warp] = in_warp;
    __syncthreads();
    std::uint64_t before = in_warp - own;
    std::uint64_t total = 0;
#pragma unroll
    for (int w = 0; w < kTopKWarps; ++w) {
      if (w == warp) before += total;
      total += shared.totals[w];
    }
    const float target = number * from_fixed(total);
    if (!(from_fixed(before) > target) && from_fixed(before + own) > target) {
#pragma unroll 1
      for (int i = 0; i < kTopKValues && code < 0; ++i) {
        before += element(weights, i);
        if (from_fixed(before) > target) code = first_id() + i;
      }
    }
    return from_fixed(total) > target;  // else the last survivor is drawn
  }

  // Element i of an array in registers.
  __device__ static std::uint64_t element(const std::uint64_t (&weights)[kTopKValues], int at) {
    std::uint64_t weight = 0;
#pragma unroll
    for (int i = 0; i < kTopKValues; ++i) weight = i == at ? weights[i] : weight;
    return weight;
  }
};

}  // namespace ttsrt::cuda
