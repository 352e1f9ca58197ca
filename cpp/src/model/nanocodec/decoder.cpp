#include "model/nanocodec/decoder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "model/nanocodec/names.h"
#include "model/nanocodec/residual.h"
#include "ops/program.h"

namespace ttsrt::model::nanocodec {
namespace {

constexpr const char* kHalf = "decoder";

// The values of every code of a group [vocab, width], from -1 to 1.
std::vector<float> code_values(const CodeLayout& codes) {
  std::vector<float> values;
  for (std::int32_t code = 0; code < codes.vocab; ++code) {
    std::int32_t rest = code;
    for (const std::int32_t levels : codes.quantizer.levels) {
      const std::int32_t half = levels / 2;
      values.push_back(static_cast<float>(rest % levels - half) / static_cast<float>(half));
      rest /= levels;
    }
  }
  return values;
}

class DecoderWriter {
 public:
  DecoderWriter(const Weights& weights, const std::string& prefix, const Config& config, bool trace)
      : weights_(weights), prefix_(prefix), config_(config), trace_(trace) {
    program_.name = "decode_codes";
  }

  ops::Program write(const CodeLayout& codes) {
    const HalfConfig& decoder = config_.decoder;
    const ops::BufferId latent = program_.add("latent", codes.quantizer.latent());
    program_.ops.emplace_back(
        ops::DequantizeCodes{latent, table_of(codes), codes.quantizer.groups});
    tap("codec.latent", latent);
    ops::BufferId x = program_.add("pre", decoder.base_channels);
    program_.ops.emplace_back(convolution(latent, x, "decoder.pre", decoder.pre_kernel));
    tap("codec.pre", x);
    for (std::int32_t stage = 0; stage < decoder.stages(); ++stage) x = write_stage(x, stage);
    x = activated(x, "decoder.alpha");
    const ops::BufferId samples = add("samples", 1);
    program_.ops.emplace_back(convolution(x, samples, "decoder.post", decoder.post_kernel));
    program_.ops.emplace_back(ops::Clamp{samples, -1.0F, 1.0F});
    program_.ops.emplace_back(ops::EmitRows{samples});
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return weights_.at(prefix_ + name); }

  // A buffer with the rate of the stage that is being written.
  ops::BufferId add(const std::string& name, std::int64_t width) {
    return program_.add(name, width, ops::RowSpace::rows, rate_);
  }

  void tap(const std::string& name, ops::BufferId buffer) {
    if (trace_) program_.taps.push_back({name, buffer});
  }

  ops::Weight table_of(const CodeLayout& codes) {
    auto values = std::make_shared<const std::vector<float>>(code_values(codes));
    ops::Weight table;
    table.name = "codes";
    table.rows = codes.vocab;
    table.cols = codes.quantizer.width();
    table.data = reinterpret_cast<const std::byte*>(values->data());
    program_.constants.push_back(std::move(values));
    return table;
  }

  ops::TimeConv convolution(ops::BufferId x, ops::BufferId out, const std::string& name,
                            std::int32_t kernel, std::int32_t dilation = 1) {
    ops::TimeConv conv;
    conv.x = x;
    conv.out = out;
    conv.weight = at(name);
    conv.bias = at(name + "_bias");
    conv.kernel = kernel;
    conv.dilation = dilation;
    conv.before = (kernel - 1) * dilation;
    if (conv.before > 0) conv.past = next_past_++;
    return conv;
  }

  // Activates x where it is, unless a trace shall see it as it was.
  ops::BufferId activated(ops::BufferId x, const std::string& alpha) {
    const ops::Activation& of = program_.activations[static_cast<std::size_t>(x)];
    const ops::BufferId out =
        trace_ ? program_.add(of.name + ".activated", of.width, ops::RowSpace::rows, of.rate) : x;
    program_.ops.emplace_back(ops::HalfSnake{x, out, at(alpha)});
    return out;
  }

  ops::BufferId write_stage(ops::BufferId x, std::int32_t stage) {
    const std::string name = stage_name(kHalf, stage);
    const std::string number = std::to_string(stage);
    const std::int32_t factor = config_.decoder.rates[static_cast<std::size_t>(stage)];
    x = activated(x, name + "alpha");
    rate_ *= factor;
    const std::int32_t channels = decoder_channels(config_.decoder, stage + 1);
    const ops::BufferId up = add("up." + number, channels);
    ops::Upsample upsample;
    upsample.x = x;
    upsample.out = up;
    upsample.weight = at(name + "up");
    upsample.bias = at(name + "up_bias");
    upsample.factor = factor;
    upsample.past = next_past_++;
    program_.ops.emplace_back(std::move(upsample));
    tap("codec.up." + number, up);
    sum_ = add("sum." + number, channels);
    chain_ = add("chain." + number, channels);
    activated_ = add("activated." + number, channels);
    hidden_ = add("hidden." + number, channels);
    for (std::size_t chain = 0; chain < config_.decoder.kernels.size(); ++chain)
      write_chain(up, name, chain);
    tap("codec.stage." + number, sum_);
    return sum_;
  }

