// Small device functions that several kernels share: reductions in a fixed order, conversions of
// pairs, activation functions, loads that stream, and the wait for the kernel before.
//
// All threads of a warp (or of a block) take part in a reduction. Its order depends on the number
// of threads only, and every thread gets the result. Maxima keep NaN, which fmaxf would drop.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>

#include "cuda/check.h"
#include "cuda/launch.h"

namespace ttsrt::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFU;
constexpr int kMultiprocessors = 132;  // of a large device; only decides shapes of launches

template <class T>
__host__ __device__ constexpr T ceil_div(T size, T unit) {
  return (size + unit - 1) / unit;
}

// Waits until the kernels before have finished, where this one was launched early (programmatic
// dependent launch); otherwise it does nothing. Before it, a kernel may read only what no earlier
// kernel of the same launch writes, and may write nothing. The kernel behind may be launched as
// soon as all blocks of this one have come here.
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Whether the code of a kernel that the current device runs was compiled for sm_90 or later, which
// has programmatic dependent launch and clusters.
inline bool has_clusters(const void* kernel) {
  cudaFuncAttributes compiled = {};
  check(cudaFuncGetAttributes(&compiled, kernel), "cudaFuncGetAttributes");
  return compiled.ptxVersion >= 90;
}

// Whether a block may have so much shared memory on the current device.
inline bool has_shared_memory(int bytes) {
  int device = 0;
  int most = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "cudaDeviceGetAttribute");
  return bytes <= most;
}

// Launches a kernel that keeps the rule of wait_for_previous_kernel(): where the device can, its
// blocks begin while the kernel before still runs. Clusters have `cluster` blocks, consecutive in
// x; more than 1 only if has_clusters().
template <typename... Params, typename... Args>
void launch_early_clusters(int cluster, void (*kernel)(Params...), dim3 grid, dim3 threads,
                           std::size_t shared_bytes, cudaStream_t stream, const Args&... args) {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (has_clusters(reinterpret_cast<const void*>(kernel))) {  // else the wait is compiled away
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count].val.clusterDim.x = static_cast<unsigned>(cluster);
    attributes[count].val.clusterDim.y = 1;
    attributes[count++].val.clusterDim.z = 1;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "a launch");
}

template <typename... Params, typename... Args>
void launch_early(void (*kernel)(Params...), dim3 grid, dim3 threads, std::size_t shared_bytes,
                  cudaStream_t stream, const Args&... args) {
  launch_early_clusters(1, kernel, grid, threads, shared_bytes, stream, args...);
}

// Nanoseconds of the device's clock.
__device__ inline std::uint64_t nanoseconds() {
  std::uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

// --- reductions ---------------------------------------------------------------------------------

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int apart = kWarp / 2; apart > 0; apart /= 2)
    value += __shfl_xor_sync(kAllLanes, value, apart);
  return value;
}

__device__ inline std::int32_t warp_sum(std::int32_t value) {
#pragma unroll
  for (int apart = kWarp / 2; apart > 0; apart /= 2)
    value += __shfl_xor_sync(kAllLanes, value, apart);
  return value;
}

// The sum of the values of this lane and of those before it.
template <class T>
__device__ inline T warp_sum_up_to(T value) {
  const auto lane = threadIdx.x % kWarp;
#pragma unroll
  for (unsigned apart = 1; apart < kWarp; apart *= 2) {
    const T lower = __shfl_up_sync(kAllLanes, value, apart);
    if (lane >= apart) value += lower;
  }
  return value;
}

// The larger of two numbers, or NaN if one is.
__device__ inline float larger_or_nan(float a, float b) { return a > b || isnan(a) ? a : b; }

__device__ inline float warp_max(float value) {
#pragma unroll
  for (int apart = kWarp / 2; apart > 0; apart /= 2)
    value = larger_or_nan(value, __shfl_xor_sync(kAllLanes, value, apart));
  return value;
}

// Reductions over a block of whole warps. `shared` has 32 values; a call leaves them free for the
// next one.
template <class T>
__device__ inline T block_sum(T value, T* shared) {
  value = warp_sum(value);
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = warp_sum(lane < warps ? shared[lane] : T(0));
  __syncthreads();
  return value;
}

