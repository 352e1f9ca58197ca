// Every tensor of the flow. What goes into the networks and what comes out of them is float32
// whatever the build's type, as is what becomes of times: little of the time is spent there.
// Convolutions are floats: they are never quantized.
#include <string>
#include <vector>

#include "model/hift/vocoder.h"
#include "model/s3gen/programs.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr Precision kExact = Precision::float32;
constexpr std::int64_t kTaps = 3;

class Declaring {
 public:
  Declaring(Manifest& manifest, const std::string& prefix, const Config& config)
      : manifest_(manifest), prefix_(prefix), config_(config) {}

  void run() {
    encoder();
    manifest_.begin("flow");
    times();
    for (std::int32_t stage = 0; stage < config_.estimator.stages(); ++stage) add_stage(stage);
    const std::int64_t dim = config_.estimator.dim;
    for (const char* name : {"flow.down", "flow.up", "flow.final"})
      convolution(name, dim, dim, kTaps);
    norm("flow.final_norm", dim);
    linear("flow.output", config_.mel_bins, dim, kExact);
    if (config_.vocoder) hift::declare(manifest_, prefix_ + "vocoder.", *config_.vocoder);
  }

 private:
  void add(Role role, const std::string& name, const std::vector<std::int64_t>& shape,
           Precision precision = Precision::any) {
    manifest_.add(role, prefix_ + name, shape, precision);
  }
  void linear(const std::string& name, std::int64_t outputs, std::int64_t inputs,
              Precision precision = Precision::any) {
    add(Role::matrix, name, {outputs, inputs}, precision);
    add(Role::vector, name + "_bias", {outputs});
  }
  void convolution(const std::string& name, std::int64_t outputs, std::int64_t inputs,
                   std::int64_t taps, Precision precision = Precision::floats) {
    add(Role::convolution, name, {outputs, inputs, taps}, precision);
    add(Role::vector, name + "_bias", {outputs});
  }
  void norm(const std::string& name, std::int64_t dim) {
    add(Role::vector, name, {dim});
    add(Role::vector, name + "_bias", {dim});
  }

  void encoder() {
    const std::int64_t dim = config_.dim;
    manifest_.begin("encoder");
    add(Role::table, "token_embedding", {config_.vocab, dim});
    linear("speaker", config_.mel_bins, config_.speaker_dim, kExact);
    for (const char* name : {"encoder.input", "encoder.up_input"}) {
      linear(name, dim, dim);
      norm(std::string(name) + "_norm", dim);
    }
    convolution("encoder.lookahead.0", dim, dim, config_.lookahead + 1);
    convolution("encoder.lookahead.1", dim, dim, kTaps);
    convolution("encoder.upsampling", dim, dim, 2 * config_.upsampling + 1);
    for (std::int32_t layer = 0; layer < config_.layers; ++layer)
      block("encoder.layers." + std::to_string(layer) + ".");
    for (std::int32_t layer = 0; layer < config_.up_layers; ++layer)
      block("encoder.up_layers." + std::to_string(layer) + ".");
    norm("encoder.norm_out", dim);
    linear("encoder.output", config_.mel_bins, dim, kExact);
  }

  void block(const std::string& name) {
    const std::int64_t dim = config_.dim;
    norm(name + "self_norm", dim);
    linear(name + "self_qkv", 3 * dim, dim);
    linear(name + "self_out", dim, dim);
    add(Role::matrix, name + "distance", {dim, dim}, Precision::floats);
    add(Role::vector, name + "content_offset", {dim});
    add(Role::vector, name + "distance_offset", {dim});
    norm(name + "ffn_norm", dim);
    linear(name + "ffn_in", config_.ffn_dim, dim);
    linear(name + "ffn_out", dim, config_.ffn_dim);
  }

  void times() {
    const std::int64_t time = config_.estimator.time_dim;
    linear("flow.time.in", time, config_.time_width(), kExact);
    linear("flow.time.out", time, time, kExact);
    if (config_.is_meanflow) add(Role::matrix, "flow.time.mixer", {time, 2 * time}, kExact);
  }

  void add_stage(std::int32_t stage) {
    const Estimator& inner = config_.estimator;
    const std::int64_t dim = inner.dim;
    const bool is_first = stage == 0;
    const bool is_last = stage + 1 == inner.stages();
    const std::int64_t inputs = is_first ? config_.input_width() : is_last ? 2 * dim : dim;
    const std::string name = "flow.stages." + std::to_string(stage) + ".";
    convolution(name + "in", dim, inputs, kTaps, is_first ? kExact : Precision::floats);
    norm(name + "in_norm", dim);
    convolution(name + "out", dim, dim, kTaps);
    norm(name + "out_norm", dim);
    linear(name + "time", dim, inner.time_dim, kExact);
    linear(name + "skip", dim, inputs, is_first ? kExact : Precision::any);
    for (std::int32_t layer = 0; layer < inner.layers; ++layer) {
      const std::string of = name + "layers." + std::to_string(layer) + ".";
      const std::int64_t width = inner.attention_width();
      norm(of + "self_norm", dim);
      add(Role::matrix, of + "self_qkv", {3 * width, dim});
      linear(of + "self_out", dim, width);
      norm(of + "ffn_norm", dim);
      linear(of + "ffn_in", inner.ffn_dim, dim);
      linear(of + "ffn_out", dim, inner.ffn_dim);
    }
  }

  Manifest& manifest_;
  const std::string& prefix_;
  const Config& config_;
};

}  // namespace

void declare(Manifest& manifest, const std::string& prefix, const Config& config) {
  Declaring(manifest, prefix, config).run();
}

}  // namespace ttsrt::model::s3gen
