#include "executor/request_check.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

void check_ids(const char* what, const std::vector<std::int32_t>& ids, std::int32_t vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TTSRT_CHECK(ConfigError, ids[i] >= 0 && ids[i] < vocab, what, "[", i,
                "]: expected an id in [0, ", vocab - 1, "], got ", ids[i]);
  }
}

// Whatever isn't an empty matrix was meant, even where its sizes lie.
template <typename T>
bool is_given(const Matrix<T>& matrix) {
  return matrix.rows != 0 || !matrix.values.empty();
}

RowSource rows_of_vectors(const char* what, Matrix<float>&& matrix, std::int32_t dim,
                          std::int32_t max_rows) {
  const bool fits = matrix.cols == dim && matrix.rows >= 1 && matrix.rows <= max_rows &&
                    static_cast<std::int64_t>(matrix.values.size()) == matrix.rows * matrix.cols;
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", max_rows, ", ", dim, "], got [",
              matrix.rows, ", ", matrix.cols, "]");
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    TTSRT_CHECK(ConfigError, std::isfinite(matrix.values[i]), what, "[",
                i / static_cast<std::size_t>(dim), ", ", i % static_cast<std::size_t>(dim),
                "]: expected a finite number, got ", matrix.values[i]);
  }
  RowSource source;
  source.input = step::Input::vectors;
  source.rows = static_cast<std::int32_t>(matrix.rows);
  source.vectors = std::make_shared<const std::vector<float>>(std::move(matrix.values));
  return source;
}

RowSource rows_of_text(const char* what, std::vector<std::int32_t>&& ids, std::int32_t vocab,
                       std::int32_t max_rows, step::Input input) {
  TTSRT_CHECK(ConfigError, ids.size() <= static_cast<std::size_t>(max_rows), what,
              ": expected at most ", max_rows, " ids, got ", ids.size());
  check_ids(what, ids, vocab);
  RowSource source;
  source.input = input;
  source.rows = static_cast<std::int32_t>(ids.size());
  source.ids = std::move(ids);
  return source;
}

// Codes [frames, C] as stacks [rows, C*S], index c + C*f; the last stack is padded with code 0, as
// the original pads. Models with text conditioning count context rows in frames: behind the stacks
// stand rows of zeros (NeMo 3's `_get_context_embeddings`).
RowSource rows_of_codes(Matrix<std::int32_t>&& codes, const step::ModelFacts& facts) {
  const std::int64_t most =
      std::int64_t{facts.max_input_len} * (facts.pads_context ? 1 : facts.frame_stacking);
  const bool fits = codes.cols == facts.codebooks && codes.rows >= 1 && codes.rows <= most &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, "context_codes: expected [1 to ", most, ", ", facts.codebooks,
              "], got [", codes.rows, ", ", codes.cols, "]");
  check_ids("context_codes", codes.values, facts.codebook_vocab);
  RowSource source;
  source.input = step::Input::codes;
  const auto stacks =
      static_cast<std::int32_t>((codes.rows + facts.frame_stacking - 1) / facts.frame_stacking);
  const auto width = static_cast<std::size_t>(facts.stack_codes());
  source.ids = std::move(codes.values);
  source.ids.resize(static_cast<std::size_t>(stacks) * width, 0);
  source.rows = facts.pads_context ? static_cast<std::int32_t>(codes.rows) : stacks;
  source.ids.resize(static_cast<std::size_t>(source.rows) * width, step::kZeroRow);
  return source;
}

void prepare_text(Request& request, const step::ModelFacts& facts, PreparedRequest& prepared) {
  const int given = (request.text_ids.empty() ? 0 : 1) + (is_given(request.text_features) ? 1 : 0) +
                    (is_given(request.encoder_output) ? 1 : 0);
  TTSRT_CHECK(
      ConfigError, given == 1,
      "text: expected exactly one of text_ids, text_features, encoder_output, not empty; got ",
      given);
  if (!request.text_ids.empty()) {
    prepared.text = rows_of_text("text_ids", std::move(request.text_ids), facts.text_vocab,
                                 facts.max_text_len, step::Input::text);
  } else if (is_given(request.text_features)) {
    prepared.text = rows_of_vectors("text_features", std::move(request.text_features), facts.dim,
                                    facts.max_text_len);
  } else {
    prepared.text = rows_of_vectors("encoder_output", std::move(request.encoder_output), facts.dim,
                                    facts.max_text_len);
    prepared.is_encoded = true;
  }
}

