// Where the plugins' errors go: to the logger of the TensorRT that has loaded the library, or to
// stderr where there is none.
//
// TensorRT gives a plugin library its logger by a C function without an object, so the reporter is
// the one global of the library. It is set while the library is loaded and may be read by any
// thread.
#pragma once

namespace ttsrt::plugins {

using Reporter = void (*)(const char* message) noexcept;
void set_reporter(Reporter reporter) noexcept;

void report(const char* message) noexcept;

}  // namespace ttsrt::plugins
