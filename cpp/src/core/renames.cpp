#include "core/renames.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#ifdef __linux__
#include <sys/syscall.h>
#endif

namespace ttsrt {
namespace {

#if defined(__linux__) && defined(SYS_renameat2)
// The values of <linux/fs.h>, which older C libraries do not declare.
constexpr unsigned kNoReplace = 1;
constexpr unsigned kExchange = 2;

int rename_with(const std::string& from, const std::string& to, unsigned flags) {
  return ::syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0
                                                                                            : errno;
}

int rename_to_new(const std::string& from, const std::string& to) {
  return rename_with(from, to, kNoReplace);
}

int exchange(const std::string& from, const std::string& to) {
  return rename_with(from, to, kExchange);
}
#else
int rename_to_new(const std::string& /*from*/, const std::string& /*to*/) { return ENOSYS; }
int exchange(const std::string& /*from*/, const std::string& /*to*/) { return ENOSYS; }
#endif

}  // namespace

Renames system_renames() { return {rename_to_new, exchange}; }

}  // namespace ttsrt
