#include "cpu/cpu_backend.h"

#include <algorithm>

#include "core/check.h"
#include "core/thread_team.h"
#include "cpu/executable.h"
#include "cpu/isa.h"
#include "ops/check.h"
#include "ops/taps.h"
#include "ops/tickets.h"

namespace ttsrt::cpu {
namespace {

constexpr std::size_t kQueueRoom = 128;  // commands, besides one reset per slot

// One command of a flight.
struct Command {
  Compiled* compiled = nullptr;  // with rows
  const step::RowBatch* rows = nullptr;
  step::SlotReset reset;  // if there are neither rows nor copies
  std::size_t first_copy = 0;
  std::size_t num_copies = 0;
  double seconds = 0.0;  // duration of a launch, written by thread 0
};

// The commands queued for one flight. create_state() allocates it.
struct Work {
  std::vector<Command> commands;
  std::vector<step::BlockCopy> copies;
  bool has_draws = false;

  void clear() {
    commands.clear();
    copies.clear();
    has_draws = false;
  }
};

class CpuBackend : public ops::Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : kernels_(options.kernels != nullptr ? *options.kernels : choose_kernels(options.isa)),
        shared_team_(
            options.team != nullptr
                ? options.team
                : std::make_shared<ThreadTeam>(options.num_threads,
                                               TeamOptions{options.pin_threads, true, nullptr})),
        team_(*shared_team_),
        scratch_(static_cast<std::size_t>(team_.num_threads())) {
    info_.device = "cpu";
    info_.checks_drafts = true;
    info_.takes_token_rules = true;
    info_.description = message("cpu: ", kernels_.name, ", ", team_.num_threads(), " threads",
                                team_.is_pinned() ? ", pinned" : "");
  }

  const ops::BackendInfo& info() const override { return info_; }

  void adopt_thread() override { team_.pin_caller(); }

  void create_state(const ops::StateSpec& spec) override {
    TTSRT_CHECK(InternalError, slots_ == nullptr, "cpu backend: the state exists already");
    slots_ = std::make_unique<Slots>(spec);
    for (Work* work : {&queued_, &submitted_}) {
      work->copies.reserve(static_cast<std::size_t>(spec.num_blocks));
      work->commands.reserve(kQueueRoom + static_cast<std::size_t>(spec.slots));
    }
  }

  std::size_t state_bytes() const override { return slots_ == nullptr ? 0 : slots_->bytes(); }

  ops::MemoryUse memory_use(const ops::StateSpec& spec,
                            const std::vector<ops::SizedProgram>& programs) const override;

  std::unique_ptr<ops::Executable> compile(const ops::Program& program,
                                           const ops::ProgramLimits& limits) override;

  std::size_t scratch_bytes() const override {
    std::size_t bytes = buffer_bytes_;
    for (const AlignedBuffer& scratch : scratch_) bytes += scratch.bytes();
    return bytes;
  }

