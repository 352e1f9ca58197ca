#include "model/s3gen/estimator.h"

#include <string>
#include <utility>
#include <vector>

#include "model/s3gen/programs.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr float kEpsilon = 1e-5F;
constexpr std::int32_t kTaps = 3;
constexpr std::int32_t kEveryRow = 1 << 30;  // reads the first row of an array

std::string stage_name(std::int32_t stage) { return "flow.stages." + std::to_string(stage) + "."; }

// From the features of times to what each stage adds.
class ScheduleWriter {
 public:
  explicit ScheduleWriter(const Source& source) : source_(source), config_(source.config) {
    program_.name = "schedule";
  }

  ops::Program write(bool trace) {
    const ops::BufferId time = config_.is_meanflow ? both_times() : one_time();
    if (trace) {
      const ops::BufferId kept = program_.add("time", config_.estimator.time_dim);
      program_.ops.emplace_back(ops::JoinColumns{{time}, kept});
      program_.taps.push_back({"flow.time", kept});
    }
    activate(time, ops::Activate::mish);
    std::vector<ops::BufferId> parts;
    for (std::int32_t stage = 0; stage < config_.estimator.stages(); ++stage) {
      const std::string name = stage_name(stage) + "time";
      parts.push_back(program_.add(name, config_.estimator.dim));
      program_.ops.emplace_back(
          ops::Linear{time, parts.back(), source_.at(name), source_.at(name + "_bias")});
    }
    const ops::BufferId rows = program_.add("schedule", config_.schedule_width());
    program_.ops.emplace_back(ops::JoinColumns{std::move(parts), rows});
    program_.ops.emplace_back(ops::StoreSchedule{rows});
    return std::move(program_);
  }

 private:
  ops::BufferId features(std::int64_t width) {
    ops::EmbedRows embed;
    embed.out = program_.add("time features", width);
    program_.ops.emplace_back(embed);
    return embed.out;
  }

  void activate(ops::BufferId x, ops::Activate activate) {
    ops::ActivateRows op;
    op.x = x;
    op.out = x;
    op.activate = activate;
    program_.ops.emplace_back(op);
  }

  ops::BufferId one_time() {
    const ops::BufferId in = features(config_.time_width());
    const ops::BufferId hidden = program_.add("hidden", config_.estimator.time_dim);
    const ops::BufferId out = program_.add("time", config_.estimator.time_dim);
    program_.ops.emplace_back(ops::Linear{in, hidden, source_.at("flow.time.in"),
                                          source_.at("flow.time.in_bias"), ops::Activate::silu});
    program_.ops.emplace_back(
        ops::Linear{hidden, out, source_.at("flow.time.out"), source_.at("flow.time.out_bias")});
    return out;
  }

  // One product for both halves of a row, each read as a row of its own.
  ops::BufferId multiply_halves(ops::BufferId x, std::int64_t inputs, const std::string& name) {
    const std::int64_t outputs = config_.estimator.time_dim;
    const ops::BufferId halves = program_.add("halves", inputs, ops::RowSpace::rows, 2);
    const ops::BufferId products = program_.add("products", outputs, ops::RowSpace::rows, 2);
    const ops::BufferId out = program_.add("both", 2 * outputs);
    program_.ops.emplace_back(ops::SplitRows{x, halves});
    ops::TimeConv product;
    product.x = halves;
    product.out = products;
    product.weight = source_.at(name);
    product.bias = source_.at(name + "_bias");
    program_.ops.emplace_back(std::move(product));
    program_.ops.emplace_back(ops::SplitRows{products, out});
    return out;
  }

  ops::BufferId both_times() {
    const std::int32_t dim = config_.estimator.time_dim;
    ops::BufferId both = features(std::int64_t{2} * config_.time_width());
    both = multiply_halves(both, config_.time_width(), "flow.time.in");
    activate(both, ops::Activate::silu);
    both = multiply_halves(both, dim, "flow.time.out");
    const ops::BufferId mixed = program_.add("time", dim);
    program_.ops.emplace_back(ops::Linear{both, mixed, source_.at("flow.time.mixer"), {}});
    return mixed;
  }

  const Source source_;
  const Config& config_;
  ops::Program program_;
};

class FlowWriter {
 public:
  FlowWriter(const Source& source, bool trace)
      : source_(source),
        config_(source.config),
        inner_(source.config.estimator),
        is_traced_(trace) {
    program_.name = "flow";
    program_.has_many_rows = true;
    const std::int32_t dim = inner_.dim;
    x_ = program_.add("x", dim);
    other_ = program_.add("other", dim);
    skip_ = program_.add("skip", dim);
    joined_ = program_.add("joined", std::int64_t{2} * dim);
    between_ = program_.add("between", dim);
    convolved_ = program_.add("convolved", dim);
    normed_ = program_.add("normed", dim);
    qkv_ = program_.add("qkv", std::int64_t{3} * inner_.attention_width());
    attended_ = program_.add("attended", inner_.attention_width());
    hidden_ = program_.add("hidden", inner_.ffn_dim);
  }

  ops::Program write() {
    const std::int32_t last = inner_.mid_stages + 1;
    stage(0, input(), skip_);
    program_.ops.emplace_back(convolution(skip_, x_, "flow.down"));
    for (std::int32_t index = 1; index < last; ++index) {
      program_.end_part();
      stage(index, x_, other_);
      std::swap(x_, other_);
    }
    program_.end_part();
    program_.ops.emplace_back(ops::JoinColumns{{x_, skip_}, joined_});
    stage(last, joined_, other_);
    program_.end_part();
    output(other_);
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return source_.at(name); }