  // Adds its share of the mean over the chains of a stage.
  void write_chain(ops::BufferId x, const std::string& stage, std::size_t chain) {
    const HalfConfig& decoder = config_.decoder;
    const std::int32_t kernel = decoder.kernels[chain];
    for (std::size_t block = 0; block < decoder.dilations.size(); ++block) {
      const std::string name = block_name(stage, chain, block);
      program_.ops.emplace_back(ops::HalfSnake{x, activated_, at(name + "in_alpha")});
      program_.ops.emplace_back(
          convolution(activated_, hidden_, name + "in", kernel, decoder.dilations[block]));
      program_.ops.emplace_back(ops::HalfSnake{hidden_, hidden_, at(name + "out_alpha")});
      const bool is_last = block + 1 == decoder.dilations.size();
      ops::TimeConv out = convolution(hidden_, is_last ? sum_ : chain_, name + "out", kernel);
      add_residual(out, x, decoder, chain, block);
      program_.ops.emplace_back(std::move(out));
      x = chain_;
    }
  }

  const Weights& weights_;
  const std::string& prefix_;
  const Config& config_;
  const bool trace_;
  ops::Program program_;
  std::int32_t rate_ = 1;
  std::int32_t next_past_ = 0;
  ops::BufferId sum_ = ops::kNoBuffer;
  ops::BufferId chain_ = ops::kNoBuffer;
  ops::BufferId activated_ = ops::kNoBuffer;
  ops::BufferId hidden_ = ops::kNoBuffer;
};

}  // namespace

void declare_decoder(Manifest& manifest, const std::string& prefix, const Config& config) {
  const HalfConfig& decoder = config.decoder;
  manifest.begin(prefix.empty() ? "decoder" : "codec");
  declare_convolution(manifest, prefix + "decoder.pre", decoder.base_channels,
                      config.quantizer.latent(), decoder.pre_kernel);
  for (std::int32_t stage = 0; stage < decoder.stages(); ++stage) {
    const std::string name = prefix + stage_name(kHalf, stage);
    const std::int64_t inputs = decoder_channels(decoder, stage);
    const std::int64_t channels = decoder_channels(decoder, stage + 1);
    const std::int64_t taps = std::int64_t{2} * decoder.rates[static_cast<std::size_t>(stage)];
    manifest.add(Role::vector, name + "alpha", {inputs / 2});
    manifest.add(Role::vector, name + "up", {inputs, taps});
    manifest.add(Role::vector, name + "up_bias", {channels});
    for (std::size_t chain = 0; chain < decoder.kernels.size(); ++chain) {
      const std::int64_t kernel = decoder.kernels[chain];
      for (std::size_t block = 0; block < decoder.dilations.size(); ++block) {
        const std::string of = block_name(name, chain, block);
        manifest.add(Role::vector, of + "in_alpha", {channels / 2});
        declare_convolution(manifest, of + "in", channels, channels, kernel);
        manifest.add(Role::vector, of + "out_alpha", {channels / 2});
        declare_convolution(manifest, of + "out", channels, channels, kernel);
      }
    }
  }
  const std::int64_t last = decoder_channels(decoder, decoder.stages());
  manifest.add(Role::vector, prefix + "decoder.alpha", {last / 2});
  declare_convolution(manifest, prefix + "decoder.post", 1, last, decoder.post_kernel);
}

std::vector<ops::StateSpec::PastRows> decoder_past(const Config& config) {
  const HalfConfig& decoder = config.decoder;
  std::vector<ops::StateSpec::PastRows> past;
  const auto add = [&past](std::int32_t rows, std::int32_t width) {
    if (rows > 0) past.push_back({rows, width});
  };
  add(decoder.pre_kernel - 1, config.quantizer.latent());
  for (std::int32_t stage = 0; stage < decoder.stages(); ++stage) {
    const std::int32_t channels = decoder_channels(decoder, stage + 1);
    add(1, decoder_channels(decoder, stage));
    for (const std::int32_t kernel : decoder.kernels) {
      for (const std::int32_t dilation : decoder.dilations) {
        add((kernel - 1) * dilation, channels);
        add(kernel - 1, channels);
      }
    }
  }
  add(decoder.post_kernel - 1, decoder_channels(decoder, decoder.stages()));
  return past;
}

std::int32_t launch_frames(const Limits& limits, std::int32_t step_frames) {
  const std::int32_t frames =
      std::clamp(limits.max_batch_size * step_frames, kLeastLaunch, kMostLaunch);
  return std::min(frames, limits.max_num_tokens);
}

FamilyProgram write_decoder(const Weights& weights, const std::string& prefix, const Config& config,
                            const CodeLayout& codes, std::int32_t max_rows, bool trace) {
  return {"decode_codes",
          step::Pace::chunked,
          DecoderWriter(weights, prefix, config, trace).write(codes),
          max_rows,
          0,
          step::Emits::samples};
}

}  // namespace ttsrt::model::nanocodec
