// The two renames that publishing needs, as functions that tests replace.
#pragma once

#include <string>

namespace ttsrt {

struct Renames {
  using Function = int (*)(const std::string& from, const std::string& to);  // returns an errno

  Function to_new;    // fails with EEXIST if `to` exists
  Function exchange;  // swaps the two
};

// Those of the system; ENOSYS or EINVAL where the system or the file system has none.
Renames system_renames();

}  // namespace ttsrt
