#include "backends.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/device_list.h"
#include "core/quote.h"
#include "core/thread_team.h"
#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "cpu/stages/linear_stage.h"
#include "cuda/cuda_backend.h"
#include "model/draft_engine.h"
#include "model/engine_data.h"
#include "model/memory_fit.h"
#include "model/native_network.h"
#include "model/quantize.h"
#include "model/run_limits.h"
#include "model/servable.h"
#include "model/speculation.h"
#include "ops/reference/reference_backend.h"
#include "tensorrt/tensorrt_backend.h"
#include "ttsrt/device.h"
#include "ttsrt/memory.h"

namespace ttsrt {
namespace {

// The reference with two launches in flight, for tests of what a pipelined device does.
constexpr const char* kPipelined = "reference:2";

bool is_reference(const std::string& device) {
  return device == "reference" || device == kPipelined;
}

// The GPU that "cuda" or "cuda:1" names, or "tensorrt:1", or -1 for another device.
std::int32_t gpu_index(const std::string& device, const std::string& kind) {
  if (device == kind) return 0;
  if (!device.starts_with(kind + ":")) return -1;
  std::int32_t index = -1;
  const char* end = device.data() + device.size();
  const auto read = std::from_chars(device.data() + kind.size() + 1, end, index);
  return read.ec == std::errc() && read.ptr == end && index >= 0 ? index : -1;
}

std::int32_t cuda_index(const std::string& device) { return gpu_index(device, "cuda"); }
std::int32_t tensorrt_index(const std::string& device) { return gpu_index(device, "tensorrt"); }

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
      device == "cpu" || device == "auto" || is_reference(device) || cuda_index(device) >= 0 ||
          tensorrt_index(device) >= 0,
      "device: expected \"auto\", \"cpu\", \"cuda\", \"cuda:0\", \"tensorrt:0\" and so on, or "
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

// One backend of each replica, for the engine and, where there is one, for its drafter. On a CPU
// the two of a replica share their threads: its loop runs them in turn, and the workers of a second
// team would spin while the first one computes.
struct ReplicaBackends {
  Backends own;
  Backends draft;
};

ReplicaBackends open_backends(const Team& team, bool pin_threads, const EngineData& data,
                              const EngineData* draft = nullptr) {
  ReplicaBackends backends;
  for (const std::string& device : team.devices) {
    const std::int32_t index = tensorrt_index(device);
    TTSRT_CHECK(ConfigError, index < 0 || !pin_threads, "pin_threads: expected off on device ",
                in_quotes(device));
    const bool shares = draft != nullptr && index < 0 && resolve_device(device) == "cpu";
    const auto threads = shares ? std::make_shared<ThreadTeam>(
                                      team.num_threads, TeamOptions{pin_threads, true, nullptr})
                                : nullptr;
    const auto open = [&](const EngineData& of) {
      if (shares) return make_cpu_backend({0, "", false, threads});
      return index >= 0 ? make_tensorrt_backend(index, of)
                        : open_backend(device, team.num_threads, pin_threads);
    };
    backends.own.push_back(open(data));
    if (draft != nullptr) backends.draft.push_back(open(*draft));
  }
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
  if (!data.family->text_facts().has_value())
    return message("the steps of a ", in_quotes(data.info.family),
                   " do not draw the ids of a text");
  if (trace) return "trace keeps the values of each step by itself";
  for (const auto& backend : backends) {
    if (!backend->info().checks_drafts)
      return message("device ", in_quotes(backend->info().device), " does not check drafts");
  }
  return {};
}

// The rules of requests that don't say otherwise: a draft engine is there to be used.
decode::SpeculationRules speculation_rules(const Speculation& options,
                                           const std::string& draft_engine) {
  decode::SpeculationRules usual;
  if (!draft_engine.empty()) usual.source = decode::DraftSource::model;
  const decode::SpeculationRules rules = decode::compile_speculation(options, usual);
  TTSRT_CHECK(ConfigError, rules.source != decode::DraftSource::model || !draft_engine.empty(),
              "speculation.mode: expected \"none\" or \"ngram\" without draft_engine, got "
              "\"draft\"");
  return rules;
}

// What executors and plans say of speculation; where it can't be, it must not be asked for.
model::SpeculationSupport speculation_of(const EngineData& data, const Backends& backends,
                                         bool trace, const Speculation& options,
                                         const std::string& draft_engine) {
  model::SpeculationSupport made{speculation_rules(options, draft_engine),
                                 speculation_refusal(data, backends, trace)};
  if (made.refusal.empty()) return made;
  TTSRT_CHECK(ConfigError, draft_engine.empty(), "draft_engine: expected none, as ", made.refusal,
              ", got ", in_quotes(draft_engine));
  TTSRT_CHECK(ConfigError, !made.rules.is_on(), "speculation.mode: expected \"none\", as ",
              made.refusal, ", got ", in_quotes(decode::name_of(made.rules.source)));
  return made;
}

// Opens the drafter of an executor whose networks have these options.
model::Drafter open_drafter(const EngineData& target, const Engine& engine, Backends&& backends,
                            const model::NetworkOptions& options,
                            const std::string& kv_cache_dtype) {
  const EngineData& data = *engine.data();
  model::check_draft_engine(target, data);
  model::NetworkOptions network = options;
  network.limits = model::draft_limits(options.limits, data);
  network.state.cache_dtype = model::cache_dtype_of(kv_cache_dtype, data.info.dtype);
  model::Drafter made;
  made.vocab = std::min(target.family->text_facts()->vocab, data.family->text_facts()->vocab);
  made.position_table = data.family->text_facts()->position_table;
  made.engine = engine.data();
  for (auto& backend : backends)
    made.networks.push_back(
        std::make_unique<model::NativeNetwork>(data, std::move(backend), network));
  return made;
}

}  // namespace

std::unique_ptr<ops::Backend> open_backend(const std::string& asked, std::int32_t num_threads,
                                           bool pin_threads) {
  check_device(asked, num_threads);
  TTSRT_CHECK(ConfigError, tensorrt_index(asked) < 0, "device: expected one that runs operations ",
              "by themselves, got ", in_quotes(asked), ", which runs the plans of an engine");
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
  TTSRT_CHECK(ConfigError, cuda_index(device) < 0 && tensorrt_index(device) < 0,
              "peaks: expected the device \"cpu\", as no peaks of a GPU are measured, got ",
              in_quotes(device));
  return make_cpu_machine({num_threads, ""});
}

OpenedModel open_model(const Engine& engine, const ExecutorOptions& options) {
  const EngineData& data = *engine.data();
  model::check_cache_limits(options.max_tokens_in_paged_kv_cache,
                            options.kv_cache_free_gpu_mem_fraction);
  model::NetworkOptions network;
  network.limits = model::executor_limits(data, options);
  network.state.cache_dtype = model::cache_dtype_of(options.kv_cache_dtype, data.info.dtype);
  network.state.cache_positions = options.max_tokens_in_paged_kv_cache;
  network.profile = options.profile;
  network.trace = options.trace;
  OpenedModel opened;
  const Team team = team_of(options.device, options.num_threads, options.pin_threads);
  std::optional<Engine> draft;
  if (!options.draft_engine.empty()) draft = Engine::open(options.draft_engine);
  ReplicaBackends opened_backends =
      open_backends(team, options.pin_threads, data, draft ? draft->data().get() : nullptr);
  Backends& backends = opened_backends.own;
  opened.speculation =
      speculation_of(data, backends, options.trace, options.speculation, options.draft_engine);
  if (draft) {
    opened.drafter = open_drafter(data, *draft, std::move(opened_backends.draft), network,
                                  options.kv_cache_dtype);
    opened.draft_weight_bytes = draft->info().weight_bytes;
  }
  if (opened.speculation.refusal.empty())
    network.limits.max_draft_rows =
        decode::draft_rows(opened.speculation.rules, network.limits.max_batch_size);
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

// A network that would run an engine.
class PlannedNetwork {
 public:
  PlannedNetwork(const EngineData& data, const model::Limits& limits,
                 const model::StateOptions& state)
      : family_(*data.family),
        limits_(limits),
        state_(state),
        programs_(family_.programs(data.weights, limits, false)) {
    for (const model::FamilyProgram& of : programs_) {
      const auto index = static_cast<std::int32_t>(sized_.size());
      sized_.push_back(
          {&of.program, {of.max_rows, of.max_draws, false, false, index, of.max_segments}});
    }
  }

  ReplicaMemory on(const ops::Backend& backend, const model::CacheShare& share) const {
    const ops::StateSpec state =
        model::fitted_state(family_, limits_, state_, share, backend, sized_);
    const ops::MemoryUse use = backend.memory_use(state, sized_);
    return {backend.info().device,
            use.kv_cache,
            use.cross_memory,
            use.slots,
            use.activations,
            use.scratch,
            use.weights,
            backend.free_bytes().value_or(0),
            static_cast<std::uint64_t>(state.num_blocks) * ops::kBlockSize};
  }

 private:
  const model::Family& family_;
  const model::Limits limits_;
  const model::StateOptions state_;
  const std::vector<model::FamilyProgram> programs_;
  std::vector<ops::SizedProgram> sized_;
};

// What a draft engine takes beside each replica; its cache holds no positions of requests.
void add_draft(const EngineData& draft, const model::Limits& limits, const MemoryOptions& options,
               const Backends& backends, MemoryPlan& plan) {
  const DType cache_dtype = model::cache_dtype_of(options.kv_cache_dtype, draft.info.dtype);
  const PlannedNetwork network(draft, model::draft_limits(limits, draft),
                               {cache_dtype, options.max_tokens_in_paged_kv_cache});
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const ReplicaMemory use = network.on(*backends[i], {});
    ReplicaMemory& replica = plan.replicas[i];
    replica.kv_cache += use.kv_cache;
    replica.slots += use.slots;
    replica.activations += use.activations;
    replica.scratch += use.scratch;
    replica.weights += use.weights;
  }
}

void add(MemoryPlan& plan, const ReplicaMemory& replica) {
  plan.cache_tokens += replica.cache_tokens;
  plan.weights += replica.weights;
  plan.kv_cache += replica.kv_cache;
  plan.cross_memory += replica.cross_memory;
  plan.slots += replica.slots;
  plan.activations += replica.activations;
  plan.scratch += replica.scratch;
}

}  // namespace

