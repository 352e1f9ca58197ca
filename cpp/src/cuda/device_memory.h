// Memory of a device and pinned memory of the host, owned, and a book that takes or only counts it.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace ttsrt::cuda {

// Bytes of the current device.
struct FreeMemory {
  std::size_t free = 0;
  std::size_t total = 0;
};
FreeMemory free_memory();

// Pinned host memory, zeroed, which kernels of the current device can read and write.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  // Throws CapacityError if the host has no such memory.
  explicit PinnedBuffer(std::size_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept { swap(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  // The same memory, as kernels know it.
  template <typename T>
  T* on_device() const {
    return static_cast<T*>(mapped_);
  }

 private:
  void swap(PinnedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(mapped_, other.mapped_);
  }

  void* data_ = nullptr;
  void* mapped_ = nullptr;
};

// Takes device memory piece by piece and frees all of it at the end. A book that only counts gives
// null pointers.
class DeviceMemory {
 public:
  enum class Mode { take, count };

  explicit DeviceMemory(Mode mode = Mode::take) : mode_(mode) {}
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // Throws CapacityError, which names `what`, the bytes and what the device has free.
  template <typename T>
  T* take(std::size_t count, const char* what) {
    return static_cast<T*>(take_bytes(count * sizeof(T), what));
  }
  std::byte* take_bytes_of(std::size_t bytes, const char* what) {
    return static_cast<std::byte*>(take_bytes(bytes, what));
  }

  bool counts_only() const { return mode_ == Mode::count; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* take_bytes(std::size_t bytes, const char* what);

  Mode mode_;
  std::size_t bytes_ = 0;
  std::vector<void*> pieces_;
};

}  // namespace ttsrt::cuda
