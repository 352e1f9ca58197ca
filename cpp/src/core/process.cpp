#include "core/process.h"

#include <unistd.h>

#include "core/check.h"

namespace ttsrt {

HomeProcess::HomeProcess() : id_(::getpid()) {}

bool HomeProcess::is_here() const noexcept { return ::getpid() == id_; }

void HomeProcess::check(const char* call, const char* what) const {
  TTSRT_CHECK(ClosedError, is_here(), call, ": this ", what, " belongs to process ", id_,
              ", and its threads do not exist in the forked process ", ::getpid(),
              "; create a new ", what, " in this process");
}

}  // namespace ttsrt
