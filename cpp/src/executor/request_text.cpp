#include "executor/request_text.h"

#include <utility>

#include "core/check.h"

namespace ttsrt::executor {
namespace {

void check_alone(const Request& request) {
  const std::pair<const char*, bool> others[] = {
      {"text_ids", !request.text_ids.empty()},
      {"text_chunks", !request.text_chunks.empty()},
      {"text_features", !request.text_features.empty() || request.text_features.is_on_gpu()},
      {"encoder_output", !request.encoder_output.empty() || request.encoder_output.is_on_gpu()},
      {"prompt_embeddings",
       !request.prompt_embeddings.empty() || request.prompt_embeddings.is_on_gpu()}};
  for (const auto& [name, is_given] : others)
    TTSRT_CHECK(ConfigError, !is_given, "text: expected a text or ", name, ", got both");
}

}  // namespace

void resolve_context_text(Request& request, const TextFrontEnd* front_end) {
  if (!request.context_text) return;
  TTSRT_CHECK(ConfigError, request.context_text_ids.empty(),
              "context_text: expected a text or context_text_ids, got both");
  TTSRT_CHECK(
      ConfigError, front_end != nullptr && !front_end->context_tokenizer().empty(),
      "context_text: expected none, as this engine has no tokenizer for texts that describe "
      "a voice; models that take such texts take context_text_ids, too");
  request.context_text_ids = front_end->encode_context(*request.context_text);
  request.context_text.reset();
}

void resolve_text(Request& request, const TextFrontEnd* front_end, std::int32_t max_ids) {
  if (!request.text) {
    TTSRT_CHECK(ConfigError, !request.language, "language: expected with a text, got it alone");
    return;
  }
  check_alone(request);
  TTSRT_CHECK(ConfigError, front_end != nullptr,
              "text: this engine has no front end that turns text into ids; give text_ids");
  EncodedChunks chunks =
      front_end->encode_chunks(*request.text, request.language.value_or(""), TextSplit::automatic);
  for (const std::int32_t ids : chunks.lengths)
    TTSRT_CHECK(ConfigError, ids <= max_ids, "text: expected at most ", max_ids,
                " ids, this engine's max_encoder_input_len, got ", ids);
  request.text_ids = std::move(chunks.ids);
  if (chunks.lengths.size() > 1) request.text_chunks = std::move(chunks.lengths);
  request.text.reset();
  request.language.reset();
}

}  // namespace ttsrt::executor
