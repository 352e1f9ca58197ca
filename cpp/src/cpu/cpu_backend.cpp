#include "cpu/cpu_backend.h"

#include <algorithm>

#include "core/check.h"
#include "core/thread_team.h"
#include "cpu/executable.h"
#include "cpu/isa.h"
#include "cpu/peaks.h"

namespace ttsrt::cpu {
namespace {

constexpr std::size_t kQueueRoom = 128;  // commands beside one admission per slot

// One thing to do in wait().
struct Command {
  Compiled* compiled = nullptr;  // with rows
  const step::RowBatch* rows = nullptr;
  step::Admission admission;  // neither rows nor copies
  std::size_t first_copy = 0;
  std::size_t num_copies = 0;
};

class CpuBackend : public ops::Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : kernels_(choose_kernels(options.isa)),
        team_(options.num_threads, options.pin_threads),
        scratch_(static_cast<std::size_t>(team_.num_threads())) {
    info_.device = "cpu";
    info_.description = message("cpu: ", kernels_.name, ", ", team_.num_threads(), " threads",
                                options.pin_threads ? ", pinned" : "");
  }

  const ops::BackendInfo& info() const override { return info_; }

  void adopt_thread() override { team_.pin_caller(); }

  void create_state(const ops::StateSpec& spec) override {
    TTSRT_CHECK(InternalError, slots_ == nullptr, "cpu backend: the state exists already");
    slots_ = std::make_unique<Slots>(spec);
    copies_.reserve(static_cast<std::size_t>(spec.num_blocks));
    queue_.reserve(kQueueRoom + static_cast<std::size_t>(spec.slots));
  }

  std::size_t state_bytes() const override { return slots_ == nullptr ? 0 : slots_->bytes(); }

  std::unique_ptr<ops::Executable> compile(const ops::Program& program,
                                           const ops::ProgramLimits& limits) override;

  void admit(const step::Admission& admission) override {
    const ops::StateSpec& spec = slots().spec();
    TTSRT_CHECK(InternalError, admission.slot >= 0 && admission.slot < spec.slots,
                "admission: slot ", admission.slot, " of ", spec.slots);
    TTSRT_CHECK(InternalError,
                admission.rules.text_len <= spec.max_text_len &&
                    admission.rules.context_len <= spec.max_context_memory,
                "admission: text of ", admission.rules.text_len, " and context of ",
                admission.rules.context_len, ", the state has room for ", spec.max_text_len,
                " and ", spec.max_context_memory);
    push({nullptr, nullptr, admission, 0, 0});
  }

  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) {
      const std::int32_t blocks = slots().spec().num_blocks;
      TTSRT_CHECK(InternalError,
                  copy.from >= 0 && copy.from < blocks && copy.to >= 0 && copy.to < blocks,
                  "block copy: ", copy.from, " to ", copy.to, " of ", blocks);
    }
    if (copies.empty()) return;
    push({nullptr, nullptr, {}, copies_.size(), copies.size()});
    copies_.insert(copies_.end(), copies.begin(), copies.end());
  }

  void discard() override {
    queue_.clear();
    copies_.clear();
  }

  void wait() override {
    if (queue_.empty()) return;
    struct Clearing {  // also where a kernel throws
      CpuBackend& backend;
      ~Clearing() { backend.discard(); }
    } const clearing{*this};
    team_.run([](void* backend,
                 std::int32_t thread) { static_cast<CpuBackend*>(backend)->run_queue(thread); },
              this);
  }

  void read_draws(step::StepOutput& output) const override {
    TTSRT_CHECK(InternalError, slots_ != nullptr, "cpu backend: no state");
    const Outcome& outcome = slots_->outcome;
    const ops::StateSpec& spec = slots_->spec();
    output.draws.assign(outcome.outputs.begin(), outcome.outputs.begin() + outcome.finished);
    output.codes.assign(outcome.sampled.begin(),
                        outcome.sampled.begin() + std::int64_t{outcome.draws} * spec.codebooks);
    output.max_text_len = spec.max_text_len;
    output.scores.clear();
    const bool keeps_scores =
        std::any_of(output.draws.begin(), output.draws.end(), [this](const step::DrawOutput& draw) {
          return slots_->rules[static_cast<std::size_t>(draw.slot)].keep_scores;
        });
    if (!keeps_scores) return;
    output.scores.assign(outcome.scores.begin(),
                         outcome.scores.begin() + std::int64_t{outcome.draws} * spec.max_text_len);
  }

  MachinePeaks measure_peaks(double seconds) override {
    wait();
    return cpu::measure_peaks(kernels_, team_, seconds);
  }

  double measure_read(std::int64_t bytes, double seconds) override {
    wait();
    return cpu::measure_read(kernels_, team_, bytes, seconds);
  }

  void push(const Command& command) {
    TTSRT_CHECK(InternalError, queue_.size() < queue_.capacity(), "cpu backend: ", queue_.size(),
                " commands wait already");
    queue_.push_back(command);
  }

 private:
  Slots& slots() const {
    TTSRT_CHECK(InternalError, slots_ != nullptr, "cpu backend: create_state() comes first");
    return *slots_;
  }

  void run_queue(std::int32_t thread) {
    const Worker worker{thread, team_.num_threads(),
                        scratch_[static_cast<std::size_t>(thread)].data(), 0};
    for (const Command& command : queue_) {
      if (command.compiled != nullptr) {
        command.compiled->run(*command.rows, worker, team_);
        continue;
      }
      if (command.num_copies == 0 && thread == 0) slots_->reset(command.admission);
      for (std::size_t c = 0; c < command.num_copies && thread == 0; ++c)
        slots_->copy_block(copies_[command.first_copy + c]);
      team_.barrier();
    }
  }

  const Kernels& kernels_;
  ops::BackendInfo info_;
  ThreadTeam team_;
  std::vector<AlignedBuffer> scratch_;  // of each thread
  std::unique_ptr<Slots> slots_;
  std::vector<Command> queue_;
  std::vector<step::BlockCopy> copies_;
};

class CpuExecutable : public ops::Executable {
 public:
  CpuExecutable(const ops::Program& program, const ops::ProgramLimits& limits,
                const Kernels& kernels, Slots& slots, std::int32_t num_threads, CpuBackend& backend)
      : compiled_(program, limits, kernels, slots, num_threads), backend_(backend) {}

  void launch(const step::RowBatch& rows) override {
    compiled_.check(rows);
    backend_.push({&compiled_, &rows, {}, 0, 0});
  }
  const float* activation(ops::BufferId buffer) const override {
    return compiled_.activation(buffer);
  }
  std::size_t activation_bytes() const override { return compiled_.activation_bytes(); }
  double seconds() const override { return compiled_.seconds(); }
  std::vector<StageTimes> stage_times() const override { return compiled_.stage_times(); }
  std::size_t scratch_bytes() const { return compiled_.scratch_bytes(); }

 private:
  Compiled compiled_;
  CpuBackend& backend_;
};

std::unique_ptr<ops::Executable> CpuBackend::compile(const ops::Program& program,
                                                     const ops::ProgramLimits& limits) {
  wait();  // nothing queued may see its scratch move
  auto executable = std::make_unique<CpuExecutable>(program, limits, kernels_, slots(),
                                                    team_.num_threads(), *this);
  for (AlignedBuffer& scratch : scratch_) {
    if (scratch.bytes() < executable->scratch_bytes())
      scratch = AlignedBuffer(executable->scratch_bytes());
  }
  return executable;
}

}  // namespace
}  // namespace ttsrt::cpu

namespace ttsrt {

std::unique_ptr<ops::Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace ttsrt
