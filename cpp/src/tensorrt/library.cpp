#include "tensorrt/library.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "core/check.h"

namespace ttsrt::tensorrt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibraryVariable = "TTSRT_TENSORRT_LIBRARY";
constexpr const char* kFolderVariable = "TTSRT_TENSORRT_FOLDER";

std::string plugins_name(std::int32_t major) { return message("ttsrt_rt_trt", major, ".so"); }
std::string driver_name(std::int32_t major) { return message("ttsrt_rt_trt", major, "_driver.so"); }

// Where this code was loaded from.
fs::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&driver_majors), &info) == 0) return {};
  return fs::path(info.dli_fname).parent_path();
}

// Both libraries of a major version are in one of these.
std::vector<fs::path> folders() {
  if (const char* given = std::getenv(kFolderVariable)) return {fs::path(given)};
  const fs::path own = own_folder();
  return {own, own / "../../plugins"};
}

// The folder of our libraries; empty: they are missing.
fs::path folder_of(std::int32_t major) {
  for (const fs::path& folder : folders()) {
    std::error_code ignored;
    if (fs::exists(folder / driver_name(major), ignored) &&
        fs::exists(folder / plugins_name(major), ignored))
      return folder;
  }
  return {};
}

[[noreturn]] void throw_no_driver(std::int32_t major) {
  std::string present;
  for (const std::int32_t other : driver_majors())
    present += message(present.empty() ? "" : ", ", other);
  throw NotFoundError(
      message("device tensorrt: this installation has no libraries for TensorRT ", major,
              " (it has: ", present.empty() ? "none" : present,
              "); install it with the CMake options TTSRT_CUDA=ON, "
              "TTSRT_PLUGINS=ON and TensorRT_ROOT, a folder with the headers of that version"));
}

// TensorRT 8.6 and later open the resources of their builder by name, from beside the library.
void load_resources(const fs::path& library) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(library.parent_path(), ignored)) {
    if (entry.path().filename().string().rfind("libnvinfer_builder_resource.so", 0) == 0)
      static_cast<void>(dlopen(entry.path().c_str(), RTLD_LAZY | RTLD_GLOBAL));
  }
}

// Stays open: threads of TensorRT may outlive a network.
void* open_tensorrt(std::int32_t major) {
  const std::string name = message("libnvinfer.so.", major);
  const char* given = std::getenv(kLibraryVariable);
  void* library = given != nullptr ? dlopen(given, RTLD_NOW | RTLD_GLOBAL)
                                   : dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr && given == nullptr)
    library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw NotFoundError(message("device tensorrt: ", given != nullptr ? given : name.c_str(), ": ",
                                reason == nullptr ? "it can't be opened" : reason,
                                "; install TensorRT",
                                major > 0 ? message(" ", major) : std::string(), ", or set ",
                                kLibraryVariable, " to its library"));
  }
  if (void* function = dlsym(library, "getInferLibVersion")) {
    Dl_info info{};
    if (dladdr(function, &info) != 0) load_resources(fs::path(info.dli_fname));
  }
  return library;
}

// The major version of the library that the environment names.
std::int32_t major_of_given() {
  void* library = open_tensorrt(0);
  auto* version = reinterpret_cast<std::int32_t (*)()>(dlsym(library, "getInferLibVersion"));
  TTSRT_CHECK(ConfigError, version != nullptr, "device tensorrt: ", std::getenv(kLibraryVariable),
              ": it is no library of TensorRT");
  const std::int32_t number = version();
  return number < 10000 ? number / 1000 : number / 10000;  // 8600 is 8.6.0, 100300 is 10.3.0
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

}  // namespace

std::vector<std::int32_t> driver_majors() {
  std::vector<std::int32_t> majors;
  for (const std::int32_t major : kMajors) {
    if (!folder_of(major).empty()) majors.push_back(major);
  }
  return majors;
}

std::shared_ptr<Driver> open_driver(std::int32_t major) {
  const fs::path folder = folder_of(major);
  if (folder.empty()) throw_no_driver(major);
  void* tensorrt = open_tensorrt(major);
  const std::string path = (folder / driver_name(major)).string();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* reason = library == nullptr ? dlerror() : nullptr;
  TTSRT_CHECK(FormatError, library != nullptr, path, ": ",
              reason == nullptr ? "it can't be opened" : reason);
  auto* entry = reinterpret_cast<DriverEntry>(dlsym(library, kDriverEntry));
  TTSRT_CHECK(FormatError, entry != nullptr, path, ": it has no ", kDriverEntry);
  const std::string plugins = (folder / plugins_name(major)).string();
  const DriverRequest request{kDriverVersion, find_symbol, tensorrt, plugins.c_str()};
  std::array<char, 1024> error{};
  std::shared_ptr<Driver> driver(entry(&request, error.data(), error.size()));
  TTSRT_CHECK(ConfigError, driver != nullptr, "device tensorrt: ", error.data());
  return driver;
}

std::shared_ptr<Driver> open_newest_driver() {
  const std::vector<std::int32_t> majors = driver_majors();
  if (majors.empty()) throw_no_driver(kMajors[0]);
  if (std::getenv(kLibraryVariable) != nullptr) return open_driver(major_of_given());
  for (std::size_t i = 0;; ++i) {
    try {
      return open_driver(majors[i]);
    } catch (const NotFoundError&) {
      if (i + 1 == majors.size()) throw;
    }
  }
}

}  // namespace ttsrt::tensorrt
