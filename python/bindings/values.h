// Python values that become C++ values, with a ConfigError instead of pybind11's TypeError, and C++
// structs that become readable text and plain values.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "bindings.h"
#include "ttsrt/error.h"

namespace ttsrt::python {

constexpr std::size_t kMaxShown = 100;  // characters of a value in messages and in a repr

// At most kMaxShown characters of a value's repr.
inline std::string shown(py::handle value) {
  try {
    py::str text = py::repr(value);
    const bool is_long = py::len(text) > kMaxShown;
    if (is_long) text = py::str(text[py::slice(0, kMaxShown, 1)]);
    const auto bytes = py::reinterpret_steal<py::bytes>(
        PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace"));
    if (!bytes) throw py::error_already_set();
    return std::string(bytes) + (is_long ? "..." : "");
  } catch (py::error_already_set&) {  // an object whose repr fails
    return std::string("a value of type ") + Py_TYPE(value.ptr())->tp_name;
  }
}

inline bool is_bool(py::handle value) {
  const char* type = Py_TYPE(value.ptr())->tp_name;
  return PyBool_Check(value.ptr()) || std::strcmp(type, "numpy.bool") == 0 ||
         std::strcmp(type, "numpy.bool_") == 0;
}

// What a T is called in messages that refuse a value, and whether a value may become one: bool is
// no number, bytes are no string. A range is named only where a whole number is outside it.
template <typename T>
struct Kind {
  static std::string name(py::handle value) {
    if constexpr (std::is_same_v<T, bool>) {
      return "True or False";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return "a string";
    } else if constexpr (std::is_floating_point_v<T>) {
      return "a number";
    } else if constexpr (std::is_integral_v<T>) {
      if (is_bool(value) || PyIndex_Check(value.ptr()) == 0) return "an integer";
      return "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
             std::to_string(std::numeric_limits<T>::max());
    } else {
      return py::str(py::type::of<T>().attr("__name__"));
    }
  }
  static bool allows(py::handle value) {
    if constexpr (std::is_same_v<T, bool>) {
      return is_bool(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      return PyUnicode_Check(value.ptr());
    } else {
      return !is_bool(value);
    }
  }
};

template <typename T>
struct Kind<std::optional<T>> {
  static std::string name(py::handle value) { return Kind<T>::name(value) + " or None"; }
  static bool allows(py::handle value) { return value.is_none() || Kind<T>::allows(value); }
};

template <typename T>
struct Kind<std::vector<T>> {
  static std::string name(py::handle /*value*/) {
    return "a list, each " + Kind<T>::name(py::none());
  }
  static bool allows(py::handle value) {
    if (PyUnicode_Check(value.ptr()) || PyBytes_Check(value.ptr())) return false;
    if (!PyList_Check(value.ptr()) && !PyTuple_Check(value.ptr())) return true;
    for (const py::handle item : value) {
      if (!Kind<T>::allows(item)) return false;
    }
    return true;
  }
};

template <typename Key, typename T>
struct Kind<std::map<Key, T>> {
  static std::string name(py::handle /*value*/) {
    return "a dict from " + Kind<Key>::name(py::none()) + " to " + Kind<T>::name(py::none());
  }
  static bool allows(py::handle value) {
    if (!PyDict_Check(value.ptr())) return false;
    for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(value)) {
      if (!Kind<Key>::allows(key) || !Kind<T>::allows(item)) return false;
    }
    return true;
  }
};

template <typename A, typename B>
struct Kind<std::variant<A, B>> {
  static std::string name(py::handle value) {
    return Kind<A>::name(value) + " or " + Kind<B>::name(value);
  }
  static bool allows(py::handle value) { return Kind<A>::allows(value) || Kind<B>::allows(value); }
};

template <typename T>
T cast_as(py::handle value, T* /*kind*/) {
  return value.cast<T>();
}

// Of two kinds, the first that allows the value: pybind11 would take bytes for a string.
template <typename A, typename B>
std::variant<A, B> cast_as(py::handle value, std::variant<A, B>* /*kind*/) {
  if (Kind<A>::allows(value) && !Kind<B>::allows(value)) return value.cast<A>();
  return Kind<B>::allows(value) ? std::variant<A, B>(value.cast<B>()) : value.cast<A>();
}

template <typename T>
std::optional<T> cast_as(py::handle value, std::optional<T>* /*kind*/) {
  if (value.is_none()) return std::nullopt;
  return cast_as(value, static_cast<T*>(nullptr));
}

// Whether a list or a list of lists holds True or False, which NumPy takes for 1 and 0 beside
// numbers.
inline bool holds_bool(py::handle value, py::ssize_t depth) {
  if (!PyList_Check(value.ptr()) && !PyTuple_Check(value.ptr())) return is_bool(value);
  if (depth == 0) return false;
  for (const py::handle item : value) {
    if (holds_bool(item, depth - 1)) return true;
  }
  return false;
}

// The C++ value of a Python value; throws ConfigError naming `where`.
template <typename T>
T value_from(py::handle value, const std::string& where) {
  if (Kind<T>::allows(value)) {
    try {
      return cast_as(value, static_cast<T*>(nullptr));
    } catch (const py::cast_error&) {
    }
    PyErr_Clear();
  }
  throw ConfigError(where + ": expected " + Kind<T>::name(value) + ", got " + shown(value));
}

// A dense array of T with so many axes; throws ConfigError naming `where` where a conversion would
// lose something.
template <typename T>
py::array_t<T, py::array::c_style> array_from(py::handle value, py::ssize_t axes,
                                              const std::string& where) {
  // A list of numbers would be converted in silence: [0.5] to int32 zeros.
  const auto plain = py::array::ensure(value);
  const char kind = plain ? plain.dtype().kind() : ' ';
  const bool is_number = kind == 'i' || kind == 'u' || (kind == 'f' && std::is_floating_point_v<T>);
  if (is_number && !holds_bool(value, axes)) {
    auto array = py::array_t<T, py::array::c_style>::ensure(value);
    if (array && array.ndim() == axes) return array;
  }
  PyErr_Clear();
  const std::string type = py::str(py::dtype::of<T>());
  throw ConfigError(where + ": expected an array of " + type + " with " + std::to_string(axes) +
                    (axes == 1 ? " axis" : " axes") + ", got " + shown(value));
}

// The bytes of a path: a string (surrogates stand for bytes that are not UTF-8), bytes, or an
// os.PathLike.
inline std::string path_from(py::handle value, const std::string& where) {
  PyObject* converted = nullptr;
  if (PyUnicode_FSConverter(value.ptr(), &converted) == 0) {
    PyErr_Clear();
    throw ConfigError(where + ": expected a path, got " + shown(value));
  }
  return py::reinterpret_steal<py::bytes>(converted);
}

// A path that may be absent, which the library takes as an empty one.
inline std::string path_or_empty(const py::object& value, const std::string& where) {
  return value.is_none() ? std::string() : path_from(value, where);
}
inline std::optional<py::str> optional_path(const std::string& path) {
  if (path.empty()) return std::nullopt;
  return path_text(path);
}

// A field that can be set; wrong values are ConfigErrors.
template <typename Class, typename T, typename Owner>
void def_field(py::class_<Class>& bound, const char* name, T Owner::* field, const char* doc) {
  bound.def_property(
      name, [field](const Class& self) -> const T& { return self.*field; },
      [field, name](Class& self, const py::object& value) {
        self.*field = value_from<T>(value, name);
      },
      doc);
}

// The properties of an object by name, in the order in which they were bound.
inline py::dict properties_of(py::handle self) {
  py::dict properties;
  for (const auto& [name, value] :
       py::dict(py::type::handle_of(self).attr("__dict__").attr("copy")()))
    if (PyObject_TypeCheck(value.ptr(), &PyProperty_Type)) properties[name] = self.attr(name);
  return properties;
}

// Numbers, strings, lists and dictionaries, which json.dumps takes.
inline py::object plain(py::handle value) {
  if (py::hasattr(value, "to_dict")) return value.attr("to_dict")();
  if (!py::isinstance<py::list>(value)) return py::reinterpret_borrow<py::object>(value);
  py::list items;
  for (const py::handle item : value) items.append(plain(item));
  return items;
}

inline py::dict to_dict(py::handle self) {
  py::dict values;
  for (const auto& [name, value] : properties_of(self)) values[name] = plain(value);
  return values;
}

// "EngineInfo(family='magpie', ...)"; long lists and arrays as their sizes.
inline std::string repr_of(py::handle self) {
  std::string text = py::str(py::type::handle_of(self).attr("__name__"));
  const char* separator = "(";
  for (const auto& [name, value] : properties_of(self)) {
    text += separator + std::string(py::str(name)) + "=";
    separator = ", ";
    if (py::isinstance<py::array>(value)) {
      text += py::str(value.attr("dtype"));
      text += shown(py::list(value.attr("shape")));
    } else if (py::isinstance<py::list>(value) && py::len(value) > 8) {
      text += "<" + std::to_string(py::len(value)) + " items>";
    } else {
      text += shown(value);
    }
  }
  return text + (*separator == '(' ? "()" : ")");
}

template <typename... Types>
void def_repr(py::class_<Types...>& bound) {
  bound.def("__repr__", [](const py::object& self) { return repr_of(self); });
}

// Both, for structs of numbers.
template <typename... Types>
void def_plain(py::class_<Types...>& bound) {
  def_repr(bound);
  bound.def(
      "to_dict", [](const py::object& self) { return to_dict(self); },
      "All fields as plain values, nested, as json.dumps takes them.");
}

}  // namespace ttsrt::python