  void reset_slot(const step::SlotReset& reset) override {
    ops::check_reset(reset, slots().spec());
    push({nullptr, nullptr, reset, 0, 0, 0.0});
  }

  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) ops::check_copy(copy, slots().spec());
    if (copies.empty()) return;
    TTSRT_CHECK(InternalError, queued_.copies.size() + copies.size() <= queued_.copies.capacity(),
                "cpu backend: ", copies.size(), " block copies beside ", queued_.copies.size());
    push({nullptr, nullptr, {}, queued_.copies.size(), copies.size(), 0.0});
    queued_.copies.insert(queued_.copies.end(), copies.begin(), copies.end());
  }

  void push(Compiled& compiled, const step::RowBatch& rows) {
    TTSRT_CHECK(InternalError, rows.draws.empty() || !queued_.has_draws,
                "cpu backend: a second launch with draws in one flight");
    push({&compiled, &rows, {}, 0, 0, 0.0});
    queued_.has_draws |= !rows.draws.empty();
  }

  void discard() override { queued_.clear(); }

  ops::Ticket submit() override {
    const ops::Ticket ticket = tickets_.give();
    std::swap(queued_, submitted_);
    return ticket;
  }

  void collect(ops::Ticket ticket, step::StepOutput& output) override {
    tickets_.take(ticket);
    struct Clearing {  // runs even if a kernel throws
      Work& work;
      ~Clearing() { work.clear(); }
    } const clearing{submitted_};
    if (slots_ != nullptr) slots_->start_outcome(0);
    output.num_threads = team_.num_active();
    if (!submitted_.commands.empty()) {
      team_.run([](void* backend,
                   std::int32_t thread) { static_cast<CpuBackend*>(backend)->run_flight(thread); },
                this);
    }
    read_launches(output);
    if (slots_ != nullptr) read_draws(output);
  }

 private:
  Slots& slots() const {
    TTSRT_CHECK(InternalError, slots_ != nullptr, "cpu backend: create_state() comes first");
    return *slots_;
  }

  void push(const Command& command) {
    std::vector<Command>& commands = queued_.commands;
    TTSRT_CHECK(InternalError, commands.size() < commands.capacity(),
                "cpu backend: ", commands.size(), " commands are queued already");
    commands.push_back(command);
  }

  // Collects the seconds, faults and taps of the flight that has run.
  void read_launches(step::StepOutput& output) const {
    output.seconds.assign(num_programs_, 0.0);
    output.taps.clear();
    output.faults.clear();
    for (step::RowsOutput& rows : output.rows) rows.values.clear();
    for (const Command& command : submitted_.commands) {
      if (command.compiled == nullptr) continue;
      const ops::ProgramLimits& limits = command.compiled->limits();
      output.seconds[static_cast<std::size_t>(limits.index)] += command.seconds;
      command.compiled->append_faults(*command.rows, output.faults);
      read_rows(command, output);
      if (!limits.trace) continue;
      const auto values_of = [&command](ops::BufferId buffer) {
        return command.compiled->activation(buffer);
      };
      ops::append_taps(command.compiled->program(), limits.index, *command.rows, values_of, output);
    }
  }

  // Copies the rows that a launch emitted, into memory that the output has from earlier ones.
  static void read_rows(const Command& command, step::StepOutput& output) {
    const float* values = command.compiled->emitted(*command.rows);
    if (values == nullptr) return;
    const std::int32_t index = command.compiled->limits().index;
    const auto found =
        std::find_if(output.rows.begin(), output.rows.end(),
                     [index](const step::RowsOutput& rows) { return rows.program == index; });
    step::RowsOutput& rows = found == output.rows.end() ? output.rows.emplace_back() : *found;
    rows.program = index;
    rows.width = command.compiled->emitted_width();
    rows.values.assign(values, values + std::int64_t{command.rows->rows} * rows.width);
  }

  void read_draws(step::StepOutput& output) const {
    const Outcome& outcome = slots_->outcome;
    const ops::StateSpec& spec = slots_->spec();
    output.draws.assign(outcome.outputs.begin(), outcome.outputs.begin() + outcome.finished);
    output.codes.assign(outcome.sampled.begin(),
                        outcome.sampled.begin() + std::int64_t{outcome.draws} * spec.codebooks);
    output.max_text_len = spec.max_text_len;
    read_logprobs(output);
    output.scores.clear();
    const bool keeps_scores =
        std::any_of(output.draws.begin(), output.draws.end(), [this](const step::DrawOutput& draw) {
          return slots_->rules[static_cast<std::size_t>(draw.slot)].keep_scores;
        });
    if (!keeps_scores) return;
    output.scores.assign(outcome.scores.begin(),
                         outcome.scores.begin() + std::int64_t{outcome.draws} * spec.max_text_len);
  }

  void read_logprobs(step::StepOutput& output) const {
    const Outcome& outcome = slots_->outcome;
    output.logprobs.clear();
    output.likeliest_ids.clear();
    output.likeliest_logprobs.clear();
    const bool tells =
        std::any_of(output.draws.begin(), output.draws.end(), [this](const step::DrawOutput& draw) {
          const step::TokenRules* tokens =
              slots_->tokens[static_cast<std::size_t>(draw.slot)].get();
          return tokens != nullptr && tokens->num_logprobs >= 0;
        });
    if (!tells) return;
    const std::int64_t likeliest = std::int64_t{outcome.draws} * rules::kMaxLogprobs;
    output.logprobs.assign(outcome.logprobs.begin(), outcome.logprobs.begin() + outcome.draws);
    output.likeliest_ids.assign(outcome.likeliest_ids.begin(),
                                outcome.likeliest_ids.begin() + likeliest);
    output.likeliest_logprobs.assign(outcome.likeliest_logprobs.begin(),
                                     outcome.likeliest_logprobs.begin() + likeliest);
  }

  void run_flight(std::int32_t thread) {
    const Worker worker{thread, team_.num_active(),
                        scratch_[static_cast<std::size_t>(thread)].data(), 0};
    for (Command& command : submitted_.commands) {
      if (command.compiled != nullptr) {
        command.compiled->run(*command.rows, worker, team_);
        if (thread == 0) command.seconds = command.compiled->seconds();
        continue;
      }
      if (command.num_copies == 0 && thread == 0) slots_->reset(command.reset);
      for (std::size_t c = 0; c < command.num_copies && thread == 0; ++c)
        slots_->copy_block(submitted_.copies[command.first_copy + c]);
      team_.barrier();
    }
  }

  const Kernels& kernels_;
  ops::BackendInfo info_;
  const std::shared_ptr<ThreadTeam> shared_team_;
  ThreadTeam& team_;
  std::vector<AlignedBuffer> scratch_;  // one per thread
  std::unique_ptr<Slots> slots_;
  std::size_t num_programs_ = 0;
  std::size_t buffer_bytes_ = 0;  // of Executables, beside activations
  Work queued_;
  Work submitted_;  // the outstanding flight
  ops::Tickets tickets_{1};
};

