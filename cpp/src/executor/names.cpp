// Names of public enumerations.
#include "ttsrt/request.h"
#include "ttsrt/stats.h"

namespace ttsrt {

const char* name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::deadline:
      return "deadline";
    case FinishReason::error:
      return "error";
  }
  return "unknown";
}

const char* name_of(RequestStage stage) {
  switch (stage) {
    case RequestStage::queued:
      return "queued";
    case RequestStage::encoder_in_progress:
      return "encoder_in_progress";
    case RequestStage::context_in_progress:
      return "context_in_progress";
    case RequestStage::generation_in_progress:
      return "generation_in_progress";
  }
  return "unknown";
}

}  // namespace ttsrt
