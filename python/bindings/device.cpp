// Bindings of ttsrt/device.h.
#include "ttsrt/device.h"

#include "dlpack.h"
#include "values.h"

namespace ttsrt::python {

void register_devices(py::module_& module) {
  py::class_<DeviceInfo> bound(module, "DeviceInfo", "A device that can run engines.");
  def_plain(bound);
  bound
      .def_readonly("name", &DeviceInfo::name,
                    "The value for ExecutorOptions.device: \"cpu\", \"reference\".")
      .def_readonly("description", &DeviceInfo::description, "For people: instruction set, cores.")
      .def_readonly("available", &DeviceInfo::available, "Whether an executor can run on it.")
      .def_readonly("reason", &DeviceInfo::reason, "Why the device is unavailable, if it is.");
  module.def("list_devices", &list_devices, py::call_guard<WithoutGil>(),
             "Every device this build knows, available or not.");
  module.def("usable_cores", &usable_cores, py::call_guard<WithoutGil>(),
             "The cores that this process may use, by its affinity and by the quota of its control "
             "groups: the default number of threads.");
  module.def(
      "gpu_of",
      [](std::uintptr_t address) { return gpu_of(reinterpret_cast<const void*>(address)); },
      py::arg("address"), py::call_guard<WithoutGil>(),
      "The index of the GPU in whose memory an address lies. Raises ConfigError if it lies in "
      "none, DeviceError where this build or machine can't use GPUs.");
  module.def("wait_for_cuda_stream", &wait_for_cuda_stream, py::arg("gpu"), py::arg("stream"),
             py::call_guard<WithoutGil>(),
             "Waits until the work that was queued on a stream of a GPU has ended. The stream is a "
             "cudaStream_t as a number: 0 or 1 for the default stream, which waits for all streams "
             "that weren't created as non-blocking, and 2 for that of this thread.");
  module.def("read_dlpack", &read_dlpack, py::arg("capsule"),
             "Device type, device id, address, (type code, bits, lanes), shape, and strides in "
             "elements or None, of a DLPack capsule, which keeps the array.");
  module.def("describe_products", &describe_products, py::arg("dtype"), py::arg("quantization"),
             "How this machine's CPU multiplies matrices of this type.");
}

}  // namespace ttsrt::python
