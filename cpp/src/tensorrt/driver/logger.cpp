#include "tensorrt/driver/logger.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ttsrt::tensorrt {

Logger::Logger() : is_verbose_(std::getenv("TTSRT_TENSORRT_VERBOSE") != nullptr) {}

void Logger::log(Severity severity, const char* text) noexcept {
  constexpr std::size_t kMostErrors = 4000;  // bytes
  if (is_verbose_ && severity != Severity::kVERBOSE) std::fprintf(stderr, "tensorrt: %s\n", text);
  if (severity == Severity::kINFO || severity == Severity::kVERBOSE) return;
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (severity == Severity::kWARNING) {
      warning_ = text;
      return;
    }
    if (errors_.size() > kMostErrors) return;
    if (!errors_.empty()) errors_ += "; ";
    errors_ += text;
  } catch (...) {  // no memory for a message
    return;
  }
}

std::string Logger::take_errors() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string warning = std::exchange(warning_, {});
  return errors_.empty() ? warning : std::exchange(errors_, {});
}

}  // namespace ttsrt::tensorrt
