// Declarations for all binding files: their register functions, and conversions of matrices to and
// from numpy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ttsrt/tensor.h"

namespace ttsrt::python {

namespace py = pybind11;

void register_errors(py::module_& module);
void register_devices(py::module_& module);
void register_options(py::module_& module);
void register_requests(py::module_& module);
void register_results(py::module_& module);
void register_engines(py::module_& module);
void register_publishing(py::module_& module);
void register_audio(py::module_& module);
void register_text(py::module_& module);
void register_build(py::module_& module);
void register_tensorrt(py::module_& module);
void register_memory(py::module_& module);
void register_layers(py::module_& module);
void register_handles(py::module_& module);
void register_selectors(py::module_& module);
void register_stats(py::module_& module);
void register_executors(py::module_& module);
void register_bench(py::module_& module);

// Releases the GIL during its lifetime. A daemon thread that takes the GIL again after the
// interpreter has begun to end does not get it: before Python 3.14 the thread is unwound by an
// exception, which must not leave a destructor, because the process would be terminated. Such a
// thread sleeps here until the process ends, as it does from Python 3.14 on.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // nothing else throws here
      for (;;) ::pause();
    }
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// As os.fsdecode: paths need not be UTF-8.
inline py::str path_text(const std::string& path) {
  PyObject* text =
      PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size()));
  if (text == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

// Runs the Python handlers of signals that have arrived; throws what they raise. Needs the GIL.
inline void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// An array over the values of `matrix`, without a copy; `owner` holds them and is kept alive by the
// array.
template <typename T>
py::array view_of(const Matrix<T>& matrix, py::handle owner) {
  return py::array_t<T>({matrix.rows, matrix.cols}, matrix.values.data(), owner);
}

// As above, for a vector.
template <typename T>
py::array view_of(const std::vector<T>& values, py::handle owner) {
  return py::array_t<T>({static_cast<py::ssize_t>(values.size())}, values.data(), owner);
}

// A matrix with a copy of a dense [rows, cols] array, as array_from of values.h gives it.
template <typename T>
Matrix<T> matrix_from(const py::array_t<T, py::array::c_style>& array) {
  return {array.shape(0), array.shape(1),
          std::vector<T>(array.data(), array.data() + array.size())};
}

// As matrix_from, for an array of one axis.
template <typename T>
std::vector<T> vector_from(const py::array_t<T, py::array::c_style>& array) {
  return std::vector<T>(array.data(), array.data() + array.size());
}

}  // namespace ttsrt::python
