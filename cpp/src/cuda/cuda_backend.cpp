#include "cuda/cuda_backend.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/devices.h"
#include "cuda/executable.h"
#include "cuda/flight.h"
#include "cuda/launch.h"
#include "cuda/token_lists.h"
#include "ops/check.h"
#include "ops/tickets.h"

namespace ttsrt::cuda {
namespace {

constexpr std::int32_t kDepth = kStages;  // flights outstanding
constexpr std::size_t kQueueRoom = 128;   // commands, besides one reset per slot

class CudaBackend : public ops::Backend {
 public:
  // Named after `name` if it has a lowerer.
  explicit CudaBackend(std::int32_t index, std::unique_ptr<Lowerer> lowerer = nullptr,
                       const std::string& name = "cuda", const std::string& what = "")
      : device_(index), stream_(make_stream_on(index)), lowerer_(std::move(lowerer)) {
    info_.device = message(name, ":", index);
    info_.description = message(info_.device, ": ", what, describe_device(index));
    info_.pipeline_depth = kDepth;
    info_.checks_drafts = lowerer_ == nullptr;  // the plugins know neither
    info_.takes_token_rules = lowerer_ == nullptr;
  }

  ~CudaBackend() override { wait(); }

  // Waits for all that is queued, so that its memory may be given back.
  void wait() const { static_cast<void>(cudaStreamSynchronize(stream_.get())); }

  const ops::BackendInfo& info() const override { return info_; }

  void adopt_thread() override { use_device(device_); }

  void create_state(const ops::StateSpec& spec) override {
    TTSRT_CHECK(InternalError, slots_ == nullptr, "cuda backend: the state exists already");
    const DeviceScope scope(device_);
    slots_ = std::make_unique<DeviceSlots>(spec, DeviceMemory::Mode::take);
    const auto slots = static_cast<std::size_t>(spec.slots);
    known_.rules.resize(slots);
    known_.tokens.resize(slots);
    device_resets_ = memory_.take<SlotResetEntry>(slots, "slots");
    const auto blocks = static_cast<std::size_t>(spec.num_blocks);
    device_copies_ = memory_.take<std::int32_t>(2 * blocks, "slots");
    for (Flight& flight : flights_) {
      flight.commands.reserve(kQueueRoom + slots);
      flight.resets = PinnedBuffer(slots * sizeof(SlotResetEntry));
      flight.tokens = TokenLists(spec);
      flight.copies = PinnedBuffer(2 * blocks * sizeof(std::int32_t));
      flight.end = make_plain_event();
    }
    finish_uploads();
  }

  std::size_t state_bytes() const override { return slots_ == nullptr ? 0 : slots_->use().state(); }

  ops::MemoryUse memory_use(const ops::StateSpec& spec,
                            const std::vector<ops::SizedProgram>& programs) const override;

  std::unique_ptr<ops::Executable> compile(const ops::Program& program,
                                           const ops::ProgramLimits& limits) override;

  std::size_t weight_bytes() const override { return weights_.bytes() + foreign_weight_bytes_; }

  std::optional<std::size_t> free_bytes() const override {
    const DeviceScope scope(device_);
    return free_memory().free;
  }

  std::size_t scratch_bytes() const override {
    return buffer_bytes_ + memory_.bytes() + (slots_ == nullptr ? 0 : slots_->outcome_bytes());
  }

  std::size_t graph_bytes() const override { return graph_bytes_; }

  // Counts what the device has less afterwards, as nobody says what CUDA takes for a graph.
  void prepare(Compiled& compiled) {
    const DeviceScope scope(device_);
    const std::size_t before = free_memory().free;
    load_copies();
    compiled.prepare(stream_.get());
    check(cudaStreamSynchronize(stream_.get()), "the upload of graphs");
    const std::size_t after = free_memory().free;
    graph_bytes_ += before > after ? before - after : 0;
  }

