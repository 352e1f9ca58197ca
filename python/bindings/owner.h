// References to Python objects that threads of the library may drop.
//
// Decided: such a thread never waits for the GIL, because an interpreter that ends does not give it
// away, and because the thread decodes. It leaves the object in a list, which the main thread
// empties as soon as it runs Python code.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bindings.h"

namespace ttsrt::python {

class Dropped {
 public:
  static Dropped& list() {
    static Dropped& of = *new Dropped;  // outlives all threads
    return of;
  }

  void add(PyObject* object) noexcept {
    if (Py_IsInitialized() == 0) return;  // nobody is left who could drop it
    try {
      const std::lock_guard<std::mutex> lock(mutex_);
      objects_.push_back(object);
    } catch (...) {  // out of memory: the object stays
      return;
    }
    // Without room for another call, one that is waiting empties the list, or the next owner does.
    static_cast<void>(Py_AddPendingCall(
        [](void*) {
          list().empty();
          return 0;
        },
        nullptr));
  }

  // Needs the GIL.
  void empty() {
    std::vector<PyObject*> objects;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      objects.swap(objects_);
    }
    for (PyObject* object : objects) Py_DECREF(object);
  }

 private:
  std::mutex mutex_;
  std::vector<PyObject*> objects_;
};

// A pointer that keeps `owner`. Needs the GIL; any thread may drop the result.
template <typename T>
std::shared_ptr<T> keep(T* pointer, py::object owner) {
  Dropped::list().empty();
  PyObject* object = owner.release().ptr();
  return std::shared_ptr<T>(pointer, [object](T*) {
    if (Py_IsInitialized() != 0 && PyGILState_Check() != 0)
      Py_DECREF(object);
    else
      Dropped::list().add(object);
  });
}

}  // namespace ttsrt::python
