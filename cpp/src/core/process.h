// The process that an object belongs to. A forked child has none of its parent's threads, and a
// lock that one of them held stays locked in the child for ever. So a child may not lock, join or
// destroy what it inherited: public calls check first where they are, and owners leave the memory
// as it is.
#pragma once

#include <sys/types.h>

#include <memory>
#include <utility>

namespace ttsrt {

class HomeProcess {
 public:
  HomeProcess();  // the calling process
  bool is_here() const noexcept;
  // Throws ClosedError, naming the call and what was made here, in any other process.
  void check(const char* call, const char* what = "Executor") const;

 private:
  pid_t id_;
};

// Deletes an object in the process that made this deleter, and leaks it in a forked child.
struct DeleteAtHome {
  template <typename T>
  void operator()(T* object) const noexcept {
    if (home.is_here()) delete object;
  }
  HomeProcess home;
};

// As std::make_shared, for an object that a forked child must not destroy.
template <typename T, typename... Arguments>
std::shared_ptr<T> make_shared_at_home(Arguments&&... arguments) {
  return std::shared_ptr<T>(new T(std::forward<Arguments>(arguments)...), DeleteAtHome{});
}

}  // namespace ttsrt
