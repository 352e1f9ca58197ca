// Compares the rules of the attention prior with the originals: with recorded runs, and with their
// dictionary code, which is rewritten here line by line.
#include "rules/prior.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "support/weights.h"

namespace ttsrt::rules {
namespace {

SlotRules nemo3(std::int32_t text_len) {
  SlotRules rules;
  rules.text_len = text_len;
  rules.prior.mode = PriorMode::nemo;
  rules.prior.lookahead = 6;
  rules.prior.right = 6;
  rules.prior.track_finish = true;
  return rules;
}

SlotRules nemo2503(std::int32_t text_len) {
  SlotRules rules = nemo3(text_len);
  rules.prior.lookahead = 10;
  rules.prior.right = 5;
  rules.prior.suppress_upto = false;
  rules.prior.count_end = false;
  rules.prior.unfinished_grace = 10;
  return rules;
}

SlotRules fork(std::int32_t text_len) {
  SlotRules rules;
  rules.text_len = text_len;
  rules.prior.mode = PriorMode::window;
  rules.prior.end_after = 20;
  return rules;
}

struct Follower {
  explicit Follower(const SlotRules& slot_rules)
      : rules(slot_rules), counts(static_cast<std::size_t>(slot_rules.text_len), 0) {}

  void update(const std::vector<float>& scores) {
    update_prior(rules, state, counts.data(), scores.data());
    ++state.step;
  }
  std::vector<float> weights() const {
    std::vector<float> row;
    for (std::int32_t j = 0; j < rules.text_len; ++j) {
      row.push_back(prior_weight(rules.prior, state, counts.data(), rules.text_len, j));
    }
    return row;
  }
  std::vector<std::int32_t> favoured() const {
    std::vector<std::int32_t> found;
    const std::vector<float> row = weights();
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (row[j] == 1.0F) found.push_back(static_cast<std::int32_t>(j));
    }
    return found;
  }

  SlotRules rules;
  SlotState state;
  std::vector<std::int32_t> counts;
};

// --- NeMo's dictionaries
// -------------------------------------------------------------------------------------------------

// `get_most_attended_text_timestep` and `construct_inference_prior` for a batch of one. In the 2503
// generation, the position T - 1 of an empty window is a tensor, and a tensor never equals a
// dictionary key; is_last_tensor_ models that.
class NemoDictionaries {
 public:
  NemoDictionaries(std::int32_t text_len, std::int32_t lookahead, bool is_2503)
      : text_len_(text_len), lookahead_(lookahead), is_2503_(is_2503) {}

  void update(const std::vector<float>& scores) {
    std::int32_t last = attended;
    if (!is_last_tensor_ && counter_.count(last) > 0 && counter_.at(last) >= 8) last += 1;
    const std::int32_t window_end = std::min(last + lookahead_, text_len_ - 3);
    if (window_end - last <= 0) {
      attended = text_len_ - 1;
      is_last_tensor_ = is_2503_;
    } else {
      attended = static_cast<std::int32_t>(
          std::max_element(scores.begin() + last, scores.begin() + window_end) - scores.begin());
      is_last_tensor_ = false;
    }
    if (!is_last_tensor_) counter_[attended] += 1;
    construct();
  }

  std::int32_t attended = 1;
  std::vector<float> prior;
  bool is_unfinished = false;
  std::int32_t finished_counter = -1;

 private:
  void construct() {
    const float epsilon = 0.1F;
    prior.assign(static_cast<std::size_t>(text_len_), epsilon);
    if (text_len_ <= 5) {
      std::fill(prior.begin(), prior.end(), 1.0F);
    } else {
      prior[static_cast<std::size_t>(std::max(1, attended - 1))] = 1.0F;
      prior[static_cast<std::size_t>(attended)] = 1.0F;
      for (std::int32_t i = 1; i <= (is_2503_ ? 5 : lookahead_); ++i) {
        prior[static_cast<std::size_t>(std::min(attended + i, text_len_ - 1))] = 1.0F;
      }
    }
    for (const auto& [position, count] : counter_) {
      if (count < 10) continue;
      const std::int32_t first = is_2503_ ? position : 0;
      for (std::int32_t j = first; j <= position; ++j) prior[static_cast<std::size_t>(j)] = epsilon;
    }
    is_unfinished = attended < text_len_ - 3;
    if (attended >= text_len_ - 2 && finished_counter < 0) finished_counter = 0;
    if (finished_counter >= 0) {
      ++finished_counter;
      if (finished_counter > (is_2503_ ? 10 : 5)) is_unfinished = false;
    }
  }

