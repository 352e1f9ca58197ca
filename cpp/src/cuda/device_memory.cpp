#include "cuda/device_memory.h"

#include <cuda_runtime_api.h>

#include <cstring>

#include "core/check.h"
#include "cuda/check.h"

namespace ttsrt::cuda {
namespace {

constexpr std::size_t kAlignment = 256;  // of a piece, as cudaMalloc gives

}  // namespace

PinnedBuffer::PinnedBuffer(std::size_t bytes) {
  if (bytes == 0) return;
  const cudaError_t error = cudaMallocHost(&data_, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // the error isn't sticky
    throw CapacityError(message("cuda: the system can't pin ", bytes >> 10,
                                " KiB of the host's memory; lower max_num_tokens"));
  }
  check(error, "cudaMallocHost");
  std::memset(data_, 0, bytes);
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) static_cast<void>(cudaFreeHost(data_));
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
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // the error isn't sticky
    std::size_t free = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    throw CapacityError(
        message("cuda: ", what, " take ", bytes >> 20, " MiB, beside ", bytes_ >> 20,
                " MiB that were taken, but of the device's ", total >> 20, " MiB ", free >> 20,
                " MiB are free; lower max_batch_size, max_seq_len, max_num_tokens or ",
                "max_tokens_in_paged_kv_cache, or choose a smaller kv_cache_dtype"));
  }
  check(error, "cudaMalloc");
  pieces_.push_back(piece);
  bytes_ += rounded;
  return piece;
}

}  // namespace ttsrt::cuda
