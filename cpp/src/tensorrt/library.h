// TensorRT's library and ours beside it (driver and plugins of one major version), opened at run
// time. Nothing of TensorRT is linked.
//
// TTSRT_TENSORRT_LIBRARY names TensorRT's library; otherwise one that the process has loaded
// already is taken, or one that the loader finds. TTSRT_TENSORRT_FOLDER names the folder of our
// libraries; otherwise they are looked for beside this one and where a build leaves them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensorrt/driver.h"

namespace ttsrt::tensorrt {

constexpr std::int32_t kMajors[] = {11, 10, 8};  // that a build may have a driver for

// The majors that our libraries are there for, the newest first.
std::vector<std::int32_t> driver_majors();

// Throws NotFoundError, which says what to install, where a library is missing, and ConfigError for
// a TensorRT of another version than the driver's.
std::shared_ptr<Driver> open_driver(std::int32_t major);

// The driver of the newest TensorRT that has all its libraries. Throws as open_driver.
std::shared_ptr<Driver> open_newest_driver();

// Runs what calls the driver, and makes its errors DeviceError with `what` in front.
template <class Function>
auto guarded(const std::string& what, const Function& function) -> decltype(function());

}  // namespace ttsrt::tensorrt

#include "core/check.h"

template <class Function>
auto ttsrt::tensorrt::guarded(const std::string& what, const Function& function)
    -> decltype(function()) {
  try {
    return function();
  } catch (const Error&) {
    throw;
  } catch (const std::runtime_error& problem) {
    throw DeviceError(message("tensorrt: ", what, ": ", problem.what()));
  }
}