  void reset_slot(const step::SlotReset& reset) override {
    ops::check_reset(reset, slots().spec());
    Flight& flight = queued();
    TTSRT_CHECK(InternalError, flight.num_resets < slots().spec().slots,
                "cuda backend: ", flight.num_resets, " resets are queued already");
    flight.resets.as<SlotResetEntry>()[flight.num_resets] = {
        reset.slot, reset.rules, flight.tokens.stage(flight.num_resets, reset.tokens.get())};
    const bool joins = !flight.commands.empty() && flight.commands.back().is_reset;
    if (joins) {
      ++flight.commands.back().count;
    } else {
      push({nullptr, nullptr, flight.num_resets, 1, true, -1});
    }
    ++flight.num_resets;
  }

  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) ops::check_copy(copy, slots().spec());
    if (copies.empty()) return;
    Flight& flight = queued();
    const auto count = static_cast<std::int32_t>(copies.size());
    TTSRT_CHECK(InternalError, flight.num_copies + count <= slots().spec().num_blocks,
                "cuda backend: ", count, " block copies beside ", flight.num_copies);
    push({nullptr, nullptr, flight.num_copies, count, false, -1});
    for (const step::BlockCopy& copy : copies) {
      std::int32_t* pair = flight.copies.as<std::int32_t>() + 2 * flight.num_copies++;
      pair[0] = copy.from;
      pair[1] = copy.to;
    }
  }

  void push(Compiled& compiled, const step::RowBatch& rows) {
    Flight& flight = queued();
    TTSRT_CHECK(InternalError, rows.draws.empty() || !flight.has_draws,
                "cuda backend: a second launch with draws in one flight");
    push({&compiled, &rows, 0, 0, false, -1});
    flight.has_draws |= !rows.draws.empty();
  }

  void discard() override { queued().clear(); }

  ops::Ticket submit() override {
    const ops::Ticket ticket = tickets_.give();
    Flight& flight = queued();
    const DeviceScope scope(device_);
    try {
      for (Command& command : flight.commands) issue(flight, command);
    } catch (...) {
      flight.failure = std::current_exception();
    }
    check(cudaEventRecord(flight.end.get(), stream_.get()), "cudaEventRecord");
    next_ = (next_ + 1) % kFlights;
    return ticket;
  }

  void collect(ops::Ticket ticket, step::StepOutput& output) override {
    tickets_.take(ticket);
    Flight& flight = flights_[oldest_];
    oldest_ = (oldest_ + 1) % kFlights;
    struct Clearing {  // runs even if the flight failed
      Flight& flight;
      ~Clearing() {
        for (const Command& command : flight.commands) {
          if (command.launch >= 0) command.compiled->close(command.launch);
        }
        flight.clear();
      }
    } const clearing{flight};
    const cudaError_t error = cudaEventSynchronize(flight.end.get());
    if (flight.failure) std::rethrow_exception(flight.failure);
    check(error, "the launches of a step");
    output.seconds.assign(num_programs_, 0.0);
    output.codes.clear();
    output.draws.clear();
    output.scores.clear();
    output.logprobs.clear();
    output.likeliest_ids.clear();
    output.likeliest_logprobs.clear();
    output.taps.clear();
    output.faults.clear();
    if (slots_ != nullptr) output.max_text_len = slots_->spec().max_text_len;
    for (step::RowsOutput& rows : output.rows) rows.values.clear();
    for (const Command& command : flight.commands) {
      if (command.compiled != nullptr) command.compiled->finish(command.launch, output);
    }
  }

  const float* activation(Compiled& compiled, ops::BufferId buffer) const {
    const DeviceScope scope(device_);
    return compiled.activation(buffer, stream_.get());
  }

 private:
  static constexpr std::size_t kFlights = kDepth + 1;  // outstanding ones, and the one in the queue

  static Stream make_stream_on(std::int32_t index) {
    const DeviceScope scope(index);
    return make_stream();
  }

  // Uploads and fills use the default stream, which the stream of the launches doesn't wait for.
  static void finish_uploads() {
    check(cudaStreamSynchronize(cudaStreamLegacy), "the uploads of an engine");
  }

