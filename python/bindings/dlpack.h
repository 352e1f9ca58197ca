// What a DLPack capsule says of its array: the structures of DLPack's version 0, which every
// producer still gives where no version is asked for.
#pragma once

#include <cstdint>

#include "bindings.h"
#include "ttsrt/error.h"

namespace ttsrt::python {

struct DlpackTensor {
  void* data;
  std::int32_t device_type;  // 1: host, 2: CUDA, 13: CUDA managed
  std::int32_t device_id;
  std::int32_t num_axes;
  std::uint8_t type_code;  // 0: integer, 1: unsigned, 2: float, 4: bfloat16
  std::uint8_t type_bits;
  std::uint16_t type_lanes;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: dense
  std::uint64_t byte_offset;
};

// (device type, device id, address, (type code, bits, lanes), shape, strides in elements or None).
// The capsule keeps the array: it has a destructor of its own until a consumer takes it over.
inline py::tuple read_dlpack(const py::capsule& capsule) {
  if (capsule.name() == nullptr || std::string(capsule.name()) != "dltensor")
    throw ConfigError("dlpack: expected a capsule \"dltensor\" that nobody has taken");
  // A managed tensor begins with the tensor.
  const auto* tensor = capsule.get_pointer<const DlpackTensor>();
  py::tuple shape(tensor->num_axes);
  py::tuple strides(tensor->num_axes);
  for (std::int32_t i = 0; i < tensor->num_axes; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    shape[axis] = tensor->shape[axis];
    if (tensor->strides != nullptr) strides[axis] = tensor->strides[axis];
  }
  const auto address = reinterpret_cast<std::uintptr_t>(tensor->data) + tensor->byte_offset;
  const py::object dense_or = tensor->strides == nullptr ? py::object(py::none()) : strides;
  return py::make_tuple(tensor->device_type, tensor->device_id, address,
                        py::make_tuple(tensor->type_code, tensor->type_bits, tensor->type_lanes),
                        shape, dense_or);
}

}  // namespace ttsrt::python
