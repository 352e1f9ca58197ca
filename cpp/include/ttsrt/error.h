// Errors of the public API. Each kind has its own class, so that C++ callers can catch the kinds
// that they can handle, and Python callers get the exception of the same name.
#pragma once

#include <stdexcept>
#include <string>

#include "ttsrt/export.h"

namespace ttsrt {

/// Base class of all errors of the library. The message says what is wrong, where, what was
/// expected, and what was found.
class TTSRT_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A request, option or configuration is invalid or not supported. In Python also a ValueError.
class TTSRT_API ConfigError : public Error {
 public:
  using Error::Error;
};

/// A path names no file or folder. In Python also a FileNotFoundError.
class TTSRT_API NotFoundError : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

/// A file is damaged or not of the expected format. In Python also a ValueError.
class TTSRT_API FormatError : public Error {
 public:
  using Error::Error;
};

/// The bounded request queue, a memory budget or a disk is full. In Python also a RuntimeError.
class TTSRT_API CapacityError : public Error {
 public:
  using Error::Error;
};

/// The executor was closed, or is closing. In Python also a RuntimeError.
class TTSRT_API ClosedError : public Error {
 public:
  using Error::Error;
};

/// A device, or a disk that is written, is absent or failed. In Python also a RuntimeError.
class TTSRT_API DeviceError : public Error {
 public:
  using Error::Error;
};

/// A request failed, or the library has a bug. In Python also a RuntimeError.
class TTSRT_API InternalError : public Error {
 public:
  using Error::Error;
};

}  // namespace ttsrt
