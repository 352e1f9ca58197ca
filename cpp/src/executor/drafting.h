// What a request that speculates keeps: the ids so far, the drafts of its next step, and how often
// drafts came true.
//
// Drafts that fail cost rows, so how many are tried follows from what came of those before, for
// each size of n-gram by itself: a long one is a better sign than a short one. After a round
// without a hit half as many are tried, after several, none for some rounds. What is drafted never
// changes what a request gives.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decode/ngram_index.h"
#include "decode/speculation_options.h"
#include "step/itinerary.h"
#include "ttsrt/options.h"
#include "ttsrt/stats.h"

namespace ttsrt::executor {

// What an executor says about requests that speculate.
struct SpeculationSite {
  decode::SpeculationRules rules;  // of requests that do not say otherwise
  std::string refusal;             // why none can; empty: they can
};

// The rules of a request. Throws ConfigError naming the field, or why it can't speculate here.
decode::SpeculationRules speculation_of(const std::optional<Speculation>& asked,
                                        const SpeculationSite& site,
                                        const step::Itinerary& itinerary);

class Drafting {
 public:
  // The itinerary's steps draw `steps` ids at most.
  Drafting(const decode::SpeculationRules& rules, const step::Itinerary& itinerary,
           std::int32_t steps);

  const decode::SpeculationRules& rules() const { return rules_; }
  // Drafts at most so many ids for the next step, none of which is in flight. Returns their number.
  std::int32_t propose(std::int32_t most);
  // What the next step is fed with: the last id, then the drafts. Stays put until propose().
  const std::int32_t* fed() const { return fed_.data(); }
  // How likely a draft comes true, as far as can be told from those that were checked.
  double gain() const;

  // An id that a step gave, whether or not it ended the text.
  void append(std::int32_t id);
  // A round is over in which so many drafts were checked, and the first `accepted` came true.
  void settle(std::int32_t drafted, std::int32_t accepted);

  const SpeculationStats& stats() const { return stats_; }
  // Adds what was counted since the last call.
  void tell(SpeculationStats& sum);

 private:
  // How far drafts behind an n-gram of one size are trusted.
  struct Trust {
    std::int32_t most = 0;  // drafts of a round
    std::int32_t rest = 0;  // rounds without any that are left
    std::int32_t next_rest = 1;
  };

  void learn(Trust& trust, std::int32_t drafted, std::int32_t accepted) const;

  decode::SpeculationRules rules_;
  std::vector<std::int32_t> ends_;  // ids that end the text
  decode::NgramIndex index_;
  std::vector<Trust> trusts_;  // [max_ngram]
  std::int32_t ngram_ = 0;     // behind which the drafts of the next step stood; 0: nowhere
  std::array<std::int32_t, decode::kMaxDrafts + 1> fed_ = {};
  SpeculationStats stats_;
  SpeculationStats told_;
};

// Adds `now` without `before`, which was part of it.
void add_difference(SpeculationStats& sum, const SpeculationStats& now,
                    const SpeculationStats& before);

}  // namespace ttsrt::executor
