#include "tensorrt/plan_lowering.h"

#include <algorithm>
#include <map>

#include "common/op.h"
#include "core/check.h"
#include "cuda/check.h"
#include "tensorrt/gpu.h"
#include "tensorrt/library.h"
#include "tensorrt/network_text.h"
#include "tensorrt/plan_runner.h"
#include "tensorrt/program_networks.h"

namespace ttsrt::tensorrt {
namespace {

// The buffers of a Program that are bound to its network: those that leave it, and scores of draws.
class Activations {
 public:
  Activations(const ProgramNetworks& networks, cuda::DeviceMemory& memory)
      : networks_(networks),
        memory_(memory),
        places_(networks.program().activations.size(), nullptr) {}

  // Takes memory for what is an activation, once for each; null for everything else.
  float* bind(const Binding& binding) {
    if (binding.home != Home::activation) return nullptr;
    float*& place = places_[static_cast<std::size_t>(binding.index)];
    if (place != nullptr) return place;
    const std::size_t before = memory_.bytes();
    const auto bytes = static_cast<std::size_t>(binding.bytes(networks_.limits().max_rows));
    place = memory_.take<float>(bytes / sizeof(float), "activations");
    bytes_ += memory_.bytes() - before;
    return place;
  }

  const std::vector<float*>& all() const { return places_; }
  std::size_t bytes() const { return bytes_; }

 private:
  const ProgramNetworks& networks_;
  cuda::DeviceMemory& memory_;
  std::vector<float*> places_;
  std::size_t bytes_ = 0;
};

// Finds the addresses of what is bound beside activations.
class Places {
 public:
  Places(const ProgramNetworks& networks, const cuda::Site& site)
      : max_rows_(networks.limits().max_rows), site_(site) {
    const auto draws = static_cast<std::size_t>(std::max(networks.limits().max_draws, 1));
    const auto heads = static_cast<std::size_t>(networks.most_score_heads());
    const auto text = static_cast<std::size_t>(networks.state().max_text_len);
    head_scores_ = site_.memory.take<float>(draws * heads * text, "draws");
    heads_done_ = site_.memory.take<std::uint32_t>(heads == 0 ? 0 : draws, "draws");
    if (heads_done_ != nullptr)
      cuda::check(cudaMemset(heads_done_, 0, draws * sizeof(std::uint32_t)), "cudaMemset");
  }

  // Takes memory, of weights too. Called once for each binding, before any launch.
  void prepare(const Binding& binding) {
    if (binding.home == Home::table)
      weights_[binding.name] = site_.weights.table(binding.weight).data;
    if (binding.home == Home::product)
      weights_[binding.name] = site_.weights.product(binding.weight).data;
    const auto bytes = static_cast<std::size_t>(binding.bytes(max_rows_));
    if (binding.home == Home::idle) idle_[binding.name] = nullptr;
    if (site_.memory.counts_only()) {
      if (binding.home == Home::idle) site_.memory.take_bytes_of(bytes, "rows");
      return;
    }
    if (binding.home == Home::idle ||
        (binding.home != Home::activation && find(binding) == nullptr))
      idle_[binding.name] = take_zeros(bytes);
  }

  // An array that a model has no use for is one of zeros.
  void* at(const Binding& binding) const {
    const auto idle = idle_.find(binding.name);
    return idle != idle_.end() ? idle->second : find(binding);
  }

 private:
  void* take_zeros(std::size_t bytes) const {
    std::byte* at = site_.memory.take_bytes_of(bytes, "rows");
    cuda::check(cudaMemset(at, 0, bytes), "cudaMemset");
    return at;
  }

