#include "executor/request_text.h"

#include <utility>

#include "core/check.h"
#include "core/quote.h"

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

void check_no_options(const Request& request) {
  const std::pair<const char*, bool> options[] = {
      {"language", request.language.has_value()},
      {"text_options", request.text_options.strict || request.text_options.special_text},
      {"text_split", request.text_split != TextSplit::automatic},
      {"lexicon", !request.lexicon.empty()}};
  for (const auto& [name, is_given] : options)
    TTSRT_CHECK(ConfigError, !is_given, name, ": expected with a text, got it alone");
}

void check_lengths(const EncodedChunks& chunks, std::int32_t max_ids) {
  constexpr std::size_t kShown = 20;  // characters of a chunk
  for (std::size_t i = 0; i < chunks.lengths.size(); ++i)
    TTSRT_CHECK(ConfigError, chunks.lengths[i] <= max_ids, "text: chunk ", i + 1, " (",
                in_quotes(chunks.pieces[i].text, kShown), "): expected at most ", max_ids,
                " ids (max_encoder_input_len), got ", chunks.lengths[i],
                "; split=\"phrases\" makes shorter chunks");
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

SpokenText resolve_text(Request& request, const TextFrontEnd* front_end, std::int32_t max_ids) {
  if (!request.text) {
    check_no_options(request);
    return {};
  }
  check_alone(request);
  TTSRT_CHECK(ConfigError, front_end != nullptr,
              "text: this engine has no front end that turns text into ids; give text_ids");
  const TextLanguage found = front_end->resolve(request.language.value_or(""));
  EncodedChunks chunks =
      front_end->encode_chunks(*request.text, request.language.value_or(""), request.text_split,
                               request.text_options, request.lexicon);
  check_lengths(chunks, max_ids);
  SpokenText spoken;
  spoken.text = std::move(*request.text);
  spoken.language = found.language.empty() ? found.tokenizer : found.language;
  spoken.ids = chunks.ids;
  spoken.spans = std::move(chunks.spans);
  spoken.dropped = std::move(chunks.dropped);
  request.text_ids = std::move(chunks.ids);
  if (chunks.lengths.size() > 1) request.text_chunks = std::move(chunks.lengths);
  request.text.reset();
  request.language.reset();
  return spoken;
}

void tell_text(SpokenText&& spoken, Result& result) {
  result.text = std::move(spoken.text);
  result.language = std::move(spoken.language);
  result.text_ids = std::move(spoken.ids);
  result.text_spans = std::move(spoken.spans);
  result.dropped_text = std::move(spoken.dropped);
}

}  // namespace ttsrt::executor
