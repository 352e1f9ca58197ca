// Checks something in a forked child.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <exception>

namespace ttsrt::test {

// Whether `check` returns true in a forked child. A child that hangs is killed by its alarm.
template <typename Check>
bool holds_in_child(Check check) {
  constexpr unsigned kSeconds = 30;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kSeconds);
    bool holds = false;
    try {
      holds = check();
    } catch (const std::exception&) {  // the parent sees that it does not hold
    }
    ::_exit(holds ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace ttsrt::test
