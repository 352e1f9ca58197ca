// Compares the rules of later rounds with the original's lists and dictionaries (NeMo 3.0.0,
// `generate_speech` and what it calls for one text), rewritten here with Python's indices.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "rules/prior.h"
#include "rules/stop.h"
#include "support/weights.h"

namespace ttsrt::rules {
namespace {

constexpr float kEpsilon = 0.1F;
constexpr std::int32_t kLookahead = 6;

SlotRules later_rules(std::int32_t text_len, std::int32_t history, std::int32_t focus,
                      bool is_last) {
  SlotRules rules;
  rules.text_len = text_len;
  rules.first_step = 40;
  rules.prior.mode = PriorMode::nemo;
  rules.prior.lookahead = kLookahead;
  rules.prior.track_finish = true;
  rules.prior.is_later = true;
  rules.prior.start_focus = focus;
  rules.prior.history = history;
  rules.prior.unfinished_grace = is_last ? 5 : 1;
  rules.prior.force_after = 5;
  rules.prior.round_end_after = is_last ? 0 : 3;
  return rules;
}

// A list with Python's indices and slices.
class List {
 public:
  List(std::int32_t size, float value) : values_(static_cast<std::size_t>(size), value) {}
  explicit List(std::vector<float> values) : values_(std::move(values)) {}

  std::int32_t size() const { return static_cast<std::int32_t>(values_.size()); }
  // Where the original would raise IndexError, nothing is set.
  void set(std::int32_t index, float value) {
    const std::int32_t at = index < 0 ? index + size() : index;
    if (at >= 0 && at < size()) values_[static_cast<std::size_t>(at)] = value;
  }
  void fill(std::int32_t begin, std::int32_t end, float value) {
    for (std::int32_t i = bound(begin); i < bound(end); ++i) set(i, value);
  }
  std::vector<float> slice(std::int32_t begin, std::int32_t end) const {
    std::vector<float> part;
    for (std::int32_t i = bound(begin); i < bound(end); ++i)
      part.push_back(values_[static_cast<std::size_t>(i)]);
    return part;
  }
  const std::vector<float>& values() const { return values_; }

 private:
  std::int32_t bound(std::int32_t index) const {
    return index < 0 ? std::max(index + size(), 0) : std::min(index, size());
  }

  std::vector<float> values_;
};

// The state of one later chunk of one text. Positions are absolute, as in the original.
class Original {
 public:
  Original(std::int32_t text_len, std::int32_t history, std::int32_t offset, std::int32_t last,
           bool is_last)
      : attended(last),
        text_len_(text_len),
        offset_(offset),
        is_last_(is_last),
        prior_(text_len, kEpsilon) {
    prior_.fill(0, history, kEpsilon * kEpsilon);
    const float weights[] = {0.5F, 1.0F, 0.8F, 0.2F, 0.2F};
    for (std::int32_t i = 0; i < 5; ++i) {
      if (history + i < text_len) prior_.set(history + i, weights[i]);
    }
  }

  void update(const std::vector<float>& scores) {
    std::int32_t last = attended;
    if (count_of(last) >= 8) last += 1;
    const std::int32_t in_window = last - offset_;
    const std::int32_t end = std::min(in_window + kLookahead, text_len_ - 3);
    const std::vector<float> seen = List(scores).slice(in_window, end);
    if (seen.empty()) {
      attended = text_len_ - 1 + offset_;
    } else {
      attended =
          static_cast<std::int32_t>(std::max_element(seen.begin(), seen.end()) - seen.begin()) +
          last;
    }
    counter_[attended] += 1;
    construct(attended - offset_);
    if (finished >= 0) {
      ++finished;
      if (finished > (is_last_ ? 5 : 1)) is_unfinished = false;
    }
  }

  const std::vector<float>& prior() const { return prior_.values(); }

  std::int32_t attended;
  bool is_unfinished = false;
  std::int32_t finished = -1;

 private:
  int count_of(std::int32_t position) const {
    const auto found = counter_.find(position);
    return found == counter_.end() ? 0 : found->second;
  }

  void construct(std::int32_t at) {
    const float least = kEpsilon * kEpsilon;
    prior_ = List(text_len_, kEpsilon);
    if (text_len_ <= 35) {
      prior_.fill(0, text_len_, 1.0F);
    } else {
      const float weights[] = {0.2F, 1.0F, 0.6F, 0.4F, 0.2F, 0.2F};
      const std::int32_t history_end = std::max(1, at - 1);
      prior_.fill(0, history_end, least);
      prior_.set(history_end, weights[0]);
      prior_.set(at, weights[1]);
      for (std::int32_t i = 1; i < 5; ++i) {
        if (at + i < text_len_) prior_.set(at + i, weights[i + 1]);
      }
      if (at + 5 < text_len_) prior_.fill(at + 5, text_len_, least);
    }
    for (const auto& [position, count] : counter_) {
      if (position > offset_ && count >= 10) prior_.fill(0, position - offset_ + 1, least);
    }
    const bool is_near = at >= text_len_ - 3;
    is_unfinished = !is_near;
    if (is_near && finished < 0) finished = 0;
  }

