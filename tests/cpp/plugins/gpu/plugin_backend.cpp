#include "plugin_backend.h"

#include <functional>
#include <utility>

#include "cuda/check.h"
#include "cuda/devices.h"
#include "cuda/launch.h"
#include "ops/tickets.h"

namespace ttsrt::plugins::test {
namespace {

using cuda::DeviceMemory;

class PluginBackend : public ops::Backend {
 public:
  explicit PluginBackend(const PluginSetup& setup) : setup_(setup) {
    cuda::require_device(0);
    cuda::use_device(0);
    stream_ = cuda::make_stream();
    info_.device = std::string("plugins ") + setup.harness->name();
    info_.description = info_.device + (setup.is_captured ? ", captured" : "");
  }
  ~PluginBackend() override { static_cast<void>(cudaStreamSynchronize(stream_.get())); }

  const ops::BackendInfo& info() const override { return info_; }

  void create_state(const ops::StateSpec& spec) override {
    slots_ = std::make_unique<cuda::DeviceSlots>(spec, DeviceMemory::Mode::take);
    rules_.resize(static_cast<std::size_t>(spec.slots));
    reset_ = memory_.take<cuda::SlotResetEntry>(1, "slots");
    copy_ = memory_.take<std::int32_t>(2, "slots");
  }
  std::size_t state_bytes() const override { return slots_->use().state(); }
  ops::MemoryUse memory_use(const ops::StateSpec&,
                            const std::vector<ops::SizedProgram>&) const override {
    throw InternalError("the memory of plugins is not planned");
  }

  std::unique_ptr<ops::Executable> compile(const ops::Program& program,
                                           const ops::ProgramLimits& limits) override;

  void reset_slot(const step::SlotReset& reset) override {
    ops::check_reset(reset, slots_->spec());
    queue_.emplace_back([this, entry = cuda::SlotResetEntry{reset.slot, reset.rules, {}}] {
      rules_[static_cast<std::size_t>(entry.slot)] = entry.rules;
      send(reset_, &entry, sizeof(entry));
      cuda::reset_slots(reset_, 1, slots_->view(), slots_->device_histories(),
                        slots_->num_histories(), stream_.get());
    });
  }
  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) {
      ops::check_copy(copy, slots_->spec());
      queue_.emplace_back([this, copy] {
        send(copy_, &copy, sizeof(copy));
        cuda::copy_blocks(copy_, 1, slots_->cache(0), slots_->cache_layer_bytes(),
                          slots_->spec().cache_layers, stream_.get());
      });
    }
  }
  void discard() override { queue_.clear(); }

  void push(PluginProgram& program, const step::RowBatch& rows) {
    queue_.emplace_back([this, &program, &rows] {
      program.launch(rows, rules_, stream_.get());
      launched_.push_back(&program);
    });
  }

  ops::Ticket submit() override {
    const ops::Ticket ticket = tickets_.give();
    const auto commands = std::exchange(queue_, {});
    for (const auto& command : commands) command();
    return ticket;
  }
  void collect(ops::Ticket ticket, step::StepOutput& output) override {
    tickets_.take(ticket);
    cuda::check(cudaStreamSynchronize(stream_.get()), "the plugins of a step");
    output = {};
    output.max_text_len = slots_->spec().max_text_len;
    for (const PluginProgram* program : std::exchange(launched_, {})) program->finish(output);
  }

 private:
  // Both sides are free again when it returns.
  void send(void* to, const void* from, std::size_t bytes) const {
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()),
                "cudaMemcpyAsync");
    cuda::check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }

  PluginSetup setup_;
  ops::BackendInfo info_;
  cuda::Stream stream_;
  DeviceMemory memory_;
  std::unique_ptr<cuda::DeviceSlots> slots_;
  cuda::DeviceWeights weights_{DeviceMemory::Mode::take};
  std::vector<rules::SlotRules> rules_;  // [slots], as the next command finds them
  cuda::SlotResetEntry* reset_ = nullptr;
  std::int32_t* copy_ = nullptr;
  std::vector<std::function<void()>> queue_;
  std::vector<const PluginProgram*> launched_;
  ops::Tickets tickets_{1};
};

class PluginExecutable : public ops::Executable {
 public:
  PluginExecutable(std::unique_ptr<PluginProgram> program, PluginBackend& backend)
      : program_(std::move(program)), backend_(backend) {}

  void launch(const step::RowBatch& rows) override {
    program_->check(rows);
    if (rows.rows > 0) backend_.push(*program_, rows);
  }
  const float* activation(ops::BufferId buffer) const override {
    return program_->activation(buffer);
  }
  std::size_t activation_bytes() const override { return program_->activation_bytes(); }

 private:
  std::unique_ptr<PluginProgram> program_;
  PluginBackend& backend_;
};

std::unique_ptr<ops::Executable> PluginBackend::compile(const ops::Program& program,
                                                        const ops::ProgramLimits& limits) {
  auto compiled = std::make_unique<PluginProgram>(program, limits, *slots_, weights_, setup_);
  cuda::check(cudaStreamSynchronize(cudaStreamLegacy), "the uploads of a Program");
  return std::make_unique<PluginExecutable>(std::move(compiled), *this);
}

}  // namespace

std::unique_ptr<ops::Backend> make_plugin_backend(const PluginSetup& setup) {
  return std::make_unique<PluginBackend>(setup);
}

}  // namespace ttsrt::plugins::test
