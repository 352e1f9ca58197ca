#include "executor/drafting.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/check.h"
#include "core/quote.h"

namespace ttsrt::executor {
namespace {

using decode::DraftSource;

constexpr std::int32_t kMostRest = 16;  // rounds

static_assert(std::tuple_size_v<decltype(SpeculationStats::drafted_at)> == decode::kMaxDrafts);

std::vector<std::int32_t> ends_of(const rules::SlotRules& rules) {
  std::vector<std::int32_t> ends(rules.stop_ids, rules.stop_ids + rules.num_stop_ids);
  ends.push_back(rules.eos_id);
  return ends;
}

}  // namespace

decode::SpeculationRules speculation_of(const std::optional<Speculation>& asked,
                                        const SpeculationSite& site,
                                        const step::Itinerary& itinerary) {
  decode::SpeculationRules rules = site.rules;
  if (asked.has_value()) rules = decode::compile_speculation(*asked, site.rules);
  TTSRT_CHECK(ConfigError, !rules.is_on() || site.refusal.empty(),
              "speculation.mode: expected \"none\", as ", site.refusal, ", got ",
              in_quotes(name_of(rules.source)));
  TTSRT_CHECK(ConfigError, rules.source != DraftSource::model || site.has_draft_engine,
              "speculation.mode: expected \"none\" or \"ngram\", as this executor has no "
              "draft_engine, got \"draft\"");
  if (itinerary.draft_ids == nullptr || itinerary.forced_codes != nullptr)
    rules.source = DraftSource::none;
  return rules;
}

Drafting::Drafting(const decode::SpeculationRules& rules, const step::Itinerary& itinerary)
    : rules_(rules), ends_(ends_of(itinerary.rules)) {}

double Drafting::gain() const {
  return static_cast<double>(stats_.accepted + 1) / static_cast<double>(stats_.drafted + 2);
}

void Drafting::settle(std::int32_t drafted, std::int32_t accepted) {
  ++stats_.rounds;
  stats_.tokens += static_cast<std::uint64_t>(accepted) + 1;
  stats_.drafted += static_cast<std::uint64_t>(drafted);
  stats_.accepted += static_cast<std::uint64_t>(accepted);
  for (std::int32_t i = 0; i < drafted; ++i) ++stats_.drafted_at[static_cast<std::size_t>(i)];
  for (std::int32_t i = 0; i < accepted; ++i) ++stats_.accepted_at[static_cast<std::size_t>(i)];
  learn(drafted, accepted);
}

void Drafting::tell(SpeculationStats& sum) {
  add_difference(sum, stats_, told_);
  told_ = stats_;
}

LookupDrafting::LookupDrafting(const decode::SpeculationRules& rules,
                               const step::Itinerary& itinerary, std::int32_t steps)
    : Drafting(rules, itinerary),
      index_(rules.max_ngram, rules.match,
             itinerary.draft_ids->size() + static_cast<std::size_t>(steps)),
      trusts_(static_cast<std::size_t>(rules.max_ngram), Trust{rules.num_draft_tokens, 0, 1}) {
  for (const std::int32_t id : *itinerary.draft_ids) index_.append(id);
}

std::int32_t LookupDrafting::propose(std::int32_t most) {
  const auto begin = std::chrono::steady_clock::now();
  fed_[0] = index_.ids().back();
  decode::NgramDraft found =
      index_.draft(std::min(most, rules().num_draft_tokens), ends(), fed_.data() + 1);
  ngram_ = found.ngram;
  if (ngram_ > 0) {
    const Trust& trust = trusts_[static_cast<std::size_t>(ngram_) - 1];
    found.ids = trust.rest > 0 ? 0 : std::min(found.ids, trust.most);
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  count_seconds(spent.count());
  return found.ids;
}

void LookupDrafting::learn(std::int32_t drafted, std::int32_t accepted) {
  if (ngram_ == 0) return;
  Trust& trust = trusts_[static_cast<std::size_t>(ngram_) - 1];
  ngram_ = 0;
  if (trust.rest > 0) {
    --trust.rest;
  } else if (accepted > 0) {
    const std::int32_t next = accepted == drafted ? 2 * drafted : accepted + 1;
    trust.most = std::min(std::max(next, 1), rules().num_draft_tokens);
    trust.next_rest = 1;
  } else if (drafted > 0) {
    trust.most /= 2;
    if (trust.most > 0) return;
    trust.most = 1;
    trust.rest = trust.next_rest;
    trust.next_rest = std::min(2 * trust.next_rest, kMostRest);
  }
}

ModelDrafting::ModelDrafting(const decode::SpeculationRules& rules,
                             const step::Itinerary& itinerary, std::int32_t steps)
    : Drafting(rules, itinerary),
      num_prompt_(static_cast<std::int32_t>(itinerary.draft_ids->size())),
      num_ids_(num_prompt_),
      most_(rules.num_draft_tokens) {
  text_.reserve(itinerary.draft_ids->size() + static_cast<std::size_t>(steps + decode::kMaxDrafts));
  text_.assign(itinerary.draft_ids->begin(), itinerary.draft_ids->end());
}

void ModelDrafting::append(std::int32_t id) {
  text_.resize(static_cast<std::size_t>(num_ids_));
  text_.push_back(id);
  ++num_ids_;
}

bool ModelDrafting::take(std::int32_t id) {
  if (std::find(ends().begin(), ends().end(), id) != ends().end()) return false;
  text_.push_back(id);
  return true;
}

void ModelDrafting::finish_guesses(double seconds, bool could_guess) {
  is_guessed_ = true;
  was_unsure_ = could_guess && num_guesses() == 0;
  count_seconds(seconds);
}

void ModelDrafting::give_up() {
  text_.resize(static_cast<std::size_t>(num_ids_));
  rest_ = std::numeric_limits<std::int32_t>::max();
  count_fault();
}

// A model that was asked and was sure of nothing counts as one without a hit.
void ModelDrafting::learn(std::int32_t drafted, std::int32_t accepted) {
  const bool has_missed = accepted == 0 && (drafted > 0 || was_unsure_);
  is_guessed_ = false;
  was_unsure_ = false;
  if (rest_ > 0) {
    if (rest_ < std::numeric_limits<std::int32_t>::max()) --rest_;
  } else if (accepted > 0) {
    if (accepted == drafted) most_ = std::min(most_ + 1, rules().num_draft_tokens);
    next_rest_ = 1;
  } else if (has_missed && most_ > 1) {
    --most_;
  } else if (has_missed) {
    rest_ = next_rest_;
    next_rest_ = std::min(2 * next_rest_, kMostRest);
  }
}

void add_difference(SpeculationStats& sum, const SpeculationStats& now,
                    const SpeculationStats& before) {
  sum.rounds += now.rounds - before.rounds;
  sum.tokens += now.tokens - before.tokens;
  sum.drafted += now.drafted - before.drafted;
  sum.accepted += now.accepted - before.accepted;
  for (std::size_t i = 0; i < sum.drafted_at.size(); ++i) {
    sum.drafted_at[i] += now.drafted_at[i] - before.drafted_at[i];
    sum.accepted_at[i] += now.accepted_at[i] - before.accepted_at[i];
  }
  sum.faults += now.faults - before.faults;
  sum.draft_seconds += now.draft_seconds - before.draft_seconds;
}

}  // namespace ttsrt::executor
