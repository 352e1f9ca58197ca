// What the library that stands for TensorRT keeps: the calls that it got, where it is to fail, and
// how many of its objects are there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "NvInfer.h"

namespace ttsrt::tensorrt::fake {

// An input or output of a network that was built.
struct BuiltTensor {
  std::string name;
  nvinfer1::DataType type = nvinfer1::DataType::kFLOAT;
  nvinfer1::Dims dims;
  bool is_input = false;
};
using BuiltNetwork = std::vector<BuiltTensor>;

struct State {
  std::int32_t version = NV_TENSORRT_VERSION;
  std::string fails_at;  // the call that fails, of all with that name
  std::string calls;     // a line for each
  std::int32_t alive = 0;
  nvinfer1::ILogger* logger = nullptr;  // the first that was given, as TensorRT keeps it
  std::vector<BuiltNetwork> built;      // by the number that their plans say
};
inline State& state() {
  static State all;
  return all;
}

// Notes a call. False where it is to fail, which the log says then.
inline bool call(const std::string& name, const std::string& arguments = "") {
  state().calls += name + (arguments.empty() ? "" : " " + arguments) + "\n";
  if (name != state().fails_at) return true;
  if (state().logger != nullptr)
    state().logger->log(nvinfer1::ILogger::Severity::kERROR, ("no " + name + " today").c_str());
  return false;
}

// What is counted.
class Counted {
 public:
  Counted() { ++state().alive; }
  ~Counted() { --state().alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

inline std::string text_of(const nvinfer1::Dims& dims) {
  std::string text = "[";
  for (std::int32_t i = 0; i < dims.nbDims; ++i)
    text += (i == 0 ? "" : ",") + std::to_string(dims.d[i]);
  return text + "]";
}

inline const char* text_of(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT:
      return "float32";
    case nvinfer1::DataType::kHALF:
      return "float16";
    case nvinfer1::DataType::kINT32:
      return "int32";
    case nvinfer1::DataType::kINT64:
      return "int64";
    default:
      return "another type";
  }
}

}  // namespace ttsrt::tensorrt::fake