RowSource rows_of_voice(const VoiceRef& voice, const step::ModelFacts& facts,
                        const VoiceBook& voices) {
  RowSource source;
  source.input = step::Input::vectors;
  source.vectors = voices.find(voice);
  source.rows =
      static_cast<std::int32_t>(source.vectors->size() / static_cast<std::size_t>(facts.dim));
  return source;
}

void prepare_context(Request& request, const step::ModelFacts& facts, const VoiceBook& voices,
                     PreparedRequest& prepared) {
  const int given = (request.voice ? 1 : 0) + (is_given(request.context_codes) ? 1 : 0) +
                    (is_given(request.context_embeddings) ? 1 : 0) +
                    (request.context_text_ids.empty() ? 0 : 1);
  TTSRT_CHECK(ConfigError, given == 1,
              "context: expected exactly one of voice, context_codes, context_embeddings, "
              "context_text_ids; got ",
              given);
  const bool is_memory = facts.context_route == step::ContextRoute::memory;
  if (request.voice || is_given(request.context_embeddings)) {
    TTSRT_CHECK(ConfigError, !is_memory,
                "context: this model reads its context through an encoder; give context_codes");
    prepared.context =
        request.voice ? rows_of_voice(*request.voice, facts, voices)
                      : rows_of_vectors("context_embeddings", std::move(request.context_embeddings),
                                        facts.dim, facts.max_input_len);
    return;
  }
  RowSource source;
  if (!request.context_text_ids.empty()) {
    TTSRT_CHECK(ConfigError, facts.context_text_vocab > 0,
                "context_text_ids: this model takes no text for its context");
    source = rows_of_text("context_text_ids", std::move(request.context_text_ids),
                          facts.context_text_vocab, facts.max_input_len, step::Input::context_text);
  } else {
    TTSRT_CHECK(ConfigError, facts.takes_context_codes,
                "context_codes: this model has no context encoder; give a voice");
    source = rows_of_codes(std::move(request.context_codes), facts);
  }
  if (facts.context_route == step::ContextRoute::rows) {
    prepared.context = std::move(source);
    return;
  }
  if (!is_memory) {
    prepared.context.input = step::Input::context;
    prepared.context.rows = source.rows;
  }
  prepared.context_encoder = std::move(source);
}

void check_length(const Request& request, const step::ModelFacts& facts,
                  PreparedRequest& prepared) {
  const std::int32_t room = facts.max_seq_len - prepared.context.rows;
  std::int32_t& steps = prepared.rules.max_steps;
  TTSRT_CHECK(ConfigError, room >= 1, "context: expected fewer rows than max_seq_len ",
              facts.max_seq_len, ", got ", prepared.context.rows);
  TTSRT_CHECK(ConfigError, steps <= room || !request.max_frames.has_value(),
              "max_frames: expected at most ", room * facts.frame_stacking, " (max_seq_len ",
              facts.max_seq_len, " less ", prepared.context.rows, " context rows), got ",
              *request.max_frames);
  steps = std::min(steps, room);  // the checkpoint's default gives way to the limit
}

}  // namespace

PreparedRequest prepare(Request&& request, const step::ModelFacts& facts, const VoiceBook& voices) {
  PreparedRequest prepared;
  prepare_text(request, facts, prepared);
  prepare_context(request, facts, voices, prepared);
  const std::int32_t memory_rows =
      facts.context_route == step::ContextRoute::memory ? prepared.context_encoder.rows : 0;
  prepared.rules = decode::compile_rules(request, facts, prepared.text.rows, memory_rows);
  check_length(request, facts, prepared);
  prepared.return_alignment = request.return_alignment;
  TTSRT_CHECK(ConfigError, request.chunk_frames >= 1 && request.chunk_frames <= (1 << 20),
              "chunk_frames: expected 1 or more, got ", request.chunk_frames);
  prepared.chunk_frames = request.chunk_frames;
  prepared.priority = request.priority;
  const bool is_deadline =
      !request.deadline || (std::isfinite(*request.deadline) && *request.deadline > 0.0);
  TTSRT_CHECK(ConfigError, is_deadline, "deadline: expected seconds above 0, got ",
              request.deadline.value_or(0.0));
  prepared.deadline = request.deadline;
  return prepared;
}

}  // namespace ttsrt::executor
