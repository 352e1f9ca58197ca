#include "model/s3gen/encoder.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/s3gen/programs.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr float kEpsilon = 1e-5F;
constexpr float kInnerEpsilon = 1e-12F;  // of the norms inside the blocks
constexpr float kLookaheadSlope = 0.01F;

class EncoderWriter {
 public:
  EncoderWriter(const char* name, const Source& source, bool trace)
      : source_(source), config_(source.config), is_traced_(trace) {
    program_.name = name;
    program_.has_many_rows = true;
    x_ = program_.add("x", config_.dim);
    normed_ = program_.add("normed", config_.dim);
  }

  ops::Program tokens(std::int32_t max_tokens) {
    ops::EmbedRows embed;
    embed.out = normed_;
    embed.id_tables = {at("token_embedding")};
    program_.ops.emplace_back(std::move(embed));
    input("encoder.input");
    tap("encoder.embed");
    look_ahead();
    tap("encoder.lookahead");
    blocks("encoder.layers.", config_.layers, max_tokens);
    program_.ops.emplace_back(ops::SaveRows{x_, kTokenRows, 0});
    return std::move(program_);
  }

  ops::Program frames(std::int32_t max_frames) {
    program_.ops.emplace_back(ops::LoadRows{x_, kTokenRows, config_.upsampling});
    program_.ops.emplace_back(
        convolution(x_, normed_, "encoder.upsampling", 2 * config_.upsampling + 1));
    if (is_traced_) program_.ops.emplace_back(ops::JoinColumns{{normed_}, x_});
    tap("encoder.upsampled");
    input("encoder.up_input");
    tap("encoder.up_embed");
    blocks("encoder.up_layers.", config_.up_layers, max_frames);
    norm(x_, normed_, "encoder.norm_out", kEpsilon);
    const ops::BufferId encoded = program_.add("encoded", config_.mel_bins);
    linear(normed_, encoded, "encoder.output");
    program_.ops.emplace_back(ops::SaveRows{encoded, kEncodedRows, 0});
    if (!is_traced_) return std::move(program_);
    program_.taps.push_back({"encoder.norm_out", normed_});
    program_.taps.push_back({"encoder.output", encoded});
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return source_.at(name); }

  void linear(ops::BufferId x, ops::BufferId out, const std::string& name,
              ops::Activate activate = ops::Activate::none, bool accumulate = false) {
    program_.ops.emplace_back(
        ops::Linear{x, out, at(name), at(name + "_bias"), activate, accumulate});
  }
  void norm(ops::BufferId x, ops::BufferId out, const std::string& name, float epsilon) {
    program_.ops.emplace_back(
        ops::Norm{x, out, at(name), epsilon, ops::NormKind::layer, at(name + "_bias")});
  }
  ops::TimeConv convolution(ops::BufferId x, ops::BufferId out, const std::string& name,
                            std::int32_t kernel) const {
    ops::TimeConv conv;
    conv.x = x;
    conv.out = out;
    conv.weight = at(name);
    conv.bias = at(name + "_bias");
    conv.kernel = kernel;
    conv.before = kernel - 1;
    return conv;
  }

  // From the rows in normed_ to x_, by a product, a norm, and the root of the width.
  void input(const std::string& name) {
    linear(normed_, x_, name);
    norm(x_, normed_, name + "_norm", kEpsilon);
    ops::ActivateRows scaled;
    scaled.x = normed_;
    scaled.out = x_;
    scaled.scale = std::sqrt(static_cast<float>(config_.dim));
    program_.ops.emplace_back(scaled);
  }

  // Each row of x_ then knows `lookahead` tokens behind it, and two before.
  void look_ahead() {
    ops::TimeConv ahead = convolution(x_, normed_, "encoder.lookahead.0", config_.lookahead + 1);
    ahead.before = 0;
    program_.ops.emplace_back(std::move(ahead));
    ops::HalfSnake slope;
    slope.x = normed_;
    slope.out = normed_;
    slope.slope = kLookaheadSlope;
    program_.ops.emplace_back(std::move(slope));
    ops::TimeConv behind = convolution(normed_, x_, "encoder.lookahead.1", 3);
    behind.accumulate = true;
    program_.ops.emplace_back(std::move(behind));
  }

