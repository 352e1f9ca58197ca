#include "model/hift/vocoder.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "core/check.h"
#include "model/constant_weight.h"
#include "model/fourier.h"
#include "model/hift/names.h"
#include "model/row_programs.h"
#include "model/transposed.h"
#include "ops/program.h"

namespace ttsrt::model::hift {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kStageSlope = 0.1F;
constexpr float kLastSlope = 0.01F;
constexpr float kMaxSample = 0.99F;
constexpr std::int32_t kFade = 480;  // silent samples of an utterance, and samples that fade in

// Arrays of the slots, behind the first.
constexpr std::int32_t kNoiseRows = 0;
constexpr std::int32_t kCycleRows = 1;
constexpr std::int32_t kMelRows = 2;

// Rows that a window keeps: few in the first, so that they are heard early, and from then on as
// many that their halo costs little. What is left behind is no window of its own if it is shorter
// than the first.
constexpr std::int32_t kFirstWindow = 64;
constexpr std::int32_t kUsualWindow = 256;

ops::Weight panel(std::int64_t rows, std::int64_t cols) {
  ops::Weight weight;
  weight.layout = ops::Layout::panel16;
  weight.rows = rows;
  weight.cols = cols;
  return weight;
}

ops::Weight vector(std::int64_t size) {
  ops::Weight weight;
  weight.rows = 1;
  weight.cols = size;
  return weight;
}

std::vector<float> fade_factors() {
  std::vector<float> factors(std::size_t{2} * kFade, 0.0F);
  for (std::int32_t i = 0; i < kFade; ++i) {
    const double angle = kPi * (1.0 - static_cast<double>(i) / (kFade - 1));
    factors[static_cast<std::size_t>(kFade + i)] =
        static_cast<float>((std::cos(angle) + 1.0) / 2.0);
  }
  return factors;
}

// A buffer, and how long an item is in it.
struct Place {
  ops::BufferId id = ops::kNoBuffer;
  std::int32_t rate = 1;
  std::int32_t beyond = 1;
};

class VocoderWriter {
 public:
  VocoderWriter(const Weights& weights, const std::string& prefix, const Config& config, bool trace)
      : weights_(weights), prefix_(prefix), config_(config), trace_(trace) {
    program_.name = "vocoder";
  }

  ops::Program write(std::int32_t first_array) {
    const Place mel = add("mel", config_.mel_bins, {});
    program_.ops.emplace_back(ops::LoadRows{mel.id, first_array + kMelRows});
    const Place harmonics = spectrum_of(source(pitch(mel), first_array));
    Place x = add("pre", config_.dim, {});
    program_.ops.emplace_back(convolution(mel, x, "pre", kOuterTaps));
    tap("vocoder.pre", x);
    for (std::int32_t stage = 0; stage < config_.stages(); ++stage)
      x = write_stage(x, harmonics, stage);
    sound(leaky(x, kLastSlope));
    return std::move(program_);
  }

 private:
  ops::Weight at(const std::string& name) const { return weights_.at(prefix_ + name); }

  Place add(const std::string& name, std::int64_t width, Place like) {
    like.id = program_.add(name, width, ops::RowSpace::rows, like.rate, like.beyond);
    return like;
  }

  void tap(const std::string& name, const Place& place) {
    if (trace_) program_.taps.push_back({name, place.id});
  }

  // Of an odd kernel, around each row.
  ops::TimeConv convolution(const Place& x, const Place& out, const std::string& name,
                            std::int32_t kernel, std::int32_t dilation = 1) {
    ops::TimeConv conv;
    conv.x = x.id;
    conv.out = out.id;
    conv.weight = at(name);
    conv.bias = at(name + "_bias");
    conv.kernel = kernel;
    conv.dilation = dilation;
    conv.before = (kernel - 1) * dilation / 2;
    return conv;
  }

  // Where x is, unless a trace shall see it as it was.
  Place leaky(const Place& x, float slope) {
    const ops::Activation of = program_.activations[static_cast<std::size_t>(x.id)];
    const Place out = trace_ ? add(of.name + ".activated", of.width, x) : x;
    program_.ops.emplace_back(ops::HalfSnake{x.id, out.id, {}, slope});
    return out;
  }

