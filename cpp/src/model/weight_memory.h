// The memory that an engine's weights are read into: private to the process, in huge pages where
// the system has them, and read-only while it is in use.
//
// The addresses are reserved when the engine is opened, so that weights have their places before
// they are read, and filled while at least one executor uses them.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

#include "core/input_file.h"
#include "core/process.h"

namespace ttsrt::model {

class WeightMemory : public std::enable_shared_from_this<WeightMemory> {
 public:
  // Reserves addresses for the whole file; throws CapacityError if there are none.
  explicit WeightMemory(const InputFile& file);
  ~WeightMemory();
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;

  // The file's first byte. Readable only while weights are in use; 64-byte aligned.
  const std::byte* data() const { return data_; }

  // Reads the file unless it is already here, and keeps it here while the result exists. Throws
  // FormatError if the file has changed since it was opened, CapacityError if it is larger than the
  // machine's memory, ClosedError in a child that was forked while another thread was in here.
  // Thread safe.
  std::shared_ptr<const void> use(const InputFile& file);

 private:
  class User;
  class Locked;

  void fill(const InputFile& file);
  void empty() noexcept;
  void release() noexcept;

  std::byte* reserved_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;  // whole pages
  const HomeProcess home_;
  std::atomic<int> num_locking_{0};  // threads of the home process that hold the mutex or want it
  std::mutex mutex_;
  std::size_t users_ = 0;
};

}  // namespace ttsrt::model
