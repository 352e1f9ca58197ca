// Errors that cross the public edge. Each kind is a class of its own, so that C++ callers can catch
// what they can mend and Python callers get the exception of the same name.
#pragma once

#include <stdexcept>
#include <string>

namespace ttsrt {

/// Base of everything the library throws. The message says what, where, expected, got.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A request, option or configuration that can't be served as it stands. In Python also a
/// ValueError.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file that isn't what it claims to be. In Python also a ValueError.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// The bounded request queue, or a memory budget, is full. In Python also a RuntimeError.
class CapacityError : public Error {
 public:
  using Error::Error;
};

/// The executor was closed, or is closing. In Python also a RuntimeError.
class ClosedError : public Error {
 public:
  using Error::Error;
};

/// A device is absent or failed. In Python also a RuntimeError.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// A broken promise of the library itself. In Python also a RuntimeError.
class InternalError : public Error {
 public:
  using Error::Error;
};

}  // namespace ttsrt
