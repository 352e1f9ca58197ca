#include "model/f5/programs.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "model/f5/flow.h"
#include "model/f5/schedule.h"
#include "model/row_programs.h"
#include "model/vocos/vocoder.h"
#include "ops/program.h"

namespace ttsrt::model::f5 {
namespace {

constexpr float kTextEpsilon = 1e-6F;
constexpr std::int32_t kBranches = 2;
constexpr std::int32_t kScheduleRows = 32;  // of one launch

// The absolute positions of a text [positions, width]: cosines, then sines.
ops::Weight text_positions(std::int32_t positions, std::int32_t width, ops::Program& program) {
  const std::int32_t half = width / 2;
  auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(positions) *
                                                     static_cast<std::size_t>(width));
  for (std::int32_t k = 0; k < half; ++k) {
    const double frequency = std::pow(10000.0, -2.0 * k / width);
    for (std::int32_t p = 0; p < positions; ++p) {
      float* row = values->data() + std::int64_t{p} * width;
      row[k] = static_cast<float>(std::cos(p * frequency));
      row[half + k] = static_cast<float>(std::sin(p * frequency));
    }
  }
  ops::Weight table;
  table.name = "text positions";
  table.rows = positions;
  table.cols = width;
  table.data = reinterpret_cast<const std::byte*>(values->data());
  program.constants.push_back(std::move(values));
  return table;
}

// A row is the prompt's and, behind it, whether it stays.
ops::Program write_prompt(const Config& config) {
  ops::Program program;
  program.name = "prompt";
  const ops::BufferId prompt = embed_rows(program, "prompt", config.mel_bins + 1);
  program.ops.emplace_back(ops::SaveRows{prompt, kPromptRows, 0});
  program.ops.emplace_back(ops::SaveRows{prompt, kMaskRows, config.mel_bins});
  return program;
}

ops::Program write_schedule(const Config& config, const Weights& weights, bool trace) {
  ops::Program program;
  program.name = "schedule";
  const ops::BufferId features = embed_rows(program, "time features", kTimeWidth);
  const ops::BufferId hidden = program.add("hidden", config.dim);
  const ops::BufferId time = program.add("time", config.dim);
  const ops::BufferId rows = program.add("modulation", config.schedule_width());
  constexpr ops::Activate kSilu = ops::Activate::silu;
  program.ops.emplace_back(
      ops::Linear{features, hidden, weights.at("time.in"), weights.at("time.in_bias"), kSilu});
  program.ops.emplace_back(
      ops::Linear{hidden, time, weights.at("time.out"), weights.at("time.out_bias"), kSilu});
  program.ops.emplace_back(
      ops::Linear{time, rows, weights.at("modulation"), weights.at("modulation_bias")});
  program.ops.emplace_back(ops::StoreSchedule{rows});
  if (trace) program.taps.push_back({"modulation", rows});
  return program;
}

// The text and, of the network's input, all that no evaluation changes.
class TextWriter {
 public:
  TextWriter(const Config& config, const Weights& weights) : config_(config), weights_(weights) {
    program_.name = "text";
  }

  ops::Program write(std::int32_t max_frames, bool trace) {
    x_ = program_.add("text", config_.text_dim);
    convolved_ = program_.add("convolved", config_.text_dim);
    normed_ = program_.add("normed", config_.text_dim);
    hidden_ = program_.add("hidden", 2 * std::int64_t{config_.text_dim});
    sums_ = program_.add("sums", 2 * std::int64_t{config_.text_dim});
    ops::EmbedRows embed;
    embed.out = x_;
    embed.id_tables = {weights_.at("text_embedding")};
    embed.position_tables = {text_positions(max_frames, config_.text_dim, program_)};
    program_.ops.emplace_back(std::move(embed));
    clear_filler();
    for (std::int32_t l = 0; l < config_.text_layers; ++l)
      layer("text.layers." + std::to_string(l) + ".");
    input(stretched());
    if (trace) program_.taps.push_back({"text_embed", x_});
    return std::move(program_);
  }

 private:
  void clear_filler() {
    if (config_.masks_padding) program_.ops.emplace_back(ops::ClearFiller{x_});
  }

