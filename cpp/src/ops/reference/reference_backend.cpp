#include "ops/reference/reference_backend.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <exception>
#include <optional>
#include <utility>

#include "core/check.h"
#include "ops/check.h"
#include "ops/reference/run.h"
#include "ops/reference/state.h"
#include "ops/taps.h"
#include "ops/tickets.h"

namespace ttsrt::ops {
namespace {

using reference::Run;
using reference::State;

class ReferenceBackend;

class ReferenceExecutable : public Executable {
 public:
  ReferenceExecutable(Program program, const ProgramLimits& limits, const StateSpec& spec,
                      ReferenceBackend& backend)
      : program_(std::move(program)),
        limits_(limits),
        needs_(needs_of(program_, limits, spec)),
        backend_(backend),
        faults_(limits.max_rows) {
    for (const Activation& activation : program_.activations) {
      const std::int64_t rows =
          activation.space == RowSpace::rows ? limits.max_rows : limits.max_draws;
      activations_.emplace_back(static_cast<std::size_t>(rows * activation.values()), NAN);
    }
  }

  void launch(const step::RowBatch& rows) override;

  // Runs a launch and adds its seconds, faults and taps to `output`.
  void run(const step::RowBatch& rows, State& state, step::StepOutput& output) {
    const auto begin = std::chrono::steady_clock::now();
    if (rows.first_part == 0) {
      faults_.clear();
      for (auto& values : activations_) std::fill(values.begin(), values.end(), NAN);
    }
    if (!rows.draws.empty()) state.start_outcome(rows.draws.size());
    step::RowsOutput emitted;
    Run at{program_, rows, state, activations_, &faults_, 0, &emitted};
    reference::run_ops(at, op_at(rows.first_part), op_at(rows.last_part));
    emitted.program = limits_.index;
    if (emitted.width > 0) output.rows.push_back(std::move(emitted));
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    output.seconds[static_cast<std::size_t>(limits_.index)] += spent.count();
    faults_.append(program_, limits_.index, rows.rows, output.faults);
    if (!limits_.trace) return;
    const auto values_of = [this](BufferId buffer) { return activation(buffer); };
    append_taps(program_, limits_.index, rows, values_of, output);
  }

  const float* activation(BufferId buffer) const override {
    TTSRT_CHECK(InternalError,
                buffer >= 0 && static_cast<std::size_t>(buffer) < activations_.size(),
                program_.name, ": buffer ", buffer, " of ", activations_.size());
    return activations_[static_cast<std::size_t>(buffer)].data();
  }

  std::size_t activation_bytes() const override {
    std::size_t bytes = 0;
    for (const auto& values : activations_) bytes += values.size() * sizeof(float);
    return bytes;
  }

 private:
  // Returns the first op of a part, or the end.
  std::size_t op_at(std::int32_t part) const {
    if (part == 0) return 0;
    if (part >= program_.num_parts()) return program_.ops.size();
    return static_cast<std::size_t>(program_.part_begins[static_cast<std::size_t>(part) - 1]);
  }

  Program program_;
  ProgramLimits limits_;
  BatchNeeds needs_;
  ReferenceBackend& backend_;
  RowFaults faults_;
  std::vector<std::vector<float>> activations_;
};

using Command = std::variant<step::SlotReset, step::BlockCopy,
                             std::pair<ReferenceExecutable*, const step::RowBatch*>>;

struct Flight {
  std::vector<Command> commands;
  step::StepOutput output;
  std::exception_ptr failure;
  bool has_run = false;
};

class ReferenceBackend : public Backend {
 public:
  explicit ReferenceBackend(const ReferenceOptions& options)
      : options_(options), tickets_(options.pipeline_depth) {
    TTSRT_CHECK(ConfigError, options.pipeline_depth >= 1,
                "pipeline_depth: expected at least 1, got ", options.pipeline_depth);
    info_.device = "reference";
    info_.checks_drafts = true;
    info_.description = "reference: plain loops, one thread";
    info_.pipeline_depth = options.pipeline_depth;
    info_.takes_token_rules = true;
  }

  const BackendInfo& info() const override { return info_; }

  void create_state(const StateSpec& spec) override {
    TTSRT_CHECK(InternalError, !state_, "reference: the state exists already");
    state_.emplace(spec);
  }

  std::size_t state_bytes() const override { return state_ ? state_->bytes() : 0; }

