#include "model/s3gen/programs.h"

#include <algorithm>

#include "model/hift/vocoder.h"
#include "model/s3gen/encoder.h"
#include "model/s3gen/estimator.h"
#include "ops/program.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr std::int32_t kBranches = 2;
constexpr std::int32_t kScheduleRows = 32;  // of one launch

// Rows that are given, or that the slot keeps.
ops::BufferId embed(ops::Program& program, const char* name, std::int64_t width) {
  ops::EmbedRows embed;
  embed.out = program.add(name, width);
  program.ops.emplace_back(embed);
  return embed.out;
}

ops::Program write_noise(const Config& config) {
  ops::Program program;
  program.name = "noise";
  const ops::BufferId state = embed(program, "noise", config.mel_bins);
  program.ops.emplace_back(ops::StoreContext{state});
  program.ops.emplace_back(ops::SaveRows{state, kBaseRows, 0});
  return program;
}

ops::Program write_prompt(const Config& config) {
  ops::Program program;
  program.name = "prompt";
  const ops::BufferId prompt = embed(program, "prompt", config.mel_bins);
  program.ops.emplace_back(ops::SaveRows{prompt, kPromptRows, 0});
  return program;
}

ops::Program write_speaker(const Config& config, const Weights& weights, bool trace) {
  ops::Program program;
  program.name = "speaker";
  const ops::BufferId embedding = embed(program, "embedding", config.speaker_dim);
  const ops::BufferId speaker = program.add("speaker", config.mel_bins);
  program.ops.emplace_back(
      ops::Linear{embedding, speaker, weights.at("speaker"), weights.at("speaker_bias")});
  program.ops.emplace_back(ops::SaveRows{speaker, kSpeakerRow, 0});
  if (trace) program.taps.push_back({"speaker", speaker});
  return program;
}

ops::Program write_spectrogram(const Config& config) {
  ops::Program program;
  program.name = "spectrogram";
  program.ops.reserve(2);
  const ops::BufferId state = embed(program, "state", config.mel_bins);
  program.ops.emplace_back(ops::EmitRows{state});
  return program;
}

}  // namespace

void add_arrays(const Config& config, const Limits& limits, ops::StateSpec& spec) {
  std::vector<ops::StateSpec::RowArray>& arrays = spec.rows;
  arrays.resize(kNumArrays);
  arrays[kBaseRows] = {limits.max_seq_len, config.mel_bins, false};
  arrays[kPromptRows] = {limits.max_seq_len, config.mel_bins, false};
  arrays[kSpeakerRow] = {1, config.mel_bins, false};
  arrays[kTokenRows] = {limits.max_encoder_input_len, config.dim, false};
  arrays[kEncodedRows] = {limits.max_seq_len, config.mel_bins, false};
  if (config.vocoder) hift::add_state(*config.vocoder, limits.max_seq_len, spec);
}

std::vector<FamilyProgram> write_programs(const Config& config, const Weights& weights,
                                          const Limits& limits, bool trace) {
  using step::Pace;
  // A launch of the flow has both branches of its items. Launches of the other Programs have room
  // for as many items, or for the longest.
  const std::int32_t frames = std::max(limits.max_seq_len, limits.max_num_tokens / kBranches);
  const std::int32_t tokens = std::max(limits.max_encoder_input_len, frames / config.upsampling);
  const std::int32_t slots = limits.num_slots();
  const auto nothing = step::Emits::nothing;
  std::vector<FamilyProgram> programs;
  programs.push_back({"noise", Pace::whole, write_noise(config), frames, 0});
  programs.push_back({"prompt", Pace::whole, write_prompt(config), frames, 0});
  programs.push_back({"speaker", Pace::whole, write_speaker(config, weights, trace), slots, 0});
  programs.push_back(
      {"schedule", Pace::chunked, write_schedule(config, weights, trace), kScheduleRows, 0});
  programs.push_back({"encode", Pace::whole,
                      write_encode(config, weights, limits.max_encoder_input_len, trace), tokens, 0,
                      nothing, slots});
  programs.push_back({"encode_frames", Pace::whole,
                      write_encode_frames(config, weights, limits.max_seq_len, trace), frames, 0,
                      nothing, slots});
  programs.push_back({"flow", Pace::whole, write_flow(config, weights, trace),
                      limits.max_num_tokens, 0, nothing, kBranches * slots});
  programs.push_back(
      {"spectrogram", Pace::whole, write_spectrogram(config), frames, 0, step::Emits::spectrogram});
  if (config.vocoder)
    hift::append_programs(weights, kVocoderPrefix, *config.vocoder, {kNumArrays, frames, slots},
                          trace, programs);
  return programs;
}

}  // namespace ttsrt::model::s3gen
