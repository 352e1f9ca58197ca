#include "model/whole_request.h"

#include <memory>
#include <utility>

#include "core/check.h"
#include "model/request_rows.h"

namespace ttsrt::model {
namespace {

struct Option {
  const char* name;
  bool is_given;
};

template <std::size_t Count>
void refuse(const Option (&options)[Count], const char* why) {
  for (const Option& option : options)
    TTSRT_CHECK(ConfigError, !option.is_given, option.name, ": expected none, as ", why);
}

void refuse_draw_options(const Request& request, const char* why) {
  const Option options[] = {{"text_features", is_given(request.text_features)},
                            {"encoder_output", is_given(request.encoder_output)},
                            {"context_codes", is_given(request.context_codes)},
                            {"context_text_ids", !request.context_text_ids.empty()},
                            {"text_chunks", !request.text_chunks.empty()},
                            {"later_chunks", request.later_chunks != 0},
                            {"text_history", request.text_history.has_value()},
                            {"text_silences", !request.text_silences.empty()},
                            {"text_voices", !request.text_voices.empty()},
                            {"cfg_scale", request.cfg_scale.has_value()},
                            {"temperature", request.temperature.has_value()},
                            {"top_k", request.top_k.has_value()},
                            {"top_p", request.top_p.has_value()},
                            {"min_p", request.min_p.has_value()},
                            {"repetition_penalty", request.repetition_penalty.has_value()},
                            {"max_frames", request.max_frames.has_value()},
                            {"min_frames", request.min_frames.has_value()},
                            {"strict_end", request.strict_end},
                            {"prior", request.prior.has_value()},
                            {"eos_method", request.eos_method.has_value()},
                            {"use_local_transformer", request.use_local_transformer.has_value()},
                            {"maskgit", request.maskgit.has_value()},
                            {"block", request.block.has_value()},
                            {"tokens", request.tokens.has_value()},
                            {"shared_prefix", request.shared_prefix != 0},
                            {"forced_codes", is_given(request.forced_codes)},
                            {"return_alignment", request.return_alignment},
                            {"return_positions", request.return_positions},
                            {"stop_after_equal", request.stop_after_equal.has_value()}};
  refuse(options, why);
  refuse_speaker_options(request);
}

void refuse_codec_input(const Request& request) {
  const Option options[] = {{"codes", is_given(request.codes)},
                            {"samples", !request.samples.empty()}};
  refuse(options, "this model is no codec");
}

}  // namespace

void refuse_draw_options(const Request& request) {
  constexpr const char* kWhy = "this model draws no codes step by step";
  refuse_draw_options(request, kWhy);
  TTSRT_CHECK(ConfigError, !request.score, "score: expected false, as ", kWhy);
}

void refuse_step_options(const Request& request) {
  refuse_draw_options(request);
  refuse_codec_input(request);
  TTSRT_CHECK(ConfigError, !request.codes_only,
              "codes_only: expected false, as this model makes no codes");
}

void refuse_beside_score(const Request& request) {
  refuse_draw_options(request, "ids that are scored are given, not drawn");
}

void refuse_flow_options(const Request& request) {
  refuse_codec_input(request);
  const Option options[] = {{"flow", request.flow.has_value()},
                            {"noise", is_given(request.noise)},
                            {"edit_mask", !request.edit_mask.empty()},
                            {"mel", is_given(request.mel)},
                            {"return_audio", request.return_audio.value_or(false)},
                            {"return_spectrogram", request.return_spectrogram.value_or(false)},
                            {"audio_start", request.audio_start.has_value()}};
  refuse(options, "this model makes codes and no spectrogram");
}

void refuse_beside_mel(const Request& request) {
  refuse_step_options(request);
  const Option options[] = {{"text_ids", !request.text_ids.empty()},
                            {"voice", request.voice.has_value()},
                            {"context_embeddings", is_given(request.context_embeddings)},
                            {"flow", request.flow.has_value()},
                            {"noise", is_given(request.noise)},
                            {"edit_mask", !request.edit_mask.empty()},
                            {"return_spectrogram", request.return_spectrogram.value_or(false)},
                            {"audio_start", request.audio_start.has_value()}};
  refuse(options, "a spectrogram becomes sound as it is");
  TTSRT_CHECK(ConfigError, request.return_audio.value_or(true),
              "return_audio: expected true, as nothing else becomes of mel");
}

void refuse_beside_codec_input(const Request& request) {
  refuse_draw_options(request);
  const Option options[] = {{"text_ids", !request.text_ids.empty()},
                            {"voice", request.voice.has_value()},
                            {"context_embeddings", is_given(request.context_embeddings)},
                            {"flow", request.flow.has_value()},
                            {"noise", is_given(request.noise)},
                            {"edit_mask", !request.edit_mask.empty()},
                            {"mel", is_given(request.mel)},
                            {"return_audio", request.return_audio.has_value()},
                            {"return_spectrogram", request.return_spectrogram.value_or(false)},
                            {"audio_start", request.audio_start.has_value()},
                            {"codes_only", request.codes_only}};
  refuse(options, "a codec turns codes into sound, or samples into codes, as they are");
}

void check_codes(const std::string& what, const Matrix<std::int32_t>& codes, std::int32_t vocab) {
  for (std::size_t i = 0; i < codes.values.size(); ++i) {
    const auto cols = static_cast<std::size_t>(codes.cols);
    TTSRT_CHECK(ConfigError, codes.values[i] >= 0 && codes.values[i] < vocab, what, "[", i / cols,
                ", ", i % cols, "]: expected a code in [0, ", vocab - 1, "], got ",
                codes.values[i]);
  }
}

step::RowSource rows_of_mel(InputRows&& mel, std::int32_t bins, std::int32_t most) {
  TTSRT_CHECK(ConfigError, mel.rows >= 2 && mel.rows <= most && mel.cols == bins,
              "mel: expected [2 to ", most, ", ", bins, "], got [", mel.rows, ", ", mel.cols, "]");
  return rows_of_vectors("mel", std::move(mel), bins, most);
}

step::RowSource given_rows(std::vector<float>&& values, std::int32_t rows) {
  step::RowSource source;
  source.input = step::Input::vectors;
  source.rows = rows;
  source.vectors = std::make_shared<const std::vector<float>>(std::move(values));
  return source;
}

step::RowSource kept_rows(std::int32_t first, std::int32_t rows) {
  step::RowSource source;
  source.input = step::Input::kept_rows;
  source.rows = rows;
  source.kept_offset = first;
  return source;
}

step::Stop stop_of(std::int32_t program, std::vector<step::RowSource> rows,
                   std::vector<std::int32_t> follows) {
  step::Stop stop;
  stop.program = program;
  stop.rows = std::move(rows);
  stop.follows = std::move(follows);
  return stop;
}

}  // namespace ttsrt::model
