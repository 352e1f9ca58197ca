#include "executor/request_check.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

// Whatever isn't an empty matrix was meant, even where its sizes lie.
template <typename T>
bool is_given(const Matrix<T>& matrix) {
  return matrix.rows != 0 || !matrix.values.empty();
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
                                 facts.max_text_len, 0);
  } else if (is_given(request.text_features)) {
    prepared.text = rows_of_vectors("text_features", std::move(request.text_features), facts.dim,
                                    facts.max_text_len);
  } else {
    prepared.text = rows_of_vectors("encoder_output", std::move(request.encoder_output), facts.dim,
                                    facts.max_text_len);
    prepared.is_encoded = true;
  }
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
  RowSource source;
  if (request.voice) {
    source = *voices.find(*request.voice);
  } else if (is_given(request.context_embeddings)) {
    source = rows_of_vectors("context_embeddings", std::move(request.context_embeddings), facts.dim,
                             facts.max_input_len);
  } else if (!request.context_text_ids.empty()) {
    TTSRT_CHECK(ConfigError, facts.context_text_vocab > 0,
                "context_text_ids: this model takes no text for its context");
    source = rows_of_text("context_text_ids", std::move(request.context_text_ids),
                          facts.context_text_vocab, facts.max_input_len, facts.context_text_table);
  } else {
    source = rows_of_codes("context_codes", std::move(request.context_codes), facts);
  }
  TTSRT_CHECK(ConfigError, !is_memory || source.input != step::Input::vectors,
              "context: this model reads its context through an encoder; give context_codes");
  if (facts.context_route == step::ContextRoute::rows || source.input == step::Input::vectors) {
    prepared.context = std::move(source);
    return;
  }
  if (!is_memory) {
    prepared.context.input = step::Input::kept_rows;
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