  void* find(const Binding& binding) const {
    const cuda::SlotsView& slots = site_.slots.view();
    const cuda::OutcomeView& outcome = *site_.slots.outcome();
    switch (binding.home) {
      case Home::launch:
        return const_cast<std::int32_t*>(site_.rows.counts);
      case Home::vectors:
        return const_cast<float*>(site_.rows.vectors);
      case Home::faults:
        return site_.faults;
      case Home::slot_rules:
        return slots.rules;
      case Home::slot_states:
        return slots.states;
      case Home::visit_counts:
        return slots.counts;
      case Home::last_codes:
        return slots.last_codes;
      case Home::seen_codes:
        return slots.seen;
      case Home::context_rows:
        return slots.context_rows;
      case Home::sampled:
        return outcome.sampled;
      case Home::likeliest:
        return outcome.likeliest;
      case Home::alignment:
        return outcome.scores;
      case Home::results:
        return outcome.results;
      default:
        return find_large(binding);
    }
  }

  void* find_large(const Binding& binding) const {
    switch (binding.home) {
      case Home::cache:
        return site_.slots.cache(binding.index).data;
      case Home::memory:
        return site_.slots.memory(0, ops::Memory::text).blocks.data;
      case Home::history:
        return site_.slots.history(binding.index).data;
      case Home::schedule:
        return site_.slots.view().schedule;
      case Home::row_array:
        return site_.slots.array(binding.index).data;
      case Home::head_scores:
        return head_scores_;
      case Home::heads_done:
        return heads_done_;
      case Home::table:
      case Home::product:
        return const_cast<void*>(weights_.at(binding.name));
      default:
        return nullptr;
    }
  }