  Place pitch(const Place& mel) {
    const Place buffers[] = {add("pitch.even", config_.f0_dim, {}),
                             add("pitch.odd", config_.f0_dim, {})};
    Place x = mel;
    for (std::int32_t layer = 0; layer < config_.f0_layers; ++layer) {
      const Place& out = buffers[layer % 2];
      ops::TimeConv conv = convolution(x, out, pitch_layer(layer), kPitchTaps);
      conv.activate = ops::Activate::elu;
      program_.ops.emplace_back(std::move(conv));
      x = out;
    }
    const Place hz = add("pitch", 1, {});
    program_.ops.emplace_back(convolution(x, hz, kPitchOutput, 1));
    tap("vocoder.pitch", hz);
    return hz;
  }

  Place source(const Place& hz, std::int32_t first_array) {
    const Place noise = add("noise", config_.noise_width(), {});
    program_.ops.emplace_back(ops::LoadRows{noise.id, first_array + kNoiseRows});
    const Place rows = add("source.rows", config_.samples(), {});
    ops::HarmonicSource op;
    op.pitch = hz.id;
    op.noise = noise.id;
    op.out = rows.id;
    op.weight = at(kSource);
    op.bias = at(std::string(kSource) + "_bias");
    op.cycles = first_array + kCycleRows;
    op.halo = pitch_halo(config_);
    op.sample_rate = static_cast<float>(config_.sample_rate);
    program_.ops.emplace_back(std::move(op));
    const Place samples = add("source", 1, {0, config_.samples(), config_.samples()});
    program_.ops.emplace_back(ops::SplitRows{rows.id, samples.id});
    tap("vocoder.source", samples);
    return samples;
  }

  // The source's short Fourier transform, whose first frame has its middle at the first sample.
  Place spectrum_of(const Place& samples) {
    const std::int32_t n_fft = config_.n_fft;
    const std::int32_t frames = config_.frames();
    const Place out = add("harmonics", config_.spectrum_width(), {0, frames, frames - 1});
    ops::TimeConv conv;
    conv.x = samples.id;
    conv.out = out.id;
    conv.weight = keep_constant(program_, "transform", fourier_transform(n_fft, hann(n_fft)),
                                panel(config_.spectrum_width(), n_fft));
    conv.kernel = n_fft;
    conv.stride = config_.hop;
    conv.before = n_fft / 2;
    conv.padding = ops::Padding::reflect;
    program_.ops.emplace_back(std::move(conv));
    return out;
  }

  Place write_stage(Place x, const Place& harmonics, std::int32_t stage) {
    const std::string name = stage_name(stage);
    const std::string number = std::to_string(stage);
    const std::int32_t channels = config_.channels(stage);
    x = upsampled(leaky(x, kStageSlope), stage);
    sum_ = add("sum." + number, channels, x);
    chain_ = add("chain." + number, channels, x);
    activated_ = add("activated." + number, channels, x);
    hidden_ = add("hidden." + number, channels, x);
    const Place source = add("source." + number, channels, x);
    const std::int32_t stride = config_.stride(stage);
    ops::TimeConv conv = convolution(harmonics, source, name + "source", source_taps(stride));
    conv.stride = stride;
    conv.before = stride / 2;
    program_.ops.emplace_back(std::move(conv));
    tap("vocoder.source." + number, source);
    write_chain(source, name + "source_chain.",
                config_.source_kernels[static_cast<std::size_t>(stage)], {x, 1.0F, true});
    tap("vocoder.input." + number, x);
    const auto chains = static_cast<std::int32_t>(config_.chain_kernels.size());
    for (std::int32_t chain = 0; chain < chains; ++chain) {
      write_chain(x, chain_name(stage, chain),
                  config_.chain_kernels[static_cast<std::size_t>(chain)],
                  {sum_, 1.0F / static_cast<float>(chains), chain > 0});
    }
    tap("vocoder.stage." + number, sum_);
    return sum_;
  }