  DeviceSlots& slots() const {
    TTSRT_CHECK(InternalError, slots_ != nullptr, "cuda backend: create_state() comes first");
    return *slots_;
  }
  Flight& queued() { return flights_[next_]; }

  // Captures the kernels that no graph has, once: their code is loaded before the first request.
  void load_copies() {
    if (has_loaded_copies_) return;
    capture(stream_.get(), false, [this] {
      reset_slots(device_resets_, 1, slots_->view(), slots_->device_histories(),
                  slots_->num_histories(), stream_.get());
      cuda::copy_blocks(device_copies_, 1, slots_->cache(0), slots_->cache_layer_bytes(),
                        slots_->spec().cache_layers, stream_.get());
    });
    has_loaded_copies_ = true;
  }

  void push(const Command& command) {
    std::vector<Command>& commands = queued().commands;
    TTSRT_CHECK(InternalError, commands.size() < commands.capacity(),
                "cuda backend: ", commands.size(), " commands are queued already");
    commands.push_back(command);
  }

  void issue(Flight& flight, Command& command) {
    cudaStream_t stream = stream_.get();
    if (command.compiled != nullptr) {
      command.launch = command.compiled->launch(*command.rows, known_, stream);
    } else if (command.is_reset) {
      issue_resets(flight, command, stream);
    } else {
      issue_copies(flight, command, stream);
    }
  }

