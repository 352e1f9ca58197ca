#include "cuda/device_memory.h"

#include <cuda_runtime_api.h>

#include <cstring>

#include "core/check.h"
#include "cuda/check.h"

namespace ttsrt::cuda {
namespace {

constexpr std::size_t kAlignment = 256;  // of a piece, as cudaMalloc gives

std::size_t mebibytes(std::size_t bytes) { return (bytes + (1U << 20) - 1) >> 20; }

}  // namespace

PinnedBuffer::PinnedBuffer(std::size_t bytes) {
  if (bytes == 0) return;
  const cudaError_t error = cudaHostAlloc(&data_, bytes, cudaHostAllocMapped);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // the error isn't sticky
    throw CapacityError(message("cuda: the host has no ", mebibytes(bytes),
                                " MiB to pin for copies; lower max_batch_size or max_num_tokens"));
  }
  check(error, "cudaHostAlloc");
  std::memset(data_, 0, bytes);
  check(cudaHostGetDevicePointer(&mapped_, data_, 0), "cudaHostGetDevicePointer");
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) static_cast<void>(cudaFreeHost(data_));
}

void throw_no_memory(const std::string& what) {
  static_cast<void>(cudaGetLastError());  // the error isn't sticky
  FreeMemory memory;
  if (cudaMemGetInfo(&memory.free, &memory.total) != cudaSuccess)
    static_cast<void>(cudaGetLastError());  // there is no memory for a context either
  throw CapacityError(message(
      "cuda: ", what, ", but only ", memory.free >> 20, " of the device's ", memory.total >> 20,
      " MiB are free; lower max_batch_size, max_paused_requests, max_num_tokens, "
      "max_tokens_in_paged_kv_cache or kv_cache_free_gpu_mem_fraction, choose a smaller "
      "kv_cache_dtype, or build the engine with a smaller max_seq_len or with a "
      "quantization"));
}

FreeMemory free_memory() {
  FreeMemory memory;
  check(cudaMemGetInfo(&memory.free, &memory.total), "cudaMemGetInfo");
  return memory;
}

DeviceMemory::~DeviceMemory() {
  for (void* piece : pieces_) static_cast<void>(cudaFree(piece));
}

void* DeviceMemory::take_bytes(std::size_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (mode_ == Mode::count) {
    bytes_ += rounded;
    return nullptr;
  }
  void* piece = nullptr;
  const cudaError_t error = cudaMalloc(&piece, rounded);
  if (error == cudaErrorMemoryAllocation)
    throw_no_memory(message(what, " take ", mebibytes(rounded), " MiB more"));
  check(error, "cudaMalloc");
  pieces_.push_back(piece);
  bytes_ += rounded;
  return piece;
}

}  // namespace ttsrt::cuda
