#include "backends.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/device_list.h"
#include "core/quote.h"
#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "cpu/stages/linear_stage.h"
#include "cuda/cuda_backend.h"
#include "model/engine_data.h"
#include "model/memory_fit.h"
#include "model/native_network.h"
#include "model/quantize.h"
#include "model/servable.h"
#include "model/speculation.h"
#include "ops/reference/reference_backend.h"
#include "ttsrt/device.h"
#include "ttsrt/memory.h"

namespace ttsrt {
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
std::int32_t planned_tokens(std::int32_t asked, const model::Limits& limits,
                            const model::LimitBounds& bounds) {
  if (asked == 0) return std::max(limits.max_num_tokens, model::least_tokens(limits, bounds));
  const std::int32_t least = model::longest_launch(limits, bounds);
  TTSRT_CHECK(ConfigError, asked >= least && asked <= model::kMaxRows,
              "max_num_tokens: expected 0 (the engine's) or ", least,
              " (the longest text, context and whole item) to ", model::kMaxRows, ", got ", asked);
  return asked;
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

// Requests that may be paused beside max_batch_size running ones.
std::int32_t paused_limit(const std::string& preempt, std::int32_t asked,
                          std::int32_t max_batch_size) {
  TTSRT_CHECK(ConfigError, preempt == "none" || preempt == "priority",
              "preempt: expected \"none\" or \"priority\", got ", in_quotes(preempt));
  const std::int32_t most = model::kMaxBatch - max_batch_size;
  TTSRT_CHECK(ConfigError, asked >= 0 && asked <= most,
              "max_paused_requests: expected 0 (max_batch_size) to ", most, ", got ", asked);
  if (preempt == "priority") return asked == 0 ? std::min(max_batch_size, most) : asked;
  TTSRT_CHECK(ConfigError, asked == 0,
              "max_paused_requests: expected 0, because preempt is \"none\", got ", asked);
  return 0;
}

// The reference with two launches in flight, for tests of what a pipelined device does.
constexpr const char* kPipelined = "reference:2";

bool is_reference(const std::string& device) {
  return device == "reference" || device == kPipelined;
}

// The GPU that "cuda" or "cuda:1" names, or -1 for another device.
std::int32_t cuda_index(const std::string& device) {
  constexpr std::string_view kPrefix = "cuda:";
  if (device == "cuda") return 0;
  if (!device.starts_with(kPrefix)) return -1;
  std::int32_t index = -1;
  const char* end = device.data() + device.size();
  const auto read = std::from_chars(device.data() + kPrefix.size(), end, index);
  return read.ec == std::errc() && read.ptr == end && index >= 0 ? index : -1;
}

// What "auto" stands for: a GPU where this build can use one, else the CPU.
std::string resolve_device(const std::string& device) {
  if (device != "auto") return device;
  return can_use_cuda() ? "cuda:0" : "cpu";
}

void check_device(const std::string& device, std::int32_t num_threads) {
  TTSRT_CHECK(ConfigError, num_threads >= 0 && num_threads <= 1024,
              "num_threads: expected 0 to 1024, got ", num_threads);
  TTSRT_CHECK(
      ConfigError,
      device == "cpu" || device == "auto" || is_reference(device) || cuda_index(device) >= 0,
      "device: expected \"auto\", \"cpu\", \"cuda\", \"cuda:0\" and so on, or "
      "\"reference\", got ",
      in_quotes(device));
}

// The replicas of an executor on these devices, and how many threads each gets.
struct Team {
  std::vector<std::string> devices;
  std::int32_t num_threads = 0;
};

Team team_of(const std::string& devices, std::int32_t num_threads, bool pin_threads) {
  const bool names_all = devices.find(":all") != std::string::npos;
  Team team{split_devices(devices, names_all ? num_cuda_devices() : 0), num_threads};
  for (const std::string& device : team.devices) check_device(device, num_threads);
  const auto num_cpu = static_cast<std::int32_t>(
      std::count_if(team.devices.begin(), team.devices.end(),
                    [](const std::string& of) { return resolve_device(of) == "cpu"; }));
  TTSRT_CHECK(ConfigError, !pin_threads || num_cpu <= 1,
              "pin_threads: expected off with several replicas on the CPU, device ",
              in_quotes(devices));
  if (num_threads == 0 && num_cpu > 1) team.num_threads = std::max(usable_cores() / num_cpu, 1);
  return team;
}

using Backends = std::vector<std::unique_ptr<ops::Backend>>;

Backends open_backends(const Team& team, bool pin_threads) {
  Backends backends;
  for (const std::string& device : team.devices)
    backends.push_back(open_backend(device, team.num_threads, pin_threads));
  return backends;
}

// The shares of the replicas' caches, while nothing of any replica is allocated: those on one
// device get equal parts of what is free there.
std::vector<model::CacheShare> cache_shares(std::optional<double> fraction,
                                            const Backends& backends) {
  std::vector<model::CacheShare> shares;
  for (const auto& backend : backends) {
    const auto replicas = std::count_if(backends.begin(), backends.end(), [&](const auto& other) {
      return other->info().device == backend->info().device;
    });
    model::CacheShare share{fraction, backend->free_bytes()};
    if (share.free.has_value()) *share.free /= static_cast<std::size_t>(replicas);
    shares.push_back(share);
  }
  return shares;
}

// Why no request can speculate; empty: they can.
std::string speculation_refusal(const EngineData& data, const Backends& backends, bool trace) {
  if (!data.family->checks_drafts())
    return message("the steps of a ", in_quotes(data.info.family),
                   " do not draw the ids of a text");
  if (trace) return "trace keeps the values of each step by itself";
  for (const auto& backend : backends) {
    if (!backend->info().checks_drafts)
      return message("device ", in_quotes(backend->info().device), " does not check drafts");
  }
  return {};
}

}  // namespace

std::unique_ptr<ops::Backend> open_backend(const std::string& asked, std::int32_t num_threads,
                                           bool pin_threads) {
  check_device(asked, num_threads);
  const std::string device = resolve_device(asked);
  if (cuda_index(device) >= 0) {
    TTSRT_CHECK(ConfigError, !pin_threads, "pin_threads: expected off on device ",
                in_quotes(device));
    return make_cuda_backend(cuda_index(device));
  }
  if (!is_reference(device)) return make_cpu_backend({num_threads, "", pin_threads});
  TTSRT_CHECK(ConfigError, !pin_threads,
              "pin_threads: expected off on device \"reference\", which has no threads of its own");
  return ops::make_reference_backend({.pipeline_depth = device == kPipelined ? 2 : 1});
}

std::unique_ptr<ops::Machine> open_machine(const std::string& device, std::int32_t num_threads) {
  check_device(device, num_threads);
  TTSRT_CHECK(ConfigError, !is_reference(device),
              "peaks: device \"reference\" has none, its loops are plain");
  TTSRT_CHECK(ConfigError, cuda_index(device) < 0,
              "peaks: expected the device \"cpu\", as no peaks of a GPU are measured, got ",
              in_quotes(device));
  return make_cpu_machine({num_threads, ""});
}

OpenedModel open_model(const Engine& engine, const ExecutorOptions& options) {
  const EngineData& data = *engine.data();
  model::check_cache_limits(options.max_tokens_in_paged_kv_cache,
                            options.kv_cache_free_gpu_mem_fraction);
  model::NetworkOptions network;
  network.limits = data.limits;
  network.limits.max_batch_size =
      reduced_limit("max_batch_size", options.max_batch_size, data.limits.max_batch_size);
  network.limits.max_num_tokens =
      reduced_limit("max_num_tokens", options.max_num_tokens, data.limits.max_num_tokens);
  network.limits.max_paused =
      paused_limit(options.preempt, options.max_paused_requests, network.limits.max_batch_size);
  const std::int32_t least =
      model::longest_launch(data.limits, data.family->limit_bounds(data.manifest));
  TTSRT_CHECK(ConfigError, network.limits.max_num_tokens >= least,
              "max_num_tokens: expected at least ", least,
              " (the longest text, context and whole item), got ", network.limits.max_num_tokens);
  network.state.cache_dtype = cache_dtype_of(options.kv_cache_dtype, data.info.dtype);
  network.state.cache_positions = options.max_tokens_in_paged_kv_cache;
  network.profile = options.profile;
  network.trace = options.trace;
  OpenedModel opened;
  const Team team = team_of(options.device, options.num_threads, options.pin_threads);
  Backends backends = open_backends(team, options.pin_threads);
  opened.speculation = {decode::compile_speculation(options.speculation, {}),
                        speculation_refusal(data, backends, options.trace)};
  const model::SpeculationSupport& speculation = opened.speculation;
  TTSRT_CHECK(ConfigError, !speculation.rules.is_on || speculation.refusal.empty(),
              "speculation.mode: expected \"none\", as ", speculation.refusal);
  if (speculation.refusal.empty())
    network.limits.max_draft_rows =
        decode::draft_rows(speculation.rules, network.limits.max_batch_size);
  const auto shares = cache_shares(options.kv_cache_free_gpu_mem_fraction, backends);
  const auto in_use = backends.size() > 1 ? data.weights.use() : nullptr;  // read once for all
  for (std::size_t i = 0; i < backends.size(); ++i) {
    network.cache = shares[i];
    opened.networks.push_back(
        std::make_unique<model::NativeNetwork>(data, std::move(backends[i]), network));
  }
  opened.itineraries = model::itineraries_of(*data.family, network.limits, &data.weights,
                                             data.path + "/engine.json");
  opened.voices = data.voices;
  return opened;
}

namespace {

void add(MemoryPlan& plan, const ops::Backend& backend, const ops::StateSpec& state,
         const std::vector<ops::SizedProgram>& programs) {
  const ops::MemoryUse use = backend.memory_use(state, programs);
  const auto cache_tokens = static_cast<std::uint64_t>(state.num_blocks) * ops::kBlockSize;
  plan.cache_tokens += cache_tokens;
  plan.weights += use.weights;
  plan.kv_cache += use.kv_cache;
  plan.cross_memory += use.cross_memory;
  plan.slots += use.slots;
  plan.activations += use.activations;
  plan.scratch += use.scratch;
  plan.replicas.push_back({backend.info().device, use.kv_cache, use.cross_memory, use.slots,
                           use.activations, use.scratch, use.weights,
                           backend.free_bytes().value_or(0), cache_tokens});
}

}  // namespace

MemoryPlan plan_memory(const Engine& engine, const MemoryOptions& options) {
  const EngineData& data = *engine.data();
  model::check_cache_limits(options.max_tokens_in_paged_kv_cache,
                            options.kv_cache_free_gpu_mem_fraction);
  const model::LimitBounds bounds = data.family->limit_bounds(data.manifest);
  model::Limits limits = data.limits;
  limits.max_batch_size = within("max_batch_size", options.max_batch_size,
                                 data.limits.max_batch_size, model::kMaxBatch);
  limits.max_paused =
      paused_limit(options.preempt, options.max_paused_requests, limits.max_batch_size);
  limits.max_seq_len =
      within("max_seq_len", options.max_seq_len, data.limits.max_seq_len, bounds.most_positions);
  limits.max_num_tokens = planned_tokens(options.max_num_tokens, limits, bounds);
  const Team team = team_of(options.device, options.num_threads, false);
  const Backends backends = open_backends(team, false);
  if (speculation_refusal(data, backends, false).empty())
    limits.max_draft_rows = decode::draft_rows({}, limits.max_batch_size);
  const DType cache_dtype = cache_dtype_of(options.kv_cache_dtype, data.info.dtype);
  const auto programs = data.family->programs(data.weights, limits, false);
  std::vector<ops::SizedProgram> sized;
  for (const model::FamilyProgram& of : programs) {
    const auto index = static_cast<std::int32_t>(sized.size());
    sized.push_back(
        {&of.program, {of.max_rows, of.max_draws, false, false, index, of.max_segments}});
  }
  MemoryPlan plan;
  plan.max_batch_size = limits.max_batch_size;
  plan.max_seq_len = limits.max_seq_len;
  plan.max_paused_requests = limits.max_paused;
  plan.kv_cache_dtype = name_of(cache_dtype);
  plan.max_num_tokens = limits.max_num_tokens;
  const auto shares = cache_shares(options.kv_cache_free_gpu_mem_fraction, backends);
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const ops::StateSpec state = model::fitted_state(
        *data.family, limits, {cache_dtype, options.max_tokens_in_paged_kv_cache}, shares[i],
        *backends[i], sized);
    add(plan, *backends[i], state, sized);
  }
  const bool reads_host =
      std::any_of(plan.replicas.begin(), plan.replicas.end(),
                  [](const ReplicaMemory& replica) { return replica.weights == 0; });
  plan.weights += reads_host ? data.info.weight_bytes : 0;
  plan.is_served = limits.max_batch_size <= data.limits.max_batch_size &&
                   limits.max_seq_len == data.limits.max_seq_len &&
                   limits.max_num_tokens <= data.limits.max_num_tokens;
  return plan;
}

std::string describe_products(const std::string& dtype, const std::string& quantization) {
  return cpu::describe_products(cpu::choose_kernels(""), dtype_from_name(dtype),
                                model::resolve_quantization(quantization, 0).quantization);
}

std::vector<DeviceInfo> list_devices() {
  std::string levels;
  for (const std::string& level : cpu::supported_levels())
    levels += (levels.empty() ? "" : ", ") + level;
  std::vector<DeviceInfo> devices = {{"cpu", "instruction sets: " + levels, true, ""}};
  for (DeviceInfo& device : list_cuda_devices()) devices.push_back(std::move(device));
  devices.push_back(
      {"reference", "plain interpreter of every operation, for tests and validation", true, ""});
  return devices;
}

}  // namespace ttsrt