class CpuExecutable : public ops::Executable {
 public:
  CpuExecutable(const ops::Program& program, const ops::ProgramLimits& limits,
                const Kernels& kernels, Slots& slots, std::int32_t num_threads, CpuBackend& backend)
      : compiled_(program, limits, kernels, slots, num_threads), backend_(backend) {}

  void launch(const step::RowBatch& rows) override {
    compiled_.check(rows);
    backend_.push(compiled_, rows);
  }
  const float* activation(ops::BufferId buffer) const override {
    return compiled_.activation(buffer);
  }
  std::size_t activation_bytes() const override { return compiled_.activation_bytes(); }
  std::vector<StageTimes> stage_times() const override { return compiled_.stage_times(); }
  std::size_t scratch_bytes() const { return compiled_.scratch_bytes(); }
  std::size_t buffer_bytes() const { return compiled_.buffer_bytes(); }

 private:
  Compiled compiled_;
  CpuBackend& backend_;
};

std::unique_ptr<ops::Executable> CpuBackend::compile(const ops::Program& program,
                                                     const ops::ProgramLimits& limits) {
  num_programs_ = std::max(num_programs_, static_cast<std::size_t>(limits.index) + 1);
  auto executable = std::make_unique<CpuExecutable>(program, limits, kernels_, slots(),
                                                    team_.num_threads(), *this);
  for (AlignedBuffer& scratch : scratch_) {
    if (scratch.bytes() < executable->scratch_bytes())
      scratch = AlignedBuffer(executable->scratch_bytes());
  }
  buffer_bytes_ += executable->buffer_bytes();
  return executable;
}

// Buffers of activations and products are mapped to be counted, and not touched. The state isn't
// mapped: one slot and one block stand for all of it.
ops::MemoryUse CpuBackend::memory_use(const ops::StateSpec& spec,
                                      const std::vector<ops::SizedProgram>& programs) const {
  ops::MemoryUse use = Slots::memory_use(spec);
  ops::StateSpec least = spec;
  least.slots = 1;
  least.num_blocks = 1;
  Slots slots(least);
  std::size_t most_scratch = 0;
  for (const ops::SizedProgram& of : programs) {
    const Compiled compiled(*of.program, of.limits, kernels_, slots, team_.num_threads(), false);
    use.activations += compiled.activation_bytes();
    use.scratch += compiled.buffer_bytes();
    most_scratch = std::max(most_scratch, compiled.scratch_bytes());
  }
  use.scratch += most_scratch * static_cast<std::size_t>(team_.num_threads());
  return use;
}

}  // namespace
}  // namespace ttsrt::cpu

namespace ttsrt {

std::unique_ptr<ops::Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace ttsrt