  // Of distances max_rows - 1 to -max_rows: sines in even columns, cosines in odd ones.
  ops::Weight distance_table(std::int32_t max_rows) {
    const auto width = static_cast<std::size_t>(config_.dim);
    std::vector<double> frequencies(width / 2);
    for (std::size_t c = 0; c < frequencies.size(); ++c)
      frequencies[c] = std::pow(10000.0, -2.0 * static_cast<double>(c) / config_.dim);
    auto values =
        std::make_shared<std::vector<float>>(2 * static_cast<std::size_t>(max_rows) * width);
    for (std::int32_t row = 0; row < 2 * max_rows; ++row) {
      float* to = values->data() + static_cast<std::size_t>(row) * width;
      for (std::size_t c = 0; c < frequencies.size(); ++c) {
        const double angle = (max_rows - 1 - row) * frequencies[c];
        to[2 * c] = static_cast<float>(std::sin(angle));
        to[2 * c + 1] = static_cast<float>(std::cos(angle));
      }
    }
    ops::Weight table;
    table.name = "distances";
    table.rows = std::int64_t{2} * max_rows;
    table.cols = config_.dim;
    table.data = reinterpret_cast<const std::byte*>(values->data());
    program_.constants.push_back(std::move(values));
    return table;
  }

  void blocks(const std::string& name, std::int32_t layers, std::int32_t max_rows) {
    qkv_ = program_.add("qkv", 3 * std::int64_t{config_.dim});
    attended_ = program_.add("attended", config_.dim);
    hidden_ = program_.add("hidden", config_.ffn_dim);
    distances_ = program_.add("distances", config_.dim, ops::RowSpace::rows, 2);
    projected_ = program_.add("projected distances", config_.dim, ops::RowSpace::rows, 2);
    program_.ops.emplace_back(ops::DistanceRows{distances_, distance_table(max_rows)});
    for (std::int32_t layer = 0; layer < layers; ++layer) {
      program_.end_part();
      attention(name + std::to_string(layer) + ".");
      feed_forward(name + std::to_string(layer) + ".");
      tap(name + std::to_string(layer));
    }
    program_.end_part();
  }

  // The distances' vectors are a product of the weights alone, which is a sixth of a block's work
  // and a fiftieth of a request's: a table of them for all layers takes 72 MB for 50 seconds.
  void attention(const std::string& name) {
    ops::TimeConv project;
    project.x = distances_;
    project.out = projected_;
    project.weight = at(name + "distance");
    program_.ops.emplace_back(std::move(project));
    norm(x_, normed_, name + "self_norm", kInnerEpsilon);
    linear(normed_, qkv_, name + "self_qkv");
    program_.ops.emplace_back(ops::RelativeAttention{
        qkv_, projected_, attended_, at(name + "content_offset"), at(name + "distance_offset"),
        config_.heads, config_.dim / config_.heads});
    linear(attended_, x_, name + "self_out", ops::Activate::none, true);
  }

  void feed_forward(const std::string& name) {
    norm(x_, normed_, name + "ffn_norm", kInnerEpsilon);
    linear(normed_, hidden_, name + "ffn_in", ops::Activate::silu);
    linear(hidden_, x_, name + "ffn_out", ops::Activate::none, true);
  }

  // A copy of x_ that nothing overwrites.
  void tap(const std::string& name) {
    if (!is_traced_) return;
    const ops::BufferId copy = program_.add(name, config_.dim);
    program_.ops.emplace_back(ops::JoinColumns{{x_}, copy});
    program_.taps.push_back({name, copy});
  }

  const Source source_;
  const Config& config_;
  bool is_traced_;
  ops::Program program_;
  ops::BufferId x_, normed_;
  ops::BufferId qkv_ = ops::kNoBuffer;
  ops::BufferId attended_ = ops::kNoBuffer;
  ops::BufferId hidden_ = ops::kNoBuffer;
  ops::BufferId distances_ = ops::kNoBuffer;
  ops::BufferId projected_ = ops::kNoBuffer;
};

}  // namespace

ops::Program write_encode(const Source& source, std::int32_t max_tokens, bool trace) {
  return EncoderWriter("encode", source, trace).tokens(max_tokens);
}

ops::Program write_encode_frames(const Source& source, std::int32_t max_frames, bool trace) {
  return EncoderWriter("encode_frames", source, trace).frames(max_frames);
}

}  // namespace ttsrt::model::s3gen
