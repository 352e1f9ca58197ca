// What a request that speculates keeps: the ids so far, the drafts of its next step, and how often
// drafts came true.
//
// Drafts that fail cost rows, so how many are tried follows from what came of those before. What is
// drafted never changes what a request gives.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
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
  bool has_draft_engine = false;
};

// The rules of a request. Throws ConfigError naming the field, or why it can't speculate here.
decode::SpeculationRules speculation_of(const std::optional<Speculation>& asked,
                                        const SpeculationSite& site,
                                        const step::Itinerary& itinerary);

class Drafting {
 public:
  Drafting(const decode::SpeculationRules& rules, const step::Itinerary& itinerary);
  virtual ~Drafting() = default;

  const decode::SpeculationRules& rules() const { return rules_; }
  // Drafts at most so many ids for the next step, none of which is in flight. Returns their number.
  virtual std::int32_t propose(std::int32_t most) = 0;
  // What the next step is fed with: the last id, then the drafts. Stays put until append().
  virtual const std::int32_t* fed() const = 0;
  // An id that a step gave, whether or not it ended the text.
  virtual void append(std::int32_t id) = 0;
  // How likely a draft comes true, as far as can be told from those that were checked.
  double gain() const;

  // A round is over in which so many drafts were checked, and the first `accepted` came true.
  void settle(std::int32_t drafted, std::int32_t accepted);

  const SpeculationStats& stats() const { return stats_; }
  // Adds what was counted since the last call.
  void tell(SpeculationStats& sum);

 protected:
  const std::vector<std::int32_t>& ends() const { return ends_; }
  void count_seconds(double seconds) { stats_.draft_seconds += seconds; }
  void count_fault() { ++stats_.faults; }

 private:
  virtual void learn(std::int32_t drafted, std::int32_t accepted) = 0;

  decode::SpeculationRules rules_;
  std::vector<std::int32_t> ends_;  // ids that end the text
  SpeculationStats stats_;
  SpeculationStats told_;
};

// Looks drafts up where the last ids stood before. They are trusted by the size of the n-gram: a
// long one is a better sign than a short one. After a round without a hit half as many are tried,
// after several, none for some rounds.
class LookupDrafting final : public Drafting {
 public:
  // The itinerary's steps draw `steps` ids at most.
  LookupDrafting(const decode::SpeculationRules& rules, const step::Itinerary& itinerary,
                 std::int32_t steps);

  std::int32_t propose(std::int32_t most) override;
  const std::int32_t* fed() const override { return fed_.data(); }
  void append(std::int32_t id) override { index_.append(id); }

 private:
  // How far drafts behind an n-gram of one size are trusted.
  struct Trust {
    std::int32_t most = 0;  // drafts of a round
    std::int32_t rest = 0;  // rounds without any that are left
    std::int32_t next_rest = 1;
  };

  void learn(std::int32_t drafted, std::int32_t accepted) override;

  decode::NgramIndex index_;
  std::vector<Trust> trusts_;  // [max_ngram]
  std::int32_t ngram_ = 0;     // behind which the drafts of the next step stood; 0: nowhere
  std::array<std::int32_t, decode::kMaxDrafts + 1> fed_ = {};
};

// Takes the guesses of a draft model (executor/draft_model.h). After a round in which all of them
// came true one more is asked for, after one without a hit one less; where not even the first one
// comes true, none for some rounds.
class ModelDrafting final : public Drafting {
 public:
  ModelDrafting(const decode::SpeculationRules& rules, const step::Itinerary& itinerary,
                std::int32_t steps);

  std::int32_t propose(std::int32_t most) override { return std::min(most, num_guesses()); }
  const std::int32_t* fed() const override { return text_.data() + num_ids_ - 1; }
  void append(std::int32_t id) override;

  // The ids of the prompt, those that steps gave, and the guesses behind them. Stays put.
  const std::int32_t* text() const { return text_.data(); }
  std::int32_t num_prompt() const { return num_prompt_; }
  std::int32_t num_ids() const { return num_ids_; }  // without guesses
  std::int32_t num_guesses() const { return static_cast<std::int32_t>(text_.size()) - num_ids_; }
  // Whether the next step has not been guessed for.
  bool needs_guesses() const { return !is_guessed_; }
  // How many ids the model should guess, of at most so many.
  std::int32_t wanted(std::int32_t most) const { return rest_ > 0 ? 0 : std::min(most_, most); }
  // Takes a guess, unless it ends the text: what stands behind an end is never checked.
  bool take(std::int32_t id);
  // The model is done with this step: it took so many seconds, and could guess or not.
  void finish_guesses(double seconds, bool could_guess);
  // Nothing is guessed for this step and those to come: the model gave numbers that are not finite.
  void give_up();

 private:
  void learn(std::int32_t drafted, std::int32_t accepted) override;

  std::vector<std::int32_t> text_;
  const std::int32_t num_prompt_;
  std::int32_t num_ids_;
  std::int32_t most_;      // guesses of a round
  std::int32_t rest_ = 0;  // rounds without any that are left
  std::int32_t next_rest_ = 1;
  bool is_guessed_ = false;
  bool was_unsure_ = false;  // the model was asked for this step and gave no guess
};

// Adds `now` without `before`, which was part of it.
void add_difference(SpeculationStats& sum, const SpeculationStats& now,
                    const SpeculationStats& before);

}  // namespace ttsrt::executor
