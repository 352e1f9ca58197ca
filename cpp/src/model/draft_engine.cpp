#include "model/draft_engine.h"

#include <algorithm>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::model {

void check_draft_engine(const EngineData& target, const EngineData& draft) {
  const std::optional<TextFacts> wanted = target.family->text_facts();
  const std::optional<TextFacts> got = draft.family->text_facts();
  TTSRT_CHECK(ConfigError, wanted.has_value(), "draft_engine: expected none, as the steps of a ",
              in_quotes(target.info.family), " do not draw the ids of a text, got ", draft.path);
  TTSRT_CHECK(ConfigError, got.has_value(), "draft_engine: ", draft.path,
              ": expected a model of the family ", in_quotes(target.info.family), ", got ",
              in_quotes(draft.info.family));
  TTSRT_CHECK(ConfigError, got->num_tokens == wanted->num_tokens, "draft_engine: ", draft.path,
              ": expected the vocabulary of ", target.path, ", ", wanted->num_tokens,
              " tokens, got ", got->num_tokens);
}

Limits draft_limits(const Limits& target, const EngineData& draft) {
  Limits limits = target;
  const std::int32_t most = draft.family->limit_bounds(draft.manifest).most_positions;
  limits.max_seq_len = std::min(target.max_seq_len, most);
  limits.max_input_len = std::min(target.max_input_len, most);
  limits.max_draft_rows = target.max_batch_size;
  return limits;
}

}  // namespace ttsrt::model