  // A transposed convolution, as a product of the rows around each. Behind the last one, an item
  // gets the row that it lacks: the first is a copy of the one behind it.
  Place upsampled(const Place& x, std::int32_t stage) {
    const auto index = static_cast<std::size_t>(stage);
    const std::string number = std::to_string(stage);
    const std::int32_t channels = config_.channels(stage);
    const std::int32_t rate = config_.rates[index];
    const Place flat = add("up.rows." + number, std::int64_t{rate} * channels, x);
    const auto reach = static_cast<std::int32_t>(transposed_reach(config_.kernels[index], rate));
    program_.ops.emplace_back(convolution(x, flat, stage_name(stage) + "up", 2 * reach + 1));
    tap("vocoder.up." + number, flat);
    const Place up = add("up." + number, channels, {0, x.rate * rate, x.beyond * rate});
    program_.ops.emplace_back(ops::SplitRows{flat.id, up.id});
    if (stage + 1 < config_.stages()) return up;
    const Place longer = add("shifted." + number, channels, {0, up.rate, up.beyond - 1});
    program_.ops.emplace_back(ops::ShiftRows{up.id, longer.id, 1});
    return longer;
  }

  // What becomes of a chain's last block.
  struct Target {
    Place out;
    float scale = 1.0F;
    bool accumulates = false;
  };

  // Residual blocks. What a block gives is added to its input.
  void write_chain(const Place& input, const std::string& name, std::int32_t kernel,
                   const Target& target) {
    program_.end_part();
    Place x = input;
    for (std::size_t block = 0; block < config_.dilations.size(); ++block) {
      const std::string of = block_name(name, block);
      snake(x, activated_, of + "in_alpha");
      program_.ops.emplace_back(
          convolution(activated_, hidden_, of + "in", kernel, config_.dilations[block]));
      snake(hidden_, hidden_, of + "out_alpha");
      const bool is_last = block + 1 == config_.dilations.size();
      ops::TimeConv out = convolution(hidden_, is_last ? target.out : chain_, of + "out", kernel);
      if (block == 0 || is_last) out.addend = x.id;
      if (is_last) out.scale = target.scale;
      out.accumulate = is_last ? target.accumulates : block > 0;  // onto the chain itself
      program_.ops.emplace_back(std::move(out));
      x = chain_;
    }
  }

  void snake(const Place& x, const Place& out, const std::string& alpha) {
    program_.ops.emplace_back(ops::HalfSnake{x.id, out.id, at(alpha)});
  }

  void sound(const Place& x) {
    const std::int32_t width = config_.spectrum_width();
    const std::int32_t n_fft = config_.n_fft;
    const Place polar = add("polar", width, x);
    const Place spectrum = add("spectrum", width, x);
    const Place frames = add("frames", n_fft, x);
    const Place samples = add("samples", config_.hop, x);
    program_.ops.emplace_back(convolution(x, polar, "post", kOuterTaps));
    tap("vocoder.post", polar);
    ops::PolarSpectrum polar_op;
    polar_op.x = polar.id;
    polar_op.out = spectrum.id;
    polar_op.has_sine = true;
    program_.ops.emplace_back(polar_op);
    const std::vector<float> window = hann(n_fft);
    ops::TimeConv inverse;
    inverse.x = spectrum.id;
    inverse.out = frames.id;
    inverse.weight = keep_constant(program_, "inverse transform", inverse_transform(n_fft, window),
                                   panel(n_fft, width));
    program_.ops.emplace_back(std::move(inverse));
    program_.ops.emplace_back(
        ops::OverlapAdd{frames.id, samples.id,
                        keep_constant(program_, "window", window, vector(n_fft)), n_fft / 2});
    program_.ops.emplace_back(ops::Clamp{samples.id, -kMaxSample, kMaxSample});
    const std::vector<float> fade = fade_factors();
    program_.ops.emplace_back(ops::FadeIn{
        samples.id,
        keep_constant(program_, "fade", fade, vector(static_cast<std::int64_t>(fade.size())))});
    program_.ops.emplace_back(ops::EmitRows{samples.id});
  }

