// Bindings of ttsrt/publish.h.
#include "ttsrt/publish.h"

#include <memory>

#include "ttsrt/error.h"
#include "values.h"

namespace ttsrt::python {
namespace {

// A writer that Python can end at a chosen moment.
class Writer {
 public:
  Writer(const std::string& output_dir, const FolderKind& kind, bool overwrite)
      : writer_(std::make_unique<FolderWriter>(output_dir, kind, overwrite)) {}

  FolderWriter& get() const {
    if (writer_ == nullptr) throw ClosedError("FolderWriter: it was closed");
    return *writer_;
  }
  void close() { writer_.reset(); }

 private:
  std::unique_ptr<FolderWriter> writer_;
};

std::unique_ptr<Writer> open_writer(const std::string& output_dir, const std::string& noun,
                                    const std::string& format, const std::string& description,
                                    const std::vector<std::string>& others, bool overwrite,
                                    const std::vector<std::string>& folders) {
  const WithoutGil release;
  return std::make_unique<Writer>(
      output_dir, FolderKind{noun, format, description, others, folders}, overwrite);
}

}  // namespace

void register_publishing(py::module_& module) {
  py::class_<Writer>(module, "FolderWriter",
                     "Writes a folder that appears under its name only when it is complete.")
      .def(py::init(&open_writer), py::arg("output_dir"), py::kw_only(), py::arg("noun"),
           py::arg("format"), py::arg("description"), py::arg("others"), py::arg("overwrite"),
           py::arg("folders") = std::vector<std::string>(),
           "Decides everything before the work starts, locks the target and makes a temporary "
           "folder.")
      .def_property_readonly(
          "folder", [](const Writer& self) { return path_text(self.get().folder()); },
          "Where the files are to be written.")
      .def_property_readonly(
          "target", [](const Writer& self) { return path_text(self.get().target()); },
          "Where they will be: absolute, links followed.")
      .def(
          "publish", [](const Writer& self) { self.get().publish(); }, py::call_guard<WithoutGil>(),
          "Moves the files to the target.")
      .def("close", &Writer::close, py::call_guard<WithoutGil>(),
           "Removes what was not published, and releases the lock.");
}

}  // namespace ttsrt::python
