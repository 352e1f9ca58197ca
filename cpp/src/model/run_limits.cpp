#include "model/run_limits.h"

#include <algorithm>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::model {
namespace {

std::int32_t reduced_limit(const char* what, std::int32_t asked, std::int32_t built) {
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= built, what, ": expected 0 (the engine's ", built,
              ") or less than that, got ", asked);
  return asked == 0 ? built : asked;
}

std::int32_t within(const char* what, std::int32_t asked, std::int32_t otherwise,
                    std::int32_t most) {
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= most, what, ": expected 1 to ", most,
              " or 0 (the engine's), got ", asked);
  return asked == 0 ? otherwise : asked;
}

// Rows of a launch that a plan is made for: at least what an executor asks for.
std::int32_t planned_tokens(std::int32_t asked, const Limits& limits, const LimitBounds& bounds) {
  if (asked == 0) return std::max(limits.max_num_tokens, least_tokens(limits, bounds));
  const std::int32_t least = longest_launch(limits, bounds);
  TTSRT_CHECK(ConfigError, asked >= least && asked <= kMaxRows,
              "max_num_tokens: expected 0 (the engine's) or ", least,
              " (the longest text, context and whole item) to ", kMaxRows, ", got ", asked);
  return asked;
}

// Requests that may be paused beside max_batch_size running ones.
std::int32_t paused_limit(const std::string& preempt, std::int32_t asked,
                          std::int32_t max_batch_size) {
  TTSRT_CHECK(ConfigError, preempt == "none" || preempt == "priority",
              "preempt: expected \"none\" or \"priority\", got ", in_quotes(preempt));
  const std::int32_t most = kMaxBatch - max_batch_size;
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= most,
              "max_paused_requests: expected 0 (max_batch_size) to ", most, ", got ", asked);
  if (preempt == "priority") return asked == 0 ? std::min(max_batch_size, most) : asked;
  TTSRT_CHECK(ConfigError, asked == 0,
              "max_paused_requests: expected 0, because preempt is \"none\", got ", asked);
  return 0;
}

}  // namespace

Limits executor_limits(const EngineData& data, const ExecutorOptions& options) {
  Limits limits = data.limits;
  limits.max_batch_size =
      reduced_limit("max_batch_size", options.max_batch_size, data.limits.max_batch_size);
  limits.max_num_tokens =
      reduced_limit("max_num_tokens", options.max_num_tokens, data.limits.max_num_tokens);
  limits.max_paused =
      paused_limit(options.preempt, options.max_paused_requests, limits.max_batch_size);
  const std::int32_t least = longest_launch(data.limits, data.family->limit_bounds(data.manifest));
  TTSRT_CHECK(ConfigError, limits.max_num_tokens >= least, "max_num_tokens: expected at least ",
              least, " (the longest text, context and whole item), got ", limits.max_num_tokens);
  return limits;
}

Limits planned_limits(const EngineData& data, const MemoryOptions& options) {
  const LimitBounds bounds = data.family->limit_bounds(data.manifest);
  Limits limits = data.limits;
  limits.max_batch_size =
      within("max_batch_size", options.max_batch_size, data.limits.max_batch_size, kMaxBatch);
  limits.max_paused =
      paused_limit(options.preempt, options.max_paused_requests, limits.max_batch_size);
  limits.max_seq_len =
      within("max_seq_len", options.max_seq_len, data.limits.max_seq_len, bounds.most_positions);
  limits.max_num_tokens = planned_tokens(options.max_num_tokens, limits, bounds);
  return limits;
}

DType cache_dtype_of(const std::string& name, DType engine) {
  if (name.empty()) return engine;
  for (const DType known : {DType::float32, DType::bfloat16, DType::float16, DType::int8}) {
    if (name == name_of(known)) return known;
  }
  throw ConfigError(
      message("kv_cache_dtype: expected float32, bfloat16, float16, int8 or nothing, got ",
              in_quotes(name)));
}

void check_device(const ops::StateSpec& state, const std::string& device) {
  TTSRT_CHECK(ConfigError, state.schedule_rows == 0 || device.rfind("tensorrt", 0) != 0,
              "device: expected \"cpu\" or \"cuda\", as what makes sound of speech tokens has no "
              "plugins for TensorRT, got \"",
              device, "\"");
}

}  // namespace ttsrt::model
