#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "backends.h"
#include "bench/op_case.h"
#include "bench/op_options.h"
#include "core/check.h"
#include "core/process.h"
#include "core/quote.h"

namespace ttsrt {
namespace {

using bench::CaseOptions;
using bench::OpCase;

constexpr std::int64_t kMaxIterations = 1000000;
constexpr std::int32_t kMaxCheckedRows = 32;

struct Family {
  const char* name;
  bench::MakeCase make;
  std::int32_t max_checked_rows;  // the reference is slow
};

constexpr Family kFamilies[] = {
    {"linear", bench::make_linear, kMaxCheckedRows},
    {"norm_linear", bench::make_norm_linear, kMaxCheckedRows},
    {"layer_norm", bench::make_layer_norm, kMaxCheckedRows},
    {"embed_rows", bench::make_embed_rows, kMaxCheckedRows},
    {"time_conv", bench::make_time_conv, kMaxCheckedRows},
    {"self_attention", bench::make_self_attention, 8},
    {"cross_attention", bench::make_cross_attention, 8},
    {"sample_codes", bench::make_sample_codes, 8},
    {"pick_codes", bench::make_pick_codes, 2},
};

const Family& family_of(const std::string& name) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  throw ConfigError(message("family: expected one of ", known, ", got ", in_quotes(name)));
}

// A case on a device, with its state filled and its Program compiled.
class Prepared {
 public:
  Prepared(const std::string& device, std::int32_t num_threads, std::unique_ptr<OpCase> made)
      : case_(std::move(made)), backend_(open_backend(device, num_threads)) {
    backend_->create_state(case_->state);
    for (const step::SlotReset& reset : case_->resets) backend_->reset_slot(reset);
    run_queued();
    for (const bench::Fill& fill : case_->fills) {
      std::int32_t rows = 1;
      for (const step::RowBatch& batch : fill.batches) rows = std::max(rows, batch.rows);
      const auto executable = backend_->compile(fill.program, {rows, 0, false});
      for (const step::RowBatch& batch : fill.batches) {
        executable->launch(batch);
        run_queued();
      }
    }
    backend_->copy_blocks(case_->copies);
    run_queued();
    const auto draws = static_cast<std::int32_t>(case_->batch.draws.size());
    executable_ = backend_->compile(case_->program, {case_->batch.rows, draws, false});
  }

  void run(std::int64_t iterations) {
    std::atomic<bool> is_stopped{false};
    run(iterations, is_stopped);
  }

  // Ends after the iteration in which `is_stopped` becomes true, and takes it back.
  void run(std::int64_t iterations, std::atomic<bool>& is_stopped) {
    for (std::int64_t i = 0; i < iterations; ++i) {
      executable_->launch(case_->batch);
      run_queued();
      if (is_stopped.load(std::memory_order_relaxed)) {
        is_stopped = false;
        return;
      }
    }
  }

  std::vector<float> result() const {
    const ops::Activation& activation =
        case_->program.activations[static_cast<std::size_t>(case_->result)];
    const std::int64_t rows = activation.space == ops::RowSpace::rows
                                  ? case_->batch.rows
                                  : static_cast<std::int64_t>(case_->batch.draws.size());
    const float* values = executable_->activation(case_->result);
    return std::vector<float>(values, values + rows * activation.width);
  }

  const std::vector<std::int32_t>& codes() const { return output_.codes; }

  const OpCase& made() const { return *case_; }
  std::string description() const { return backend_->info().description; }

 private:
  void run_queued() { backend_->collect(backend_->submit(), output_); }

  std::unique_ptr<OpCase> case_;  // outlives the executable, which uses its weights
  std::unique_ptr<ops::Backend> backend_;
  std::unique_ptr<ops::Executable> executable_;
  step::StepOutput output_;  // of the last flight
};

// Returns options for a check that is small enough for the reference.
CaseOptions checked_options(const OpBenchOptions& options, const Family& family) {
  CaseOptions chosen{options, true};
  chosen.rows = std::min(options.rows, family.max_checked_rows);
  if (options.family == "pick_codes") {
    chosen.codebooks = std::min(options.codebooks, 3);
    chosen.layers = 1;
  }
  return chosen;
}

std::unique_ptr<OpCase> make_case(const OpBenchOptions& options) {
  bench::check_options(options);
  return family_of(options.family).make({options, false});
}

}  // namespace

std::vector<std::string> op_bench_families() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  return names;
}

struct OpBench::Impl {
  explicit Impl(const OpBenchOptions& chosen)
      : options(chosen), prepared(chosen.device, chosen.num_threads, make_case(chosen)) {}

  const HomeProcess home;
  OpBenchOptions options;
  Prepared prepared;
  std::atomic<bool> is_stopped{false};
};

OpBench::OpBench(const OpBenchOptions& options) : impl_(std::make_unique<Impl>(options)) {}
OpBench::~OpBench() = default;
OpBench::OpBench(OpBench&&) noexcept = default;
OpBench& OpBench::operator=(OpBench&&) noexcept = default;

double OpBench::run(std::int64_t iterations) {
  TTSRT_CHECK(ConfigError, iterations >= 1 && iterations <= kMaxIterations,
              "iterations: expected 1 to ", kMaxIterations, ", got ", iterations);
  impl_->home.check("run", "OpBench");
  const auto begin = std::chrono::steady_clock::now();
  impl_->prepared.run(iterations, impl_->is_stopped);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void OpBench::stop() { impl_->is_stopped = true; }

double OpBench::check() {
  impl_->home.check("check", "OpBench");
  const OpBenchOptions& options = impl_->options;
  const Family& family = family_of(options.family);
  const CaseOptions checked = checked_options(options, family);
  Prepared device(options.device, options.num_threads, family.make(checked));
  Prepared oracle("reference", 0, family.make(checked));
  device.run(2);  // the second step has a prior
  oracle.run(2);
  if (device.codes() != oracle.codes()) return 1.0;
  const std::vector<float> got = device.result();
  const std::vector<float> expected = oracle.result();
  float largest = 0.0F;
  float off = 0.0F;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float difference = std::fabs(got[i] - expected[i]);
    if (!std::isfinite(difference)) return 1.0;
    largest = std::max(largest, std::fabs(expected[i]));
    off = std::max(off, difference);
  }
  return static_cast<double>(off) / std::max(static_cast<double>(largest), 1e-30);
}

const OpBenchOptions& OpBench::options() const { return impl_->options; }
std::int32_t OpBench::num_ops() const { return impl_->prepared.made().num_ops; }
std::int64_t OpBench::bytes() const { return impl_->prepared.made().bytes; }
std::int64_t OpBench::operations() const { return impl_->prepared.made().operations; }
std::string OpBench::description() const { return impl_->prepared.description(); }

}  // namespace ttsrt