  MemoryUse memory_use(const StateSpec& spec,
                       const std::vector<SizedProgram>& programs) const override {
    MemoryUse use = State::memory_use(spec);
    for (const SizedProgram& of : programs) {
      for (const Activation& activation : of.program->activations) {
        const bool is_row = activation.space == RowSpace::rows;
        use.activations += static_cast<std::size_t>(
            (is_row ? of.limits.max_rows : of.limits.max_draws) * activation.values());
      }
    }
    use.activations *= sizeof(float);
    return use;
  }

  std::unique_ptr<Executable> compile(const Program& program,
                                      const ProgramLimits& limits) override {
    num_programs_ = std::max(num_programs_, static_cast<std::size_t>(limits.index) + 1);
    check_program(program, state().spec());
    return std::make_unique<ReferenceExecutable>(program, limits, state().spec(), *this);
  }

  void reset_slot(const step::SlotReset& reset) override {
    check_reset(reset, state().spec());
    queue_.emplace_back(reset);
  }

  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) {
      check_copy(copy, state().spec());
      queue_.emplace_back(copy);
    }
  }

  void push(ReferenceExecutable& executable, const BatchNeeds& needs, const step::RowBatch& rows) {
    check_batch(rows, needs, state().spec());
    TTSRT_CHECK(InternalError, rows.draws.empty() || !has_draws_,
                "reference: a second launch with draws in one flight");
    has_draws_ |= !rows.draws.empty();
    queue_.emplace_back(std::pair{&executable, &rows});
  }

  void discard() override {
    queue_.clear();
    has_draws_ = false;
  }

  Ticket submit() override {
    const Ticket ticket = tickets_.give();
    Flight& flight = flights_.emplace_back();
    flight.commands = std::exchange(queue_, {});
    has_draws_ = false;
    if (options_.runs_at_submit) run(flight);
    return ticket;
  }

  void collect(Ticket ticket, step::StepOutput& output) override {
    tickets_.take(ticket);
    Flight flight = std::move(flights_.front());
    flights_.pop_front();
    if (!flight.has_run) run(flight);
    if (flight.failure) std::rethrow_exception(flight.failure);
    output = std::move(flight.output);
  }

 private:
  State& state() {
    TTSRT_CHECK(InternalError, state_.has_value(), "reference: create_state() comes first");
    return *state_;
  }

  void run(Flight& flight) {
    flight.has_run = true;
    flight.output.seconds.assign(num_programs_, 0.0);
    try {
      if (state_) state_->start_outcome(0);
      for (const Command& command : flight.commands) run(command, flight.output);
      if (state_) read_outcome(*state_, flight.output);
    } catch (...) {
      flight.failure = std::current_exception();
    }
  }

  void run(const Command& command, step::StepOutput& output) {
    if (const auto* reset = std::get_if<step::SlotReset>(&command)) {
      state().reset_slot(*reset);
    } else if (const auto* copy = std::get_if<step::BlockCopy>(&command)) {
      state().copy_block(*copy);
    } else {
      const auto& [executable, rows] = std::get<2>(command);
      executable->run(*rows, state(), output);
    }
  }

  static void read_outcome(const State& state, step::StepOutput& output) {
    const reference::Outcome& outcome = state.outcome;
    output.draws = outcome.draws;
    output.codes = outcome.sampled;
    output.max_text_len = state.spec().max_text_len;
    if (outcome.keeps_scores) output.scores = outcome.scores;
    if (!outcome.tells_logprobs) return;
    output.logprobs = outcome.logprobs;
    output.likeliest_ids = outcome.likeliest_ids;
    output.likeliest_logprobs = outcome.likeliest_logprobs;
  }

  ReferenceOptions options_;
  BackendInfo info_;
  std::optional<State> state_;
  std::size_t num_programs_ = 0;
  std::vector<Command> queue_;
  bool has_draws_ = false;      // whether a queued launch has draws
  std::deque<Flight> flights_;  // submitted, oldest first
  Tickets tickets_;
};

void ReferenceExecutable::launch(const step::RowBatch& rows) { backend_.push(*this, needs_, rows); }

}  // namespace

std::unique_ptr<Backend> make_reference_backend(const ReferenceOptions& options) {
  return std::make_unique<ReferenceBackend>(options);
}

}  // namespace ttsrt::ops
