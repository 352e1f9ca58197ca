#include "common/report.h"

#include <atomic>
#include <cstdio>

namespace ttsrt::plugins {
namespace {

std::atomic<Reporter> the_reporter{nullptr};

}  // namespace

void set_reporter(Reporter reporter) noexcept { the_reporter = reporter; }

void report(const char* message) noexcept {
  if (const Reporter reporter = the_reporter) return reporter(message);
  std::fprintf(stderr, "ttsrt_rt plugin: %s\n", message);
}

}  // namespace ttsrt::plugins
