#include "model/magpie/context.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "core/check.h"
#include "model/request_rows.h"

namespace ttsrt::model::magpie {
namespace {

using step::Input;
using step::RowSource;

RowSource context_of(Request& request, const Facts& facts, const VoiceFinder& voices) {
  const int given = (request.voice ? 1 : 0) + (is_given(request.context_codes) ? 1 : 0) +
                    (is_given(request.context_embeddings) ? 1 : 0) +
                    (request.context_text_ids.empty() ? 0 : 1);
  TTSRT_CHECK(ConfigError, given == 1,
              "context: expected exactly one of voice, context_codes, context_embeddings, "
              "context_text_ids; got ",
              given);
  if (request.voice) return voices.find(*request.voice)->parts.front();
  if (is_given(request.context_embeddings)) {
    return rows_of_vectors("context_embeddings", std::move(request.context_embeddings), facts.dim,
                           facts.max_input_len);
  }
  if (!request.context_text_ids.empty()) {
    TTSRT_CHECK(ConfigError, facts.context_text_vocab > 0,
                "context_text_ids: this model takes no text for its context");
    return rows_of_ids("context_text_ids", std::move(request.context_text_ids),
                       facts.context_text_vocab, facts.max_input_len, facts.context_text_table);
  }
  return rows_of_codes("context_codes", std::move(request.context_codes), facts);
}

// The way of a context to the decoder. `what` is the field that it comes from.
Context context_from(RowSource source, const std::string& what, const Facts& facts) {
  const bool is_memory = facts.context_route == ContextRoute::memory;
  TTSRT_CHECK(ConfigError, !is_memory || source.input != Input::vectors, what,
              ": this model reads its context through an encoder; give context_codes");
  Context context;
  if (facts.context_route == ContextRoute::rows || source.input == Input::vectors) {
    context.rows = std::move(source);
    return context;
  }
  if (!is_memory) {
    context.rows.input = Input::kept_rows;
    context.rows.rows = source.rows;
  }
  context.encoder = std::move(source);
  return context;
}

Context own_context(Request& request, const Facts& facts, const VoiceFinder& voices) {
  const std::string what = request.voice.has_value() ? "voice" : "context_embeddings";
  return context_from(context_of(request, facts, voices), what, facts);
}

// A chunk that begins has its own context in the place of the first one's, and the same stops.
void check_alike(const Context& first, const Context& other, std::size_t chunk) {
  const bool is_alike = (first.encoder.rows > 0) == (other.encoder.rows > 0) &&
                        (first.rows.rows > 0) == (other.rows.rows > 0);
  TTSRT_CHECK(ConfigError, is_alike, "text_voices[", chunk, "]: expected a context that ",
              first.encoder.rows > 0 ? "goes through the context encoder" : "is rows of vectors",
              ", as that of text_voices[0], got one of the other kind");
}

}  // namespace

RowSource rows_of_codes(const std::string& what, Matrix<std::int32_t>&& codes, const Facts& facts) {
  TTSRT_CHECK(ConfigError, facts.takes_context_codes, what,
              ": this model has no context encoder; give a voice or embeddings");
  const std::int32_t stacking = facts.rules.frame_stacking;
  const std::int64_t most = std::int64_t{facts.max_input_len} * (facts.pads_context ? 1 : stacking);
  const bool fits = codes.cols == facts.rules.codebooks && codes.rows >= 1 && codes.rows <= most &&
                    static_cast<std::int64_t>(codes.values.size()) == codes.rows * codes.cols;
  TTSRT_CHECK(ConfigError, fits, what, ": expected [1 to ", most, ", ", facts.rules.codebooks,
              "], got [", codes.rows, ", ", codes.cols, "]");
  check_ids(what, codes.values, facts.codebook_vocab);
  RowSource source;
  source.input = Input::codes;
  source.ids_per_row = facts.rules.stack_codes();
  const auto stacks = static_cast<std::int32_t>((codes.rows + stacking - 1) / stacking);
  const auto width = static_cast<std::size_t>(source.ids_per_row);
  std::vector<std::int32_t> ids = std::move(codes.values);
  ids.resize(static_cast<std::size_t>(stacks) * width, 0);
  source.rows = facts.pads_context ? static_cast<std::int32_t>(codes.rows) : stacks;
  ids.resize(static_cast<std::size_t>(source.rows) * width, step::kZeroRow);
  source.ids = std::make_shared<const std::vector<std::int32_t>>(std::move(ids));
  return source;
}

Speakers speakers_of(Request& request, const Facts& facts, const VoiceFinder& voices) {
  const std::size_t chunks = std::max<std::size_t>(request.text_chunks.size(), 1);
  Speakers speakers;
  speakers.begins.assign(chunks, false);
  speakers.begins.front() = true;
  speakers.has_later = request.later_chunks > 0;
  const std::vector<std::optional<VoiceRef>>& named = request.text_voices;
  if (named.empty()) {
    speakers.contexts.push_back(own_context(request, facts, voices));
    return speakers;
  }
  TTSRT_CHECK(ConfigError, named.size() == chunks, "text_voices: expected ", chunks,
              " voices, one for each chunk, got ", named.size());
  std::shared_ptr<const Voice> own;  // the request's, if it is a voice
  std::optional<Context> rest;       // of chunks that name none
  const bool needs_own =
      std::any_of(named.begin(), named.end(), [](const auto& voice) { return !voice.has_value(); });
  if (request.voice.has_value()) own = voices.find(*request.voice);
  if (needs_own) rest = own_context(request, facts, voices);
  const void* before = nullptr;
  for (std::size_t i = 0; i < chunks; ++i) {
    const std::shared_ptr<const Voice> voice = named[i] ? voices.find(*named[i]) : own;
    const void* speaker = voice != nullptr ? static_cast<const void*>(voice.get()) : &rest;
    speakers.begins[i] = i == 0 || speaker != before;
    before = speaker;
    if (!speakers.begins[i]) continue;
    speakers.contexts.push_back(
        named[i] ? context_from(voice->parts.front(), message("text_voices[", i, "]"), facts)
                 : *rest);
    check_alike(speakers.contexts.front(), speakers.contexts.back(), i);
  }
  return speakers;
}

}  // namespace ttsrt::model::magpie
