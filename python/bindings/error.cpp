// Translates each kind of ttsrt::Error to the class of the same name in ttsrt_rt.errors, which is
// imported at the first error.
#include "ttsrt/error.h"

#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <string>

#include "bindings.h"
#include "ttsrt/executor.h"
#include "ttsrt/request.h"

namespace ttsrt::python {
namespace {

// A message may quote a damaged file: bytes that are not UTF-8 appear as \xNN.
void raise(const char* kind, const std::exception& error,
           const std::optional<std::int64_t>& limit = std::nullopt) {
  const py::object type = py::module_::import("ttsrt_rt.errors").attr(kind);
  const auto size = static_cast<Py_ssize_t>(std::strlen(error.what()));
  const auto message = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(error.what(), size, "backslashreplace"));
  if (!message) return;
  if (!limit) return PyErr_SetObject(type.ptr(), message.ptr());
  const py::object made = type(message);
  made.attr("limit") = *limit;
  PyErr_SetObject(type.ptr(), made.ptr());
}

// A CapacityError that stays one.
void raise_final(const NeverFitsError& error) {
  const py::object made =
      py::module_::import("ttsrt_rt.errors").attr("CapacityError")(std::string(error.what()));
  made.attr("is_final") = true;
  PyErr_SetObject(py::type::of(made).ptr(), made.ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const FrameLimitError& error) {
    raise("ConfigError", error, error.limit());
  } catch (const NotFoundError& error) {
    raise("NotFoundError", error);
  } catch (const ConfigError& error) {
    raise("ConfigError", error);
  } catch (const FormatError& error) {
    raise("FormatError", error);
  } catch (const NeverFitsError& error) {
    raise_final(error);
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