  ops::BufferId input() {
    const std::int32_t bins = config_.mel_bins;
    const ops::BufferId state = program_.add("state", bins);
    const ops::BufferId encoded = program_.add("encoded", bins);
    const ops::BufferId speaker = program_.add("speaker", bins);
    const ops::BufferId prompt = program_.add("prompt", bins);
    const ops::BufferId all = program_.add("input", config_.input_width());
    ops::EmbedRows embed;
    embed.out = state;
    program_.ops.emplace_back(embed);
    program_.ops.emplace_back(ops::LoadRows{encoded, kEncodedRows});
    program_.ops.emplace_back(ops::LoadRows{speaker, kSpeakerRow, kEveryRow});
    program_.ops.emplace_back(ops::LoadRows{prompt, kPromptRows});
    program_.ops.emplace_back(ops::JoinColumns{{state, encoded, speaker, prompt}, all});
    return all;
  }

  ops::TimeConv convolution(ops::BufferId x, ops::BufferId out, const std::string& name) const {
    ops::TimeConv conv;
    conv.x = x;
    conv.out = out;
    conv.weight = at(name);
    conv.bias = at(name + "_bias");
    conv.kernel = kTaps;
    conv.before = kTaps - 1;
    return conv;
  }

  void norm(ops::BufferId x, const std::string& name) {
    program_.ops.emplace_back(
        ops::Norm{x, normed_, at(name), kEpsilon, ops::NormKind::layer, at(name + "_bias")});
  }

  // A causal convolution, a norm and Mish, and then what the schedule adds from column `shift` on.
  void block(ops::BufferId x, ops::BufferId out, const std::string& name, std::int32_t shift = -1) {
    program_.ops.emplace_back(convolution(x, convolved_, name));
    norm(convolved_, name + "_norm");
    ops::ActivateRows mish;
    mish.x = normed_;
    mish.out = out;
    mish.activate = ops::Activate::mish;
    mish.shift = shift;
    program_.ops.emplace_back(mish);
  }

  void stage(std::int32_t index, ops::BufferId x, ops::BufferId out) {
    const std::string name = stage_name(index);
    block(x, between_, name + "in", index * inner_.dim);
    block(between_, out, name + "out");
    program_.ops.emplace_back(
        ops::Linear{x, out, at(name + "skip"), at(name + "skip_bias"), ops::Activate::none, true});
    tap(name + "residual", out);
    for (std::int32_t layer = 0; layer < inner_.layers; ++layer) {
      const std::string of = name + "layers." + std::to_string(layer) + ".";
      attention(out, of);
      feed_forward(out, of);
      tap(name + "layers." + std::to_string(layer), out);
    }
  }

  void attention(ops::BufferId x, const std::string& name) {
    norm(x, name + "self_norm");
    program_.ops.emplace_back(ops::Linear{normed_, qkv_, at(name + "self_qkv"), {}});
    ops::SelfAttention attention;
    attention.qkv = qkv_;
    attention.out = attended_;
    attention.heads = inner_.heads;
    attention.head_dim = inner_.head_dim;
    attention.causal = false;
    // Keys and values are rounded to the build's type, but not to float16: they may exceed its
    // range.
    const DType build = at("flow.down").dtype;
    attention.segment_dtype = build == DType::float16 ? DType::float32 : build;
    program_.ops.emplace_back(std::move(attention));
    program_.ops.emplace_back(ops::Linear{attended_, x, at(name + "self_out"),
                                          at(name + "self_out_bias"), ops::Activate::none, true});
  }

  void feed_forward(ops::BufferId x, const std::string& name) {
    norm(x, name + "ffn_norm");
    program_.ops.emplace_back(ops::Linear{normed_, hidden_, at(name + "ffn_in"),
                                          at(name + "ffn_in_bias"), ops::Activate::gelu});
    program_.ops.emplace_back(ops::Linear{hidden_, x, at(name + "ffn_out"),
                                          at(name + "ffn_out_bias"), ops::Activate::none, true});
  }

  void output(ops::BufferId x) {
    const ops::BufferId velocity = program_.add("velocity", config_.mel_bins);
    program_.ops.emplace_back(convolution(x, between_, "flow.up"));
    block(between_, x, "flow.final");
    program_.ops.emplace_back(ops::Linear{x, velocity, at("flow.output"), at("flow.output_bias")});
    program_.ops.emplace_back(ops::FlowStep{velocity, kBaseRows, -1, -1});
    if (!is_traced_) return;
    tap("flow.final", x);
    program_.taps.push_back({"flow.velocity", velocity});
  }

  // A copy that nothing overwrites.
  void tap(const std::string& name, ops::BufferId x) {
    if (!is_traced_) return;
    const ops::BufferId copy = program_.add(name, inner_.dim);
    program_.ops.emplace_back(ops::JoinColumns{{x}, copy});
    program_.taps.push_back({name, copy});
  }

  const Source source_;
  const Config& config_;
  const Estimator& inner_;
  bool is_traced_;
  ops::Program program_;
  ops::BufferId x_, other_, skip_, joined_;
  ops::BufferId between_;  // the two convolutions of a stage
  ops::BufferId convolved_, normed_, qkv_, attended_, hidden_;
};

}  // namespace

ops::Program write_schedule(const Source& source, bool trace) {
  return ScheduleWriter(source).write(trace);
}

ops::Program write_flow(const Source& source, bool trace) {
  return FlowWriter(source, trace).write();
}

}  // namespace ttsrt::model::s3gen
