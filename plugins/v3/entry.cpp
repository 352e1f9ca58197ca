// The functions by which TensorRT 10 and 11 find the plugins of this library.
#include "v3/adapter.h"

#define TTSRT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

nvinfer1::ILogger* the_logger = nullptr;

void log_error(const char* message) noexcept {
  the_logger->log(nvinfer1::ILogger::Severity::kERROR, message);
}

}  // namespace

TTSRT_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  the_logger = finder == nullptr ? nullptr : finder->findLogger();
  ttsrt::plugins::set_reporter(the_logger == nullptr ? nullptr : log_error);
}

TTSRT_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  const auto& all = ttsrt::plugins::v3::creators();
  count = static_cast<std::int32_t>(all.size());
  return all.data();
}