  const std::int64_t max_rows_;
  const cuda::Site site_;
  float* head_scores_ = nullptr;
  std::uint32_t* heads_done_ = nullptr;
  std::map<std::string, const void*> weights_;
  std::map<std::string, void*> idle_;
};

// Returns a function that gives the addresses of bindings; it is called once the scratch memory is
// known.
PlanRunner::Addresses addresses_of(const std::shared_ptr<Places>& places,
                                   std::vector<Binding> bindings, std::vector<float*> activations) {
  return [places, bindings = std::move(bindings), activations = std::move(activations)] {
    std::vector<std::pair<std::string, void*>> all;
    for (std::size_t i = 0; i < bindings.size(); ++i) {
      const bool is_activation = bindings[i].home == Home::activation;
      all.emplace_back(bindings[i].name, is_activation ? activations[i] : places->at(bindings[i]));
    }
    return all;
  };
}

void check_place(const PlanDescription& plans) {
  const Gpu gpu = current_gpu();
  constexpr const char* kAgain =
      "; build the plans again on this machine: ttsrt build --backend tensorrt";
  TTSRT_CHECK(ConfigError, plans.gpu == gpu.name && plans.capability == gpu.capability,
              "device tensorrt: the plans were built for ", plans.gpu, " (sm_", plans.capability,
              "), and this is ", gpu.name, " (sm_", gpu.capability, ")", kAgain);
  TTSRT_CHECK(ConfigError, plans.plugins == plugins::kVersion, "device tensorrt: the plans were ",
              "built with plugins of version ", plans.plugins, ", and these are of version ",
              plugins::kVersion, kAgain);
}

}  // namespace

PlanLowering::PlanLowering(const std::string& engine_dir, const std::string& weights)
    : folder_(engine_dir), plans_(read_plans(engine_dir)) {
  TTSRT_CHECK(ConfigError, plans_.weights == weights, "device tensorrt: the plans in ", engine_dir,
              " were built from other weights than the engine's; build them again: ttsrt build "
              "--backend tensorrt");
  check_place(plans_);
  driver_ = open_driver(plans_.major());
  TTSRT_CHECK(ConfigError, driver_->version() == plans_.tensorrt,
              "device tensorrt: the plans were ", "built by TensorRT ", plans_.tensorrt,
              ", and this is TensorRT ", driver_->version(),
              "; install that version, or build the plans again: ttsrt build --backend tensorrt");
}

bool PlanLowering::takes(const ops::Program& program) const { return refusal(program).empty(); }

std::string PlanLowering::description() const { return "TensorRT " + driver_->version(); }

std::size_t PlanLowering::weight_bytes(const ops::Program& program) const {
  std::size_t bytes = 0;
  for (const PlanRecord& of : plans_.plans) {
    if (of.program == program.name && !of.has_taps) bytes += of.bytes;
  }
  return bytes;
}

const PlanRecord& PlanLowering::record_of(const ProgramNetworks& networks) const {
  const std::string& name = networks.program().name;
  const bool trace = networks.limits().trace;
  const PlanRecord* record = plans_.find(name, trace);
  if (record == nullptr && trace)
    throw ConfigError(message("trace: the plans in ", folder_, " have no outputs for one; build ",
                              "them with enable_debug_output"));
  TTSRT_CHECK(ConfigError, record != nullptr, "device tensorrt: ", folder_, " has no plan for ",
              name, "; build the plans again");
  NetworkText network;
  networks.write(network);
  TTSRT_CHECK(ConfigError, network.hash() == record->network, "device tensorrt: ", name,
              ": the plan was built for another network: its limits are max_batch_size ",
              plans_.max_batch_size, " and max_num_tokens ", plans_.max_num_tokens,
              ", its cache is ", plans_.cache_dtype,
              ", and no requests are paused; run it so, or build the plans again");
  return *record;
}

cuda::Lowered PlanLowering::lower(const ops::Program& program, const ops::ProgramLimits& limits,
                                  const cuda::Site& site) {
  const ProgramNetworks networks(program, limits, site.slots.spec());
  const auto places = std::make_shared<Places>(networks, site);
  Activations activations(networks, site.memory);
  const PlanRecord& record = record_of(networks);
  NetworkText network;
  const std::vector<Binding> bindings = networks.write(network);
  std::vector<float*> buffers;
  for (const Binding& binding : bindings) {
    buffers.push_back(activations.bind(binding));
    places->prepare(binding);
  }
  cuda::Lowered lowered;
  lowered.is_foreign = true;
  lowered.scratch_bytes = record.memory_bytes;
  const std::string name = "tensorrt " + program.name;
  std::shared_ptr<PlanRunner> runner;
  if (!site.memory.counts_only()) {
    const std::vector<std::byte> bytes = read_plan(folder_, record);
    std::unique_ptr<Plan> plan =
        guarded(name, [&] { return driver_->load(bytes.data(), bytes.size()); });
    check_tensors(name, *plan, bindings);
    lowered.scratch_bytes = std::max(lowered.scratch_bytes, plan->memory_bytes());
    runner = std::make_shared<PlanRunner>(
        name, std::move(plan), record.ranges, addresses_of(places, bindings, buffers),
        LaunchNeeds{networks.has_single_rows(), networks.most_passes()}, site.scratch,
        limits.profile);
  }
  lowered.part_steps.push_back(0);
  lowered.steps.push_back(
      {name,
       [runner](const cuda::Bounds& bounds, cudaStream_t stream) { runner->run(bounds, stream); },
       [runner](const cuda::Bounds& bounds) { return runner->has_run(bounds); }});
  for (std::int32_t part = 1; part < program.num_parts(); ++part) {
    lowered.part_steps.push_back(part);
    lowered.steps.push_back({message(name, ", part ", part, ": part 0 runs all of it"),
                             [](const cuda::Bounds&, cudaStream_t) {}});
  }
  lowered.activations = activations.all();
  lowered.activation_bytes = activations.bytes();
  if (networks.cleared_scores() != ops::kNoBuffer)
    lowered.cleared_scores =
        lowered.activations[static_cast<std::size_t>(networks.cleared_scores())];
  lowered.emitted = networks.emitted();
  lowered.stage_times = [runner] {
    std::vector<StageTimes> times;
    runner->add_times(times);
    return times;
  };
  return lowered;
}

}  // namespace ttsrt::tensorrt
