// The list of all plugins.
#include <algorithm>

#include "common/codebook_embed.h"
#include "common/draws.h"
#include "common/items.h"
#include "common/launches.h"
#include "common/local_transformer.h"
#include "common/masked_attention.h"
#include "common/memories.h"
#include "common/op.h"
#include "common/rows.h"

namespace ttsrt::plugins {

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {AddModulated::describe(),
                                        BeginLaunch::describe(),
                                        ClearScores::describe(),
                                        CodebookEmbed::describe(),
                                        CrossAttentionPrior::describe(),
                                        FinishStep::describe(),
                                        FlowStep::describe(),
                                        GiveResults::describe(),
                                        GroupedConv::describe(),
                                        GuidedSample::describe(),
                                        LoadRows::describe(),
                                        LocalTransformer::describe(),
                                        MaskedAttention::describe(),
                                        ModulatedNorm::describe(),
                                        PriorUpdate::describe(),
                                        StoreContext::describe(),
                                        StoreMemory::describe(),
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