// Of numbers that are not negative, as fabsf gives them.
__device__ inline float block_max_magnitude(float value, float* shared) {
  value = warp_max(value);
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = warp_max(lane < warps ? shared[lane] : 0.0F);
  __syncthreads();
  return value;
}

// --- launches -----------------------------------------------------------------------------------

__device__ inline std::int32_t count_of(const RowsView& rows, Count count) {
  return rows.counts[static_cast<std::int32_t>(count)];
}

// Says that an op found something about a row: the smallest word of a row stays. Called by any
// lane.
__device__ inline void add_fault(const FaultsView& faults, std::int32_t row, std::uint32_t word) {
  if (faults.words != nullptr) atomicMin(faults.words + row, word);
}

// Consecutive floats that a thread reads at once where their addresses are multiples of 16.
constexpr int kQuad = 4;
inline bool is_aligned(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 16 == 0; }

// --- values -------------------------------------------------------------------------------------

// Returns the number at (row, col) of a table of any type.
__device__ inline float value_at(const TableView& table, std::int64_t row, std::int64_t col) {
  const std::int64_t at = row * table.cols + col;
  if (table.element == Element::bfloat16)
    return __bfloat162float(static_cast<const __nv_bfloat16*>(table.data)[at]);
  if (table.element == Element::float16)
    return __half2float(static_cast<const __half*>(table.data)[at]);
  return static_cast<const float*>(table.data)[at];
}

// Returns the row of a code of `table` in tables of so many rows each, or -1: the table has no such
// code. Its numbers are then NaN, which the checks behind report.
__device__ inline std::int64_t row_of_code(std::int32_t table, std::int32_t vocab,
                                           std::int32_t code) {
  return code >= 0 && code < vocab ? std::int64_t{table} * vocab + code : -1;
}

// Returns a number of that row.
__device__ inline float code_value_at(const TableView& tables, std::int64_t row, std::int64_t col) {
  const float value = value_at(tables, row < 0 ? 0 : row, col);
  return row < 0 ? NAN : value;
}

// Rounds two numbers to nearest even; the first is in the low half.
__device__ inline std::uint32_t pack_bfloat16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
// Numbers beyond the range of float16 become infinite.
__device__ inline std::uint32_t pack_float16(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

// The exact gelu, elu and mish: those of text layers, vocoders and convolutions over whole items.
// They are calls, so that the kernels of products keep the registers that they need otherwise.
static __device__ __noinline__ float activated_exactly(Activation activate, float x) {
  constexpr float kSqrtHalf = 0.707106781186547524F;
  if (activate == Activation::gelu) {
    const float half = __fmul_rn(0.5F, x);
    return __fmul_rn(half, __fadd_rn(1.0F, erff(__fmul_rn(x, kSqrtHalf))));
  }
  if (activate == Activation::elu) return x < 0.0F ? expm1f(x) : x;
  const float softplus = __fadd_rn(fmaxf(x, 0.0F), log1pf(expf(-fabsf(x))));
  return __fmul_rn(x, tanhf(softplus));
}

// tanh's gelu(x) = x / 2 (1 + tanh(u)) is x / (1 + exp(-2 u)), which keeps its digits where tanh is
// near -1. All functions hand on NaN, and minus infinity gives NaN, as in the plain form. Products
// and sums are explicit, so that they are fused in the same way in every kernel.
__device__ inline float activated(Activation activate, float x) {
  constexpr float kSqrtTwoOverPi = 0.797884560802865F;
  if (activate == Activation::none) return x;
  if (activate == Activation::silu) return x / (1.0F + expf(-x));
  if (activate != Activation::gelu_tanh) return activated_exactly(activate, x);
  const float slope = __fmul_rn(0.044715F, __fmul_rn(x, x));
  const float u = __fmul_rn(kSqrtTwoOverPi, fmaf(slope, x, x));
  return x / (1.0F + expf(-2.0F * u));
}

// Loads 16 bytes of a weight that are read once: they do not push activations out of the L1 cache.
// Loads of the kind ld.global.nc would be moved behind the wait for the kernel before.
__device__ inline uint4 load_streaming(const void* from) {
  uint4 value;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

}  // namespace ttsrt::cuda
