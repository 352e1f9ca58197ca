// The list of all plugins.
#include <algorithm>

#include "common/codebook_embed.h"
#include "common/draws.h"
#include "common/launches.h"
#include "common/local_transformer.h"
#include "common/masked_attention.h"
#include "common/memories.h"
#include "common/op.h"
#include "common/rows.h"

namespace ttsrt::plugins {

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      BeginLaunch::describe(),     ClearScores::describe(),
      CodebookEmbed::describe(),   CrossAttentionPrior::describe(),
      FinishStep::describe(),      GiveResults::describe(),
      GuidedSample::describe(),    LocalTransformer::describe(),
      MaskedAttention::describe(), PriorUpdate::describe(),
      StoreContext::describe(),    StoreMemory::describe(),
      Unfold::describe()};
  return all;
}

const Kind& kind_of(std::string_view name) {
  const auto at = std::find_if(kinds().begin(), kinds().end(),
                               [name](const Kind& kind) { return kind.name == name; });
  if (at != kinds().end()) return *at;
  std::string known;
  for (const Kind& kind : kinds()) known += (known.empty() ? "" : ", ") + std::string(kind.name);
  throw ConfigError(message("plugin ", name, ": expected one of ", known));
}

}  // namespace ttsrt::plugins