  std::int32_t text_len_;
  std::int32_t offset_;
  bool is_last_;
  List prior_;
  std::map<std::int32_t, int> counter_;
};

struct Round {
  std::int32_t text_len;
  std::int32_t history;
  std::int32_t focus;  // where the round before ended, in this window
};

void expect_original(const Round& round, std::uint32_t seed, bool is_last) {
  constexpr std::int32_t kOffset = 100;
  const std::string what = "T " + std::to_string(round.text_len) + ", focus " +
                           std::to_string(round.focus) + ", seed " + std::to_string(seed);
  const SlotRules rules = later_rules(round.text_len, round.history, round.focus, is_last);
  SlotState state = start_state(rules);
  EXPECT_EQ(state.step, 40);
  EXPECT_TRUE(state.has_prior);
  Original original(round.text_len, round.history, kOffset, kOffset + round.focus, is_last);
  std::mt19937 random(seed);
  for (int step = 0; step < 60; ++step) {
    for (std::int32_t j = 0; j < round.text_len; ++j) {
      ASSERT_FLOAT_EQ(prior_weight(rules.prior, state, nullptr, round.text_len, j),
                      original.prior()[static_cast<std::size_t>(j)])
          << what << ", step " << step << ", position " << j;
    }
    // A sink for some seeds: one position that is the likeliest for long.
    std::vector<float> scores;
    for (std::int32_t j = 0; j < round.text_len; ++j)
      scores.push_back(static_cast<float>(random() % 1000) / 1000.0F);
    if (seed % 2 == 1) {
      for (std::int32_t j = 0; j < round.text_len; j += 7)
        scores[static_cast<std::size_t>(j)] += 1.0F;
    }
    update_prior(rules, state, nullptr, scores.data());
    ++state.step;
    original.update(scores);
    ASSERT_EQ(state.focus, original.attended - kOffset) << what << ", step " << step;
    EXPECT_EQ(state.is_unfinished, original.is_unfinished) << what << ", step " << step;
    EXPECT_EQ(state.finish_count, std::max(original.finished, 0)) << what << ", step " << step;
  }
}

TEST(LaterRounds, AreTheOriginals) {
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    for (const bool is_last : {false, true}) {
      for (const Round& round :
           {Round{50, 20, 19}, Round{50, 20, 17}, Round{36, 16, 12}, Round{35, 15, 14},
            Round{12, 6, 5}, Round{44, 20, 0}, Round{3, 1, 0}, Round{2, 1, 0}, Round{41, 20, 1}})
        expect_original(round, seed, is_last);
    }
  }
}

// Where the round before ended early, the original counts from the end of the window.
TEST(LaterRounds, BeginBeforeTheirWindowAsTheOriginals) {
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    for (const std::int32_t focus : {-1, -2, -5, -9, -30, -47, -49, -50, -52, -55, -56, -57, -200})
      expect_original({50, 20, focus}, seed, seed % 3 == 0);
    for (const std::int32_t focus : {-1, -3, -12, -13, -18, -40})
      expect_original({12, 6, focus}, seed, seed % 3 == 0);
  }
}

TEST(LaterRounds, EndByForceKeepsAllFrames) {
  SlotRules rules = later_rules(50, 20, 19, false);
  rules.frame_stacking = 2;
  rules.codebooks = 1;
  rules.eos_id = 9;
  SlotState state = start_state(rules);
  const std::int32_t speech[] = {1, 2};
  const std::int32_t ends[] = {1, 9};
  state.finish_count = 2;
  EXPECT_EQ(end_frame(rules, state, speech, speech), -1);
  state.finish_count = 3;
  EXPECT_EQ(end_frame(rules, state, speech, speech), 2);
  EXPECT_EQ(end_frame(rules, state, ends, speech), 1);
  rules.prior.round_end_after = 0;  // the last round
  EXPECT_EQ(end_frame(rules, state, speech, speech), -1);
}

// A minimum and a run of equal stacks are those of the round.
TEST(LaterRounds, CountTheirOwnSteps) {
  SlotRules rules = later_rules(50, 20, 19, true);
  rules.min_frames = 3;
  SlotState state = start_state(rules);
  EXPECT_TRUE(is_below_minimum(rules, state));
  state.step = 43;
  EXPECT_FALSE(is_below_minimum(rules, state));
  const std::int32_t zeros[] = {0, 0};
  state = start_state(rules);
  count_equal(rules, state, zeros, zeros, 2);
  EXPECT_EQ(state.equal_stacks, 1);
  ++state.step;
  count_equal(rules, state, zeros, zeros, 2);
  EXPECT_EQ(state.equal_stacks, 2);
}

}  // namespace
}  // namespace ttsrt::rules
