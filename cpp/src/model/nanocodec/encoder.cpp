#include "model/nanocodec/encoder.h"

#include <string>
#include <utility>

#include "model/nanocodec/names.h"
#include "model/nanocodec/residual.h"
#include "ops/program.h"

namespace ttsrt::model::nanocodec {
namespace {

constexpr const char* kHalf = "encoder";

class EncoderWriter {
 public:
  EncoderWriter(const Weights& weights, const Config& config, bool trace)
      : weights_(weights),
        encoder_(*config.encoder),
        config_(config),
        trace_(trace),
        rate_(config.samples_per_frame) {
    program_.name = "encode_sound";
  }

  ops::Program write() {
    const ops::BufferId frames = program_.add("frames", config_.samples_per_frame);
    ops::EmbedRows embed;
    embed.out = frames;
    program_.ops.emplace_back(embed);
    const ops::BufferId samples = add("samples", 1);
    program_.ops.emplace_back(ops::SplitRows{frames, samples});
    ops::BufferId x = add("pre", encoder_.base_channels);
    program_.ops.emplace_back(convolution(samples, x, "encoder.pre", encoder_.pre_kernel));
    tap("codec.encoder.pre", x);
    for (std::int32_t stage = 0; stage < encoder_.stages(); ++stage) x = write_stage(x, stage);
    x = activated(x);
    const ops::BufferId latent = add("latent", config_.quantizer.latent());
    program_.ops.emplace_back(convolution(x, latent, "encoder.post", encoder_.post_kernel));
    tap("codec.encoder.latent", latent);
    const ops::BufferId codes = add("codes", config_.quantizer.groups);
    program_.ops.emplace_back(ops::QuantizeRows{latent, codes, config_.quantizer.levels});
    program_.ops.emplace_back(ops::EmitRows{codes});
    return std::move(program_);
  }

 private:
  // A buffer with the rate that rows have by now.
  ops::BufferId add(const std::string& name, std::int64_t width) {
    return program_.add(name, width, ops::RowSpace::rows, rate_);
  }

  void tap(const std::string& name, ops::BufferId buffer) {
    if (trace_) program_.taps.push_back({name, buffer});
  }

  ops::TimeConv convolution(ops::BufferId x, ops::BufferId out, const std::string& name,
                            std::int32_t kernel, std::int32_t dilation = 1) {
    ops::TimeConv conv;
    conv.x = x;
    conv.out = out;
    conv.weight = weights_.at(name);
    conv.bias = weights_.at(name + "_bias");
    conv.kernel = kernel;
    conv.dilation = dilation;
    conv.before = (kernel - 1) * dilation / 2;
    conv.padding = ops::Padding::replicate;
    return conv;
  }

  // Leaky ReLU, where x is, unless a trace shall see it as it was.
  ops::BufferId activated(ops::BufferId x) {
    const ops::Activation of = program_.activations[static_cast<std::size_t>(x)];
    const ops::BufferId out =
        trace_ ? program_.add(of.name + ".activated", of.width, ops::RowSpace::rows, of.rate) : x;
    program_.ops.emplace_back(ops::HalfSnake{x, out});
    return out;
  }

  ops::BufferId write_stage(ops::BufferId x, std::int32_t stage) {
    const std::string name = stage_name(kHalf, stage);
    const std::string number = std::to_string(stage);
    const std::int32_t channels = encoder_channels(encoder_, stage);
    sum_ = add("sum." + number, channels);
    chain_ = add("chain." + number, channels);
    activated_ = add("activated." + number, channels);
    hidden_ = add("hidden." + number, channels);
    for (std::size_t chain = 0; chain < encoder_.kernels.size(); ++chain)
      write_chain(x, name, chain);
    tap("codec.encoder.stage." + number, sum_);
    const ops::BufferId activated_sum = activated(sum_);
    const std::int32_t factor = encoder_.rates[static_cast<std::size_t>(stage)];
    rate_ /= factor;
    const ops::BufferId down = add("down." + number, encoder_channels(encoder_, stage + 1));
    ops::TimeConv conv = convolution(activated_sum, down, name + "down", 2 * factor);
    conv.stride = factor;
    conv.before = (factor + 1) / 2;
    program_.ops.emplace_back(std::move(conv));
    tap("codec.encoder.down." + number, down);
    return down;
  }

  // Adds its share of the mean over the chains of a stage.
  void write_chain(ops::BufferId x, const std::string& stage, std::size_t chain) {
    program_.end_part();
    const std::int32_t kernel = encoder_.kernels[chain];
    for (std::size_t block = 0; block < encoder_.dilations.size(); ++block) {
      const std::string name = block_name(stage, chain, block);
      program_.ops.emplace_back(ops::HalfSnake{x, activated_});
      program_.ops.emplace_back(
          convolution(activated_, hidden_, name + "in", kernel, encoder_.dilations[block]));
      program_.ops.emplace_back(ops::HalfSnake{hidden_, hidden_});
      const bool is_last = block + 1 == encoder_.dilations.size();
      ops::TimeConv out = convolution(hidden_, is_last ? sum_ : chain_, name + "out", kernel);
      add_residual(out, x, encoder_, chain, block);
      program_.ops.emplace_back(std::move(out));
      x = chain_;
    }
  }

  const Weights& weights_;
  const HalfConfig& encoder_;
  const Config& config_;
  const bool trace_;
  std::int32_t rate_;
  ops::Program program_;
  ops::BufferId sum_ = ops::kNoBuffer;
  ops::BufferId chain_ = ops::kNoBuffer;
  ops::BufferId activated_ = ops::kNoBuffer;
  ops::BufferId hidden_ = ops::kNoBuffer;
};

}  // namespace

void declare_encoder(Manifest& manifest, const HalfConfig& encoder, const Config& config) {
  manifest.begin("encoder");
  declare_convolution(manifest, "encoder.pre", encoder.base_channels, 1, encoder.pre_kernel);
  for (std::int32_t stage = 0; stage < encoder.stages(); ++stage) {
    const std::string name = stage_name(kHalf, stage);
    const std::int64_t channels = encoder_channels(encoder, stage);
    for (std::size_t chain = 0; chain < encoder.kernels.size(); ++chain) {
      const std::int64_t kernel = encoder.kernels[chain];
      for (std::size_t block = 0; block < encoder.dilations.size(); ++block) {
        const std::string of = block_name(name, chain, block);
        declare_convolution(manifest, of + "in", channels, channels, kernel);
        declare_convolution(manifest, of + "out", channels, channels, kernel);
      }
    }
    const std::int64_t taps = std::int64_t{2} * encoder.rates[static_cast<std::size_t>(stage)];
    declare_convolution(manifest, name + "down", 2 * channels, channels, taps);
  }
  declare_convolution(manifest, "encoder.post", config.quantizer.latent(),
                      encoder_channels(encoder, encoder.stages()), encoder.post_kernel);
}

FamilyProgram write_encoder(const Weights& weights, const Config& config, std::int32_t max_rows,
                            bool trace) {
  return {"encode_sound",
          step::Pace::whole,
          EncoderWriter(weights, config, trace).write(),
          max_rows,
          0,
          step::Emits::codes};
}

}  // namespace ttsrt::model::nanocodec