  void layer(const std::string& name) {
    program_.ops.emplace_back(ops::DepthwiseConv{x_, convolved_, weights_.at(name + "conv"),
                                                 weights_.at(name + "conv_bias")});
    program_.ops.emplace_back(ops::Norm{convolved_, normed_, weights_.at(name + "norm"),
                                        kTextEpsilon, ops::NormKind::layer,
                                        weights_.at(name + "norm_bias")});
    program_.ops.emplace_back(ops::Linear{normed_, hidden_, weights_.at(name + "ffn_in"),
                                          weights_.at(name + "ffn_in_bias"), ops::Activate::gelu});
    program_.ops.emplace_back(ops::ResponseNorm{hidden_, sums_, weights_.at(name + "grn_gamma"),
                                                weights_.at(name + "grn_beta")});
    program_.ops.emplace_back(ops::Linear{hidden_, x_, weights_.at(name + "ffn_out"),
                                          weights_.at(name + "ffn_out_bias"), ops::Activate::none,
                                          true});
    clear_filler();
    program_.end_part();
  }

  ops::BufferId stretched() {
    if (!config_.stretches_text) return x_;
    program_.ops.emplace_back(ops::StretchText{x_, convolved_});
    return convolved_;
  }

  void input(ops::BufferId text) {
    const ops::BufferId prompt = program_.add("prompt", config_.mel_bins);
    const ops::BufferId constant = program_.add("constant input", config_.dim);
    program_.ops.emplace_back(
        ops::Linear{text, constant, weights_.at("input.text"), weights_.at("input_bias")});
    program_.ops.emplace_back(ops::LoadRows{prompt, kPromptRows});
    program_.ops.emplace_back(
        ops::Linear{prompt, constant, weights_.at("input.cond"), {}, ops::Activate::none, true});
    program_.ops.emplace_back(ops::SaveRows{constant, kInputRows, 0});
  }

  const Config& config_;
  const Weights& weights_;
  ops::Program program_;
  ops::BufferId x_ = ops::kNoBuffer;
  ops::BufferId convolved_ = ops::kNoBuffer;
  ops::BufferId normed_ = ops::kNoBuffer;
  ops::BufferId hidden_ = ops::kNoBuffer;
  ops::BufferId sums_ = ops::kNoBuffer;
};

}  // namespace

std::vector<ops::StateSpec::RowArray> arrays_of(const Config& config, std::int32_t max_frames) {
  std::vector<ops::StateSpec::RowArray> arrays(kNumArrays);
  arrays[kBaseRows] = {max_frames, config.mel_bins, false};
  arrays[kPromptRows] = {max_frames, config.mel_bins, false};
  arrays[kMaskRows] = {max_frames, 1, false};
  arrays[kInputRows] = {max_frames, config.dim, true};
  return arrays;
}

std::vector<FamilyProgram> write_programs(const Config& config, const Weights& weights,
                                          const Limits& limits, bool trace) {
  using step::Pace;
  const std::int32_t rows = limits.max_num_tokens;
  std::vector<FamilyProgram> programs;
  programs.push_back({"noise", Pace::whole, write_noise(config.mel_bins, kBaseRows), rows, 0});
  programs.push_back({"prompt", Pace::whole, write_prompt(config), rows, 0});
  programs.push_back(
      {"schedule", Pace::chunked, write_schedule(config, weights, trace), kScheduleRows, 0});
  programs.push_back(
      {"text", Pace::whole, TextWriter(config, weights).write(limits.max_seq_len, trace), rows, 0});
  programs.push_back({"flow", Pace::whole, write_flow(config, weights, limits.max_seq_len, trace),
                      rows, 0, step::Emits::nothing, kBranches * limits.num_slots()});
  programs.push_back({"spectrogram", Pace::whole, write_spectrogram(config.mel_bins), rows, 0,
                      step::Emits::spectrogram});
  if (config.vocoder)
    programs.push_back(vocos::write_vocoder(weights, "vocoder.", *config.vocoder, rows, trace));
  return programs;
}

}  // namespace ttsrt::model::f5
