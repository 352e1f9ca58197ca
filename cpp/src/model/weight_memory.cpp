#include "model/weight_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "core/check.h"
#include "core/memory_nodes.h"
#include "core/thread_team.h"

namespace ttsrt::model {
namespace {

constexpr std::size_t kHugePage = 2U << 20;

std::size_t up_to(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

WeightMemory::WeightMemory(const InputFile& file) {
  bytes_ = up_to(file.size(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  reserved_bytes_ = bytes_ + kHugePage;
  void* memory = ::mmap(nullptr, reserved_bytes_, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TTSRT_CHECK(CapacityError, memory != MAP_FAILED, file.path(), ": no addresses for ", file.size(),
              " bytes");
  reserved_ = static_cast<std::byte*>(memory);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  data_ = reserved_ + (up_to(address, kHugePage) - address);
}

WeightMemory::~WeightMemory() { ::munmap(reserved_, reserved_bytes_); }

// Counts one user while it exists.
class WeightMemory::User {
 public:
  ~User() {
    if (memory_) memory_->release();
  }
  void use(std::shared_ptr<WeightMemory> memory) { memory_ = std::move(memory); }

 private:
  std::shared_ptr<WeightMemory> memory_;
};

// Holds the mutex. A child that was forked while a thread of its parent held it can't have it.
class WeightMemory::Locked {
 public:
  explicit Locked(WeightMemory& memory) : memory_(memory), is_home_(memory.home_.is_here()) {
    TTSRT_CHECK(ClosedError, is_home_ || memory.num_locking_ == 0,
                "Executor: the engine's weights were being read when this process was forked; open "
                "the engine again in this process");
    if (is_home_) ++memory.num_locking_;
    memory.mutex_.lock();
  }
  ~Locked() {
    memory_.mutex_.unlock();
    if (is_home_) --memory_.num_locking_;
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  WeightMemory& memory_;
  const bool is_home_;
};

std::shared_ptr<const void> WeightMemory::use(const InputFile& file) {
  auto user = std::make_shared<User>();
  const Locked lock(*this);
  if (users_ == 0) fill(file);
  ++users_;
  user->use(shared_from_this());
  return user;
}

void WeightMemory::fill(const InputFile& file) {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const std::uint64_t memory = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  TTSRT_CHECK(CapacityError, bytes_ <= memory, file.path(), ": its ", file.size(),
              " bytes are more than the ", memory, " bytes of memory of this machine");
  TTSRT_CHECK(CapacityError, ::mprotect(data_, bytes_, PROT_READ | PROT_WRITE) == 0, file.path(),
              ": no memory for ", file.size(), " bytes");
  ::madvise(data_, bytes_, MADV_HUGEPAGE);  // without huge pages it only gets slower
  // One thread reads the file. Without this all weights would lie at its node, whose memory the
  // threads of every node would then share.
  spread_over_nodes(data_, bytes_, nodes_of_cores(allowed_cores()));
  try {
    file.read_large(0, data_, file.size());
    file.check_unchanged();
  } catch (...) {
    empty();
    throw;
  }
  ::mprotect(data_, bytes_, PROT_READ);  // a stray write must not change a weight
}

// Gives the pages back and keeps the addresses.
void WeightMemory::empty() noexcept {
  ::madvise(data_, bytes_, MADV_DONTNEED);
  ::mprotect(data_, bytes_, PROT_NONE);
}

// The lock throws only where this has returned before. NOLINTNEXTLINE(bugprone-exception-escape)
void WeightMemory::release() noexcept {
  if (!home_.is_here() && num_locking_ > 0) return;  // a forked child leaves the memory as it is
  const Locked lock(*this);
  if (--users_ == 0) empty();
}

}  // namespace ttsrt::model