  std::int32_t text_len_;
  std::int32_t lookahead_;
  bool is_2503_;
  bool is_last_tensor_ = false;
  std::map<std::int32_t, std::int32_t> counter_;
};

struct Case {
  const char* name;
  bool is_2503;
};

class NemoPrior : public ::testing::TestWithParam<Case> {};

// Draws scores such that some runs advance fast, some stay at one position for long, and some reach
// the end.
std::vector<float> random_scores(std::int32_t text_len, std::uint64_t seed, std::int32_t step) {
  std::vector<float> scores = test::random_vector(static_cast<std::size_t>(text_len),
                                                  seed * 1000 + static_cast<std::uint64_t>(step));
  const std::int32_t sticky = static_cast<std::int32_t>(seed * 7) % text_len;
  const bool sticks = test::random_value(seed, static_cast<std::uint64_t>(step)) < 0.6F;
  if (seed % 3 != 0 && sticks) scores[static_cast<std::size_t>(sticky)] = 2.0F;
  return scores;
}

TEST_P(NemoPrior, FollowsTheDictionaries) {
  const bool is_2503 = GetParam().is_2503;
  for (const std::int32_t text_len : {2, 3, 4, 5, 6, 7, 9, 15, 40}) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Follower ours(is_2503 ? nemo2503(text_len) : nemo3(text_len));
      NemoDictionaries theirs(text_len, ours.rules.prior.lookahead, is_2503);
      EXPECT_FALSE(ours.state.has_prior);
      for (std::int32_t step = 0; step < 90; ++step) {
        const std::vector<float> scores = random_scores(text_len, seed, step);
        ours.update(scores);
        theirs.update(scores);
        const std::string where = message("text_len ", text_len, ", seed ", seed, ", step ", step);
        ASSERT_EQ(ours.state.focus, theirs.attended) << where;
        ASSERT_EQ(ours.weights(), theirs.prior) << where;
        ASSERT_EQ(ours.state.is_unfinished, theirs.is_unfinished) << where;
        ASSERT_EQ(ours.state.finish_count, std::max(0, theirs.finished_counter)) << where;
        ASSERT_TRUE(ours.state.has_prior);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Generations, NemoPrior,
                         ::testing::Values(Case{"nemo3", false}, Case{"nemo2503", true}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(PriorRules, NothingMovesBeforeTheStartStep) {
  SlotRules rules = nemo3(20);
  rules.prior.start_step = 2;
  Follower follower(rules);
  std::vector<float> scores(20, 0.0F);
  scores[5] = 1.0F;
  for (int step = 0; step < 2; ++step) {
    follower.update(scores);
    EXPECT_EQ(follower.state.focus, 1);
    EXPECT_FALSE(follower.state.has_prior);
  }
  follower.update(scores);
  EXPECT_EQ(follower.state.focus, 5);
  EXPECT_TRUE(follower.state.has_prior);
}

TEST(PriorRules, SkipAndSuppressionCanBeTurnedOff) {
  SlotRules rules = nemo3(20);
  rules.prior.skip_after = 0;
  rules.prior.suppress_after = 0;
  Follower follower(rules);
  std::vector<float> scores(20, 0.0F);
  scores[3] = 1.0F;
  for (int step = 0; step < 30; ++step) follower.update(scores);
  EXPECT_EQ(follower.state.focus, 3);
  EXPECT_EQ(follower.weights()[3], 1.0F);
}

TEST(PriorRules, LeftReachesBackButNeverToPositionZero) {
  SlotRules rules = nemo3(20);
  rules.prior.left = 4;
  rules.prior.right = 2;
  Follower follower(rules);
  follower.state.focus = 3;
  EXPECT_EQ(follower.favoured(), (std::vector<std::int32_t>{1, 2, 3, 4, 5}));
  follower.state.focus = 10;
  EXPECT_EQ(follower.favoured(), (std::vector<std::int32_t>{6, 7, 8, 9, 10, 11, 12}));
}

TEST(PriorRules, OffLeavesTheSlotAlone) {
  Follower follower(nemo3(20));
  follower.rules.prior.mode = PriorMode::off;
  follower.update(std::vector<float>(20, 1.0F));
  EXPECT_FALSE(follower.state.has_prior);
  EXPECT_EQ(follower.state.focus, 1);
}

// --- the fork
// ------------------------------------------------------------------------------------------------------------

// The fork's host rule as a recursion, as in its specification.
class ForkHost {
 public:
  explicit ForkHost(std::int32_t text_len)
      : text_len_(text_len), last_(std::max(1, text_len - 6)) {}

  void update(const std::vector<float>& scores) {
    if (is_first_) {
      is_first_ = false;
      return settle(1);
    }
    const std::int32_t end = std::min(focus + 5, text_len_);
    settle(static_cast<std::int32_t>(
        std::max_element(scores.begin() + focus, scores.begin() + end) - scores.begin()));
  }

  std::int32_t focus = 0;
  std::int32_t near_end = 0;

 private:
  void settle(std::int32_t position) {
    position = std::min(position, last_);
    focus = position;
    counts_[position] += 1;
    if (position >= last_) {
      ++near_end;
    } else if (counts_[position] >= 8) {
      settle(position + 1);
    }
  }

  std::int32_t text_len_;
  std::int32_t last_;
  bool is_first_ = true;
  std::map<std::int32_t, std::int32_t> counts_;
};

TEST(WindowPrior, FollowsTheForksHostRule) {
  for (const std::int32_t text_len : {2, 5, 6, 7, 8, 12, 40}) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Follower ours(fork(text_len));
      ForkHost theirs(text_len);
      for (std::int32_t step = 0; step < 90; ++step) {
        const std::vector<float> scores = random_scores(text_len, seed, step);
        ours.update(scores);
        theirs.update(scores);
        const std::string where = message("text_len ", text_len, ", seed ", seed, ", step ", step);
        ASSERT_EQ(ours.state.focus, theirs.focus) << where;
        ASSERT_EQ(ours.state.near_end, theirs.near_end) << where;
        for (std::int32_t j = 0; j < text_len; ++j) {
          const bool is_inside = j >= theirs.focus - 1 && j <= theirs.focus + 5;
          ASSERT_EQ(ours.weights()[static_cast<std::size_t>(j)], is_inside ? 1.0F : 0.1F) << where;
        }
      }
    }
  }
}

TEST(WindowPrior, AOneTokenTextStaysInBounds) {
  Follower follower(fork(1));
  for (int step = 0; step < 30; ++step) {
    follower.update({1.0F});
    ASSERT_GE(follower.state.focus, 0);
    ASSERT_LE(follower.state.focus, 1);
  }
  EXPECT_GE(follower.state.near_end, 1);
}

// --- recorded runs of the originals
// --------------------------------------------------------------------------------------

// prior_goldens.json: alignment scores (in millionths), attended positions and favoured positions
// of the next step's prior, from the golden runs tiny2503.cfg_prior_kv, tinyhf.lt_cfg_prior_kv and
// tinyfork.cfg_forkprior_kv.
void follow_golden(const nlohmann::json& item, const SlotRules& rules) {
  Follower ours(rules);
  const auto& steps = item.at("scores_e6");
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const auto scores = steps[step].get<std::vector<float>>();
    ours.update(scores);
    ASSERT_EQ(ours.state.focus, item.at("attended")[step].get<std::int32_t>()) << "step " << step;
    if (item.contains("near_end")) {
      ASSERT_EQ(ours.state.near_end, item.at("near_end")[step].get<std::int32_t>())
          << "step " << step;
    }
    if (step + 1 == steps.size()) break;
    ASSERT_EQ(ours.favoured(), item.at("favoured")[step].get<std::vector<std::int32_t>>())
        << "step " << step;
  }
}

TEST(PriorGoldens, EveryStepOfTheOriginalRuns) {
  std::ifstream file(TTSRT_TEST_DIR "/rules/prior_goldens.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  for (const auto& item : goldens.at("tiny2503")) {
    SlotRules rules = nemo2503(item.at("text_len").get<std::int32_t>());
    rules.prior.lookahead = 5;
    follow_golden(item, rules);
  }
  for (const auto& item : goldens.at("tinyhf"))
    follow_golden(item, nemo3(item.at("text_len").get<std::int32_t>()));
  for (const auto& item : goldens.at("tinyfork"))
    follow_golden(item, fork(item.at("text_len").get<std::int32_t>()));
}

}  // namespace
}  // namespace ttsrt::rules