  const Weights& weights_;
  const std::string& prefix_;
  const Config& config_;
  const bool trace_;
  ops::Program program_;
  Place sum_;
  Place chain_;
  Place activated_;
  Place hidden_;
};

std::int32_t most_window_rows(const Config& config) {
  return kUsualWindow + kFirstWindow + 2 * window_halo(config) + 1;
}

// Windows that keep rows [begin, end), of which those before `known` are there.
std::vector<step::Window> windows_of(const Config& config, std::int32_t begin, std::int32_t end,
                                     std::int32_t known) {
  std::vector<step::Window> windows;
  const std::int32_t halo = window_halo(config);
  while (begin < end) {
    const std::int32_t usual = begin == 0 ? kFirstWindow : kUsualWindow;
    const std::int32_t kept = end - begin < usual + kFirstWindow ? end - begin : usual;
    step::Window& window = windows.emplace_back();
    window.first = std::max(begin - halo, 0);
    window.rows = std::min(begin + kept + halo, known) - window.first + 1;
    window.first_emitted = begin - window.first;
    window.emitted_rows = kept;
    begin += kept;
  }
  return windows;
}

step::Stop stop_at(std::int32_t position, std::int32_t program, step::RowSource&& rows) {
  step::Stop stop;
  stop.program = program;
  stop.position = position;
  stop.rows = {std::move(rows)};
  return stop;
}

}  // namespace

std::int32_t add_state(const Config& config, std::int32_t max_frames, ops::StateSpec& spec) {
  const auto first = static_cast<std::int32_t>(spec.rows.size());
  spec.rows.push_back({max_frames + 1, config.noise_width(), false});
  spec.rows.push_back({max_frames + 1, 2, false});
  spec.rows.push_back({max_frames + 1, config.mel_bins, false});
  return first;
}

void append_programs(const Weights& weights, const std::string& prefix, const Config& config,
                     const Places& places, bool trace, std::vector<FamilyProgram>& programs) {
  const std::int32_t array = places.first_array;
  const std::int32_t rows = places.max_rows;
  programs.push_back({"vocoder_noise", step::Pace::whole,
                      write_keep("vocoder_noise", config.noise_width(), array + kNoiseRows), rows,
                      0});
  programs.push_back({"vocoder_mel", step::Pace::whole,
                      write_keep("vocoder_mel", config.mel_bins, array + kMelRows), rows, 0});
  VocoderWriter writer(weights, prefix, config, trace);
  programs.push_back({"vocoder", step::Pace::whole, writer.write(array),
                      std::min(rows + 1, most_window_rows(config)), 0, step::Emits::samples});
}

std::int32_t append_stops(const Config& config, NewRows&& rows, std::vector<step::Stop>& stops) {
  const std::int32_t count = rows.mel.rows;
  const std::int32_t known = rows.first + count;
  const auto numbers =
      static_cast<std::size_t>(count) * static_cast<std::size_t>(config.noise_width());
  TTSRT_CHECK(InternalError, count > 0 && rows.noise.size() == numbers,
              "vocoder: expected noise of ", count, " rows of ", config.noise_width(), ", got ",
              rows.noise.size(), " numbers");
  step::RowSource noise;
  noise.input = step::Input::vectors;
  noise.rows = count;
  noise.vectors = std::make_shared<const std::vector<float>>(std::move(rows.noise));
  const auto next = rows.first_stop + static_cast<std::int32_t>(stops.size());
  stops.push_back(stop_at(rows.first, rows.program, std::move(noise)));
  stops.push_back(stop_at(rows.first, rows.program + 1, std::move(rows.mel)));
  stops.back().follows = std::move(rows.follows);
  const std::int32_t unheard = rows.are_last ? rows.cropped : window_halo(config);
  const std::int32_t heard = std::max(rows.heard, known - unheard);
  std::vector<step::Window> windows = windows_of(config, rows.heard, heard, known);
  if (windows.empty()) return heard;
  step::RowSource all;
  all.rows = known + 1;
  stops.push_back(stop_at(0, rows.program + 2, std::move(all)));
  step::Stop& sound = stops.back();
  sound.follows = {next, next + 1};
  sound.repeats = static_cast<std::int32_t>(windows.size());
  sound.windows = std::make_shared<const std::vector<step::Window>>(std::move(windows));
  return heard;
}

}  // namespace ttsrt::model::hift
