#include "core/input_file.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/stop_flag.h"
#include "core/thread_team.h"

namespace ttsrt {
namespace {

constexpr std::size_t kPiece = 16U << 20;         // bytes that a thread reads at once
constexpr std::size_t kManyThreads = 128U << 20;  // bytes from which several threads read
constexpr std::int32_t kMaxThreads = 4;

bool is_before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

bool same_contents(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

const char* kind_of(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "a folder";
  if (S_ISFIFO(status.st_mode)) return "a pipe";
  if (S_ISSOCK(status.st_mode)) return "a socket";
  return S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ? "a device" : "something else";
}

// The time of a change is that of the last tick of the system's coarse clock. Until that clock has
// passed the file's time, another change would leave no trace, so this waits for it: a few
// milliseconds at most, and only for a file written just now.
void wait_for_next_tick(const timespec& changed) {
  for (int milliseconds = 0; milliseconds < 20; ++milliseconds) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (is_before(changed, now)) return;
    const timespec one = {0, 1000000};
    ::nanosleep(&one, nullptr);
  }
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  // Opening a device can act on it, so it is refused before; a path may change meanwhile, so what
  // was opened is looked at again. O_NONBLOCK: do not wait for the other end of a pipe.
  struct stat seen{};
  const bool is_other = ::stat(path.c_str(), &seen) == 0 && !S_ISREG(seen.st_mode);
  TTSRT_CHECK(FormatError, !is_other, path, ": expected a regular file, got ", kind_of(seen));
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const int problem = errno;
  const bool is_full = problem == EMFILE || problem == ENFILE || problem == ENOMEM;
  TTSRT_CHECK(CapacityError, file_ >= 0 || !is_full, path,
              ": can't be opened: ", std::strerror(problem));
  TTSRT_CHECK(FormatError, file_ >= 0, path, ": can't be opened: ", std::strerror(problem));
  bool is_file = ::fstat(file_, &opened_) == 0 && S_ISREG(opened_.st_mode);
  if (is_file) {
    wait_for_next_tick(opened_.st_mtim);
    is_file = ::fstat(file_, &opened_) == 0;
  }
  if (is_file) return;
  ::close(file_);
  throw FormatError(message(path, ": expected a regular file, got ", kind_of(opened_)));
}

InputFile::~InputFile() {
  if (file_ >= 0) ::close(file_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      opened_(other.opened_) {}

void InputFile::read(std::size_t offset, std::byte* into, std::size_t bytes) const {
  while (bytes > 0) {
    const ssize_t got = ::pread(file_, into, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    TTSRT_CHECK(DeviceError, got >= 0 || errno != EIO, path_,
                ": can't be read: ", std::strerror(EIO));
    TTSRT_CHECK(FormatError, got >= 0, path_, ": can't be read: ", std::strerror(errno));
    TTSRT_CHECK(FormatError, got > 0, path_, ": changed while it was in use: expected ", size(),
                " bytes, got ", offset);
    offset += static_cast<std::size_t>(got);
    into += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

void InputFile::read_large(std::size_t offset, std::byte* into, std::size_t bytes) const {
  const std::int32_t helpers = bytes < kManyThreads ? 0 : std::min(kMaxThreads, usable_cores()) - 1;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr problem;
  const auto work = [&] {
    try {
      for (;;) {
        const std::size_t at = next.fetch_add(kPiece);
        if (at >= bytes) return;
        check_stop();  // of the calling thread alone
        read(offset + at, into + at, std::min(kPiece, bytes - at));
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      problem = std::current_exception();
      next = bytes;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(helpers));
  for (std::int32_t i = 0; i < helpers; ++i) {
    try {
      threads.emplace_back(work);
    } catch (const std::exception&) {
      break;  // the system gives no more threads: those that run suffice
    }
  }
  work();
  for (std::thread& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

void InputFile::check_unchanged() const {
  struct stat now{};
  TTSRT_CHECK(FormatError, ::fstat(file_, &now) == 0, path_,
              ": can't be read: ", std::strerror(errno));
  TTSRT_CHECK(FormatError, same_contents(now, opened_), path_,
              ": changed while it was in use: expected the ", size(),
              " bytes that it had when it was opened, got a file of ", now.st_size,
              " bytes written since");
}

void InputFile::check_in_place() const {
  struct stat now{};
  TTSRT_CHECK(FormatError, ::stat(path_.c_str(), &now) == 0 && same_contents(now, opened_), path_,
              ": was replaced while it was opened; open it again");
}

std::string InputFile::text(std::size_t max_bytes) const {
  TTSRT_CHECK(FormatError, size() <= max_bytes, path_, ": expected at most ", max_bytes,
              " bytes, got ", size());
  std::string text(size(), '\0');
  read(0, reinterpret_cast<std::byte*>(text.data()), text.size());
  check_unchanged();
  return text;
}

}  // namespace ttsrt
