#include "model/s3gen/programs.h"

#include <algorithm>

#include "model/hift/vocoder.h"
#include "model/row_programs.h"
#include "model/s3gen/encoder.h"
#include "model/s3gen/estimator.h"
#include "ops/program.h"

namespace ttsrt::model::s3gen {
namespace {

constexpr std::int32_t kBranches = 2;

ops::Program write_speaker(const Source& source, bool trace) {
  ops::Program program;
  program.name = "speaker";
  const ops::BufferId embedding = embed_rows(program, "embedding", source.config.speaker_dim);
  const ops::BufferId speaker = program.add("speaker", source.config.mel_bins);
  program.ops.emplace_back(
      ops::Linear{embedding, speaker, source.at("speaker"), source.at("speaker_bias")});
  program.ops.emplace_back(ops::SaveRows{speaker, kSpeakerRow, 0});
  if (trace) program.taps.push_back({"speaker", speaker});
  return program;
}

}  // namespace

void add_state(const Config& config, const Limits& limits, ops::StateSpec& spec) {
  std::vector<ops::StateSpec::RowArray>& arrays = spec.rows;
  arrays.resize(kNumArrays);
  arrays[kBaseRows] = {limits.max_seq_len, config.mel_bins, false};
  arrays[kPromptRows] = {limits.max_seq_len, config.mel_bins, false};
  arrays[kSpeakerRow] = {1, config.mel_bins, false};
  arrays[kTokenRows] = {limits.max_encoder_input_len, config.dim, false};
  arrays[kEncodedRows] = {limits.max_seq_len, config.mel_bins, false};
  if (config.vocoder) hift::add_state(*config.vocoder, limits.max_seq_len, spec);
  spec.schedule_width = config.schedule_width();
  spec.schedule_rows = kMaxEvaluations;
  spec.dim = spec.max_context_rows > 0 ? std::max(spec.dim, config.mel_bins) : config.mel_bins;
  spec.max_context_rows += limits.max_seq_len;
}

// A launch of the flow has both branches of its items.
std::int32_t most_rows(const Limits& limits) {
  return std::max(limits.max_num_tokens, kBranches * limits.max_seq_len);
}

void append_programs(const Source& source, const Limits& limits, bool trace,
                     std::vector<FamilyProgram>& programs) {
  using step::Pace;
  // Launches of the other Programs have room for as many items as one of the flow, or for the
  // longest.
  const Config& config = source.config;
  const std::int32_t bins = config.mel_bins;
  const std::int32_t rows = most_rows(limits);
  const std::int32_t frames = std::max(limits.max_seq_len, rows / kBranches);
  const std::int32_t tokens = std::max(limits.max_encoder_input_len, frames / config.upsampling);
  const std::int32_t slots = limits.num_slots();
  const auto nothing = step::Emits::nothing;
  programs.push_back({"noise", Pace::whole, write_noise(bins, kBaseRows), frames, 0});
  programs.push_back({"prompt", Pace::whole, write_keep("prompt", bins, kPromptRows), frames, 0});
  programs.push_back({"speaker", Pace::whole, write_speaker(source, trace), slots, 0});
  programs.push_back({"schedule", Pace::whole, write_schedule(source, trace), kMaxEvaluations, 0});
  programs.push_back({"encode", Pace::whole,
                      write_encode(source, limits.max_encoder_input_len, trace), tokens, 0, nothing,
                      slots});
  programs.push_back({"encode_frames", Pace::whole,
                      write_encode_frames(source, limits.max_seq_len, trace), frames, 0, nothing,
                      slots});
  programs.push_back(
      {"flow", Pace::whole, write_flow(source, trace), rows, 0, nothing, kBranches * slots});
  programs.push_back(
      {"spectrogram", Pace::whole, write_spectrogram(bins), frames, 0, step::Emits::spectrogram});
  if (config.vocoder)
    hift::append_programs(source.weights, source.prefix + "vocoder.", *config.vocoder,
                          {kNumArrays, frames}, trace, programs);
}

}  // namespace ttsrt::model::s3gen
