// The log of TensorRT: errors are kept for the next message of ours, and all but details go to
// stderr where TTSRT_TENSORRT_VERBOSE is set.
#pragma once

#include <NvInferRuntime.h>

#include <mutex>
#include <string>

namespace ttsrt::tensorrt {

class Logger final : public nvinfer1::ILogger {
 public:
  Logger();

  void log(Severity severity, const char* text) noexcept override;
  // What was wrong since the last call, in one line; without errors the last warning, as TensorRT
  // calls it a warning that there is no device.
  std::string take_errors();

 private:
  bool is_verbose_ = false;
  std::mutex mutex_;
  std::string errors_;
  std::string warning_;
};

}  // namespace ttsrt::tensorrt