  void issue_resets(Flight& flight, const Command& command, cudaStream_t stream) {
    const auto* entries = flight.resets.as<SlotResetEntry>() + command.first;
    for (std::int32_t i = 0; i < command.count; ++i) {
      const auto slot = static_cast<std::size_t>(entries[i].slot);
      known_.rules[slot] = entries[i].rules;
      known_.tokens[slot] = entries[i].tokens;
      flight.tokens.copy(command.first + i, entries[i], slots_->view().tokens, stream);
    }
    check(cudaMemcpyAsync(device_resets_, entries,
                          static_cast<std::size_t>(command.count) * sizeof(SlotResetEntry),
                          cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
    reset_slots(device_resets_, command.count, slots_->view(), slots_->device_histories(),
                slots_->num_histories(), stream);
  }

  // Copies that read what an earlier one of the same command wrote run behind it.
  void issue_copies(Flight& flight, const Command& command, cudaStream_t stream) {
    const std::int32_t* pairs = flight.copies.as<std::int32_t>() + 2 * command.first;
    check(cudaMemcpyAsync(device_copies_, pairs,
                          2 * static_cast<std::size_t>(command.count) * sizeof(std::int32_t),
                          cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
    std::int32_t first = 0;
    for (std::int32_t i = 0; i <= command.count; ++i) {
      const auto reads_or_overwrites = [&](std::int32_t earlier) {
        return pairs[2 * i] == pairs[2 * earlier + 1] || pairs[2 * i + 1] == pairs[2 * earlier] ||
               pairs[2 * i + 1] == pairs[2 * earlier + 1];
      };
      bool must_wait = i == command.count;
      for (std::int32_t e = first; !must_wait && e < i; ++e) must_wait = reads_or_overwrites(e);
      if (!must_wait) continue;
      if (i > first) {
        cuda::copy_blocks(device_copies_ + 2 * first, i - first, slots_->cache(0),
                          slots_->cache_layer_bytes(), slots_->spec().cache_layers, stream);
        cuda::copy_blocks(device_copies_ + 2 * first, i - first, slots_->schedule_blocks(), 0,
                          slots_->has_schedule_blocks() ? 1 : 0, stream);
      }
      first = i;
    }
  }

  // Of weights that a Program's steps keep beside those of the backend.
  std::size_t foreign_weights(const ops::Program& program) const {
    return lowerer_ != nullptr && lowerer_->takes(program) ? lowerer_->weight_bytes(program) : 0;
  }

  std::int32_t device_;
  ops::BackendInfo info_;
  Stream stream_;
  std::unique_ptr<Lowerer> lowerer_;  // or null
  std::unique_ptr<DeviceSlots> slots_;
  DeviceMemory memory_;
  DeviceWeights weights_{DeviceMemory::Mode::take};
  KnownSlots known_;
  SlotResetEntry* device_resets_ = nullptr;
  std::int32_t* device_copies_ = nullptr;
  std::size_t num_programs_ = 0;
  std::size_t buffer_bytes_ = 0;  // of Executables, beside activations
  std::size_t graph_bytes_ = 0;   // of their graphs
  std::size_t foreign_weight_bytes_ = 0;
  bool has_loaded_copies_ = false;
  Flight flights_[kFlights];
  std::size_t next_ = 0;    // the flight in the queue
  std::size_t oldest_ = 0;  // that is outstanding
  ops::Tickets tickets_{kDepth};
};

class CudaExecutable : public ops::Executable {
 public:
  CudaExecutable(const ops::Program& program, const ops::ProgramLimits& limits, DeviceSlots& slots,
                 DeviceWeights& weights, CudaBackend& backend, Lowerer* lowerer)
      : compiled_(program, limits, slots, weights, DeviceMemory::Mode::take, lowerer),
        backend_(backend) {}
  ~CudaExecutable() override { backend_.wait(); }

  void prepare() override { backend_.prepare(compiled_); }
  void launch(const step::RowBatch& rows) override {
    compiled_.check(rows);
    if (rows.rows > 0) backend_.push(compiled_, rows);
  }
  const float* activation(ops::BufferId buffer) const override {
    return backend_.activation(compiled_, buffer);
  }
  std::size_t activation_bytes() const override { return compiled_.activation_bytes(); }
  std::vector<StageTimes> stage_times() const override { return compiled_.stage_times(); }
  std::size_t buffer_bytes() const { return compiled_.buffer_bytes(); }

 private:
  mutable Compiled compiled_;  // activation() copies values to the host
  CudaBackend& backend_;
};

std::unique_ptr<ops::Executable> CudaBackend::compile(const ops::Program& program,
                                                      const ops::ProgramLimits& limits) {
  const DeviceScope scope(device_);
  num_programs_ = std::max(num_programs_, static_cast<std::size_t>(limits.index) + 1);
  auto executable =
      std::make_unique<CudaExecutable>(program, limits, slots(), weights_, *this, lowerer_.get());
  buffer_bytes_ += executable->buffer_bytes();
  foreign_weight_bytes_ += foreign_weights(program);
  finish_uploads();
  return executable;
}

ops::MemoryUse CudaBackend::memory_use(const ops::StateSpec& spec,
                                       const std::vector<ops::SizedProgram>& programs) const {
  const DeviceScope scope(device_);
  DeviceSlots slots(spec, DeviceMemory::Mode::count);
  DeviceWeights weights(DeviceMemory::Mode::count);
  DeviceMemory memory(DeviceMemory::Mode::count);
  memory.take<SlotResetEntry>(static_cast<std::size_t>(spec.slots), "slots");
  memory.take<std::int32_t>(2 * static_cast<std::size_t>(spec.num_blocks), "slots");
  ops::MemoryUse use = slots.use();
  for (const ops::SizedProgram& of : programs) {
    const Compiled compiled(*of.program, of.limits, slots, weights, DeviceMemory::Mode::count,
                            lowerer_.get());
    use.weights += foreign_weights(*of.program);
    use.activations += compiled.activation_bytes();
    use.scratch += compiled.buffer_bytes();
  }
  use.scratch += memory.bytes() + slots.outcome_bytes();
  use.weights += weights.bytes();
  return use;
}

}  // namespace
}  // namespace ttsrt::cuda

namespace ttsrt {

std::unique_ptr<ops::Backend> make_cuda_backend(std::int32_t index) {
  cuda::require_device(index);
  return std::make_unique<cuda::CudaBackend>(index);
}

std::unique_ptr<ops::Backend> make_lowered_backend(std::int32_t index,
                                                   std::unique_ptr<cuda::Lowerer> lowerer,
                                                   const std::string& name,
                                                   const std::string& what) {
  cuda::require_device(index);
  return std::make_unique<cuda::CudaBackend>(index, std::move(lowerer), name, what);
}

}  // namespace ttsrt
