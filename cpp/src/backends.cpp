#include "backends.h"

#include <algorithm>

#include "core/check.h"
#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "cpu/stages/linear_stage.h"
#include "model/engine_data.h"
#include "model/native_network.h"
#include "model/quantize.h"
#include "ops/reference/reference_backend.h"
#include "ttsrt/device.h"

namespace ttsrt {
namespace {

std::int32_t lowered(const char* what, std::int32_t asked, std::int32_t built) {
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= built, what, ": expected 0 (the engine's ", built,
              ") or less than that, got ", asked);
  return asked == 0 ? built : asked;
}

DType cache_dtype_of(const std::string& name, DType engine) {
  if (name.empty()) return engine;
  for (const DType known : {DType::float32, DType::bfloat16, DType::float16, DType::int8}) {
    if (name == name_of(known)) return known;
  }
  throw ConfigError(message(
      "kv_cache_dtype: expected float32, bfloat16, float16, int8 or nothing, got \"", name, "\""));
}

// The reference with two launches in flight, for tests of what a pipelined device does.
constexpr const char* kPipelined = "reference:2";

bool is_reference(const std::string& device) {
  return device == "reference" || device == kPipelined;
}

void check_device(const std::string& device, std::int32_t num_threads) {
  TTSRT_CHECK(ConfigError, num_threads >= 0 && num_threads <= 1024,
              "num_threads: expected 0 to 1024, got ", num_threads);
  TTSRT_CHECK(ConfigError, device == "cpu" || device == "auto" || is_reference(device),
              "device: expected \"auto\", \"cpu\" or \"reference\", got \"", device, "\"");
}

}  // namespace

std::unique_ptr<ops::Backend> open_backend(const std::string& device, std::int32_t num_threads,
                                           bool pin_threads) {
  check_device(device, num_threads);
  if (!is_reference(device)) return make_cpu_backend({num_threads, "", pin_threads});
  TTSRT_CHECK(ConfigError, !pin_threads,
              "pin_threads: expected off on device \"reference\", which has no threads of its own");
  return ops::make_reference_backend({.pipeline_depth = device == kPipelined ? 2 : 1});
}

std::unique_ptr<ops::Machine> open_machine(const std::string& device, std::int32_t num_threads) {
  check_device(device, num_threads);
  TTSRT_CHECK(ConfigError, !is_reference(device),
              "peaks: device \"reference\" has none, its loops are plain");
  return make_cpu_machine({num_threads, ""});
}

OpenedModel open_model(const Engine& engine, const ExecutorOptions& options) {
  const EngineData& data = *engine.data();
  model::NetworkOptions network;
  network.limits = data.limits;
  network.limits.max_batch_size =
      lowered("max_batch_size", options.max_batch_size, data.limits.max_batch_size);
  network.limits.max_num_tokens =
      lowered("max_num_tokens", options.max_num_tokens, data.limits.max_num_tokens);
  const std::int32_t least = std::max(data.limits.max_encoder_input_len, data.limits.max_input_len);
  TTSRT_CHECK(ConfigError, network.limits.max_num_tokens >= least,
              "max_num_tokens: expected at least ", least, " (the longest text and context), got ",
              network.limits.max_num_tokens);
  network.state.cache_dtype = cache_dtype_of(options.kv_cache_dtype, data.info.dtype);
  network.state.cache_positions = options.max_tokens_in_paged_kv_cache;
  network.profile = options.profile;
  network.trace = options.trace;
  OpenedModel opened;
  opened.network = std::make_unique<model::NativeNetwork>(
      data, open_backend(options.device, options.num_threads, options.pin_threads), network);
  try {
    opened.itineraries = data.family->itineraries(network.limits);
  } catch (const ConfigError& problem) {  // defaults that no request could be served with
    throw FormatError(message(data.path, "/engine.json: defaults: ", problem.what()));
  }
  opened.voices = data.voices;
  return opened;
}

std::string describe_products(const std::string& dtype, const std::string& quantization) {
  return cpu::describe_products(cpu::choose_kernels(""), dtype_from_name(dtype),
                                model::resolve_quantization(quantization, 0).quantization);
}

std::vector<DeviceInfo> list_devices() {
  std::string levels;
  for (const std::string& level : cpu::supported_levels())
    levels += (levels.empty() ? "" : ", ") + level;
  return {
      {"cpu", "instruction sets: " + levels, true, ""},
      {"reference", "plain interpreter of every operation, for tests and validation", true, ""}};
}

}  // namespace ttsrt