MemoryPlan plan_memory(const Engine& engine, const MemoryOptions& options) {
  const EngineData& data = *engine.data();
  model::check_cache_limits(options.max_tokens_in_paged_kv_cache,
                            options.kv_cache_free_gpu_mem_fraction);
  model::Limits limits = model::planned_limits(data, options);
  const Team team = team_of(options.device, options.num_threads, false);
  const Backends backends = open_backends(team, false, data).own;
  const model::SpeculationSupport speculation =
      speculation_of(data, backends, false, options.speculation, options.draft_engine);
  if (speculation.refusal.empty())
    limits.max_draft_rows = decode::draft_rows(speculation.rules, limits.max_batch_size);
  const DType cache_dtype = model::cache_dtype_of(options.kv_cache_dtype, data.info.dtype);
  MemoryPlan plan;
  plan.max_batch_size = limits.max_batch_size;
  plan.max_seq_len = limits.max_seq_len;
  plan.max_paused_requests = limits.max_paused;
  plan.kv_cache_dtype = name_of(cache_dtype);
  plan.max_num_tokens = limits.max_num_tokens;
  const auto shares = cache_shares(options.kv_cache_free_gpu_mem_fraction, backends);
  const PlannedNetwork own(data, limits, {cache_dtype, options.max_tokens_in_paged_kv_cache});
  for (std::size_t i = 0; i < backends.size(); ++i)
    plan.replicas.push_back(own.on(*backends[i], shares[i]));
  std::uint64_t draft_weights = 0;
  if (!options.draft_engine.empty()) {
    const Engine draft = Engine::open(options.draft_engine);
    model::check_draft_engine(data, *draft.data());
    draft_weights = draft.info().weight_bytes;
    add_draft(*draft.data(), limits, options, backends, plan);
  }
  for (const ReplicaMemory& replica : plan.replicas) add(plan, replica);
  const bool reads_host =
      std::any_of(plan.replicas.begin(), plan.replicas.end(),
                  [](const ReplicaMemory& replica) { return replica.weights == 0; });
  plan.weights += reads_host ? data.info.weight_bytes + draft_weights : 0;
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
