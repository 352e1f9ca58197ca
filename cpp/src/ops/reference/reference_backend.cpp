#include "ops/reference/reference_backend.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <variant>

#include "core/check.h"
#include "ops/reference/run.h"
#include "ops/reference/state.h"

namespace ttsrt::ops {
namespace {

using reference::Run;
using reference::State;

class ReferenceExecutable : public Executable {
 public:
  ReferenceExecutable(Program program, const ProgramLimits& limits, State& state)
      : program_(std::move(program)), limits_(limits), state_(state) {
    for (const Activation& activation : program_.activations) {
      const std::int64_t rows =
          activation.space == RowSpace::rows ? limits.max_rows : limits.max_draws;
      activations_.emplace_back(static_cast<std::size_t>(rows * activation.width), NAN);
    }
  }

  void launch(const step::RowBatch& rows) override {
    TTSRT_CHECK(InternalError, rows.rows <= limits_.max_rows, program_.name, ": expected at most ",
                limits_.max_rows, " rows, got ", rows.rows);
    TTSRT_CHECK(InternalError, static_cast<std::int32_t>(rows.draws.size()) <= limits_.max_draws,
                program_.name, ": expected at most ", limits_.max_draws, " draws, got ",
                rows.draws.size());
    reference::check_batch(rows, state_.spec());
    const auto begin = std::chrono::steady_clock::now();
    if (rows.first_part == 0) {
      for (auto& values : activations_) std::fill(values.begin(), values.end(), NAN);
    }
    if (!rows.draws.empty()) state_.start_outcome(rows.draws.size());
    Run at{program_, rows, state_, activations_};
    for (std::size_t i = op_at(rows.first_part); i < op_at(rows.last_part); ++i) {
      std::visit([&at](const auto& record) { reference::run(record, at); }, program_.ops[i]);
    }
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  double seconds() const override { return seconds_; }

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
  // First op of a part, or the end.
  std::size_t op_at(std::int32_t part) const {
    if (part == 0) return 0;
    if (part >= program_.num_parts()) return program_.ops.size();
    return static_cast<std::size_t>(program_.part_begins[static_cast<std::size_t>(part) - 1]);
  }

  Program program_;
  ProgramLimits limits_;
  State& state_;
  std::vector<std::vector<float>> activations_;
  double seconds_ = 0.0;
};

class ReferenceBackend : public Backend {
 public:
  const BackendInfo& info() const override { return info_; }

  void create_state(const StateSpec& spec) override {
    TTSRT_CHECK(InternalError, !state_, "reference: the state exists already");
    state_.emplace(spec);
  }

  std::size_t state_bytes() const override { return state_ ? state_->bytes() : 0; }

  std::unique_ptr<Executable> compile(const Program& program,
                                      const ProgramLimits& limits) override {
    return std::make_unique<ReferenceExecutable>(program, limits, state());
  }

  void admit(const step::Admission& admission) override { state().admit(admission); }

  void copy_blocks(const std::vector<step::BlockCopy>& copies) override {
    for (const step::BlockCopy& copy : copies) state().copy_block(copy);
  }

  void discard() override {}  // what is launched has run

  void wait() override {}

  void read_draws(step::StepOutput& output) const override {
    TTSRT_CHECK(InternalError, state_.has_value(), "reference: no state");
    const reference::Outcome& outcome = state_->outcome;
    output.draws = outcome.draws;
    output.codes = outcome.sampled;
    output.max_text_len = state_->spec().max_text_len;
    output.scores.clear();
    if (outcome.keeps_scores) output.scores = outcome.scores;
  }

  MachinePeaks measure_peaks(double) override {
    throw ConfigError("peaks: device \"reference\" has none, its loops are plain");
  }
  double measure_read(std::int64_t, double) override {
    throw ConfigError("peaks: device \"reference\" has none, its loops are plain");
  }

 private:
  State& state() {
    TTSRT_CHECK(InternalError, state_.has_value(), "reference: create_state() comes first");
    return *state_;
  }

  BackendInfo info_{"reference", "reference: plain loops, one thread"};
  std::optional<State> state_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace ttsrt::ops
