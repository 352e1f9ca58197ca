// Each kind of ttsrt::Error becomes the class of the same name in ttsrt_rt.errors, imported at the
// first throw.
#include "ttsrt/error.h"

#include <exception>

#include "bindings.h"

namespace ttsrt::python {
namespace {

void raise(const char* kind, const std::exception& error) {
  const py::object type = py::module_::import("ttsrt_rt.errors").attr(kind);
  PyErr_SetString(type.ptr(), error.what());
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const ConfigError& error) {
    raise("ConfigError", error);
  } catch (const FormatError& error) {
    raise("FormatError", error);
  } catch (const CapacityError& error) {
    raise("CapacityError", error);
  } catch (const ClosedError& error) {
    raise("ClosedError", error);
  } catch (const DeviceError& error) {
    raise("DeviceError", error);
  } catch (const Error& error) {
    raise("InternalError", error);
  }
}

}  // namespace

void register_errors(py::module_& /*module*/) {
  py::register_local_exception_translator(translate);
}

}  // namespace ttsrt::python
