// Compares the analyzer of the alignment with recorded decisions of the original
// (make_analyzer_goldens.py), and with what its rule says in words.
#include "rules/analyzer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rules/stop.h"

namespace ttsrt::rules {
namespace {

constexpr std::int32_t kVocab = 5;
constexpr std::int32_t kEnd = 2;

// The scores and tokens that were recorded with: Rows of tests/parity/alignment_analyzer.py.
class MadeRows {
 public:
  MadeRows(std::string kind, std::int32_t text_len, std::uint32_t seed, std::int32_t vocab)
      : kind_(std::move(kind)), text_len_(text_len), state_(seed), vocab_(vocab) {
    pace_ = 1 + draw(3);
  }

  std::vector<float> next() {
    std::vector<std::int32_t> units(static_cast<std::size_t>(text_len_));
    for (std::int32_t& unit : units) unit = draw(2048);
    const auto at = static_cast<std::size_t>(peak());
    units[at] += 8192 + draw(32768);
    std::vector<float> scores;
    for (const std::int32_t unit : units) scores.push_back(static_cast<float>(unit) / 65536.0F);
    return scores;
  }
  std::int32_t token() { return draw(vocab_); }

 private:
  std::int32_t draw(std::int32_t below) {
    state_ = state_ * 1664525U + 1013904223U;
    return static_cast<std::int32_t>((state_ >> 8U) % static_cast<std::uint32_t>(below));
  }

  std::int32_t peak() {
    if (kind_ == "random") return draw(text_len_);
    const std::int32_t last = text_len_ - 1;
    const std::int32_t at = at_;
    at_ = std::min(at_ + draw(pace_ + 1), last);
    if (at < last || kind_ == "monotone") return at;
    if (kind_ == "linger") return last - draw(std::min(3, text_len_));
    return draw(2) != 0 ? draw(text_len_) : last;
  }

  std::string kind_;
  std::int32_t text_len_;
  std::uint32_t state_;
  std::int32_t vocab_;
  std::int32_t at_ = 0;
  std::int32_t pace_ = 1;
};

// One request's steps.
struct Steps {
  explicit Steps(std::int32_t text_len) {
    rules.text_len = text_len;
    rules.analyzer.acts = true;
    rules.eos_id = kEnd;
  }

  // "." nothing, "n" no end, "F" an end and nothing else, "?" anything else.
  char step(const std::vector<float>& scores, std::int32_t token) {
    update_analyzer(rules, state, scores.data());
    std::vector<float> logits(kVocab, 0.0F);
    apply_verdict(rules, state, logits.data(), kVocab);
    count_equal(SlotRules{}, state, &last, &token, 1);
    last = token;
    ++state.step;
    if (logits == std::vector<float>(kVocab, 0.0F)) return '.';
    if (logits == std::vector<float>{0.0F, 0.0F, -32768.0F, 0.0F, 0.0F}) return 'n';
    const std::vector<float> forced = {-32768.0F, -32768.0F, 32768.0F, -32768.0F, -32768.0F};
    return logits == forced ? 'F' : '?';
  }

  SlotRules rules;
  SlotState state;
  std::int32_t last = 0;
};

TEST(Analyzer, DecidesAsTheOriginal) {
  std::ifstream file(std::string(TTSRT_TEST_DIR) + "/rules/analyzer_goldens.json");
  ASSERT_TRUE(file.good());
  std::int32_t cases = 0;
  for (const auto& golden : nlohmann::json::parse(file)) {
    const auto text_len = golden.at("text_len").get<std::int32_t>();
    const auto wanted = golden.at("decisions").get<std::string>();
    MadeRows rows(golden.at("kind"), text_len, golden.at("seed"), golden.at("vocab"));
    Steps steps(text_len);
    std::string got;
    while (got.size() < wanted.size()) {
      const std::vector<float> scores = rows.next();
      got += steps.step(scores, rows.token());
    }
    EXPECT_EQ(got, wanted) << golden.dump();
    ++cases;
  }
  EXPECT_EQ(cases, 60);
}

TEST(Analyzer, ColumnsBehindTheStepAreNotSeen) {
  Steps steps(8);
  EXPECT_EQ(steps.step({0.1F, 0, 0, 0, 0, 0, 0.9F, 0}, 0), 'n');
  EXPECT_EQ(steps.state.analyzer.position, 0);
  EXPECT_FALSE(steps.state.analyzer.is_complete);
}

TEST(Analyzer, ShortTextsForbidNoEndAndHaveNoRepetition) {
  for (std::int32_t text_len = 1; text_len <= 5; ++text_len) {
    Steps steps(text_len);
    for (std::int32_t step = 0; step < 40; ++step) {
      // To one of the last columns, and then back to the first, which of 4 columns is not one of
      // the last.
      std::vector<float> scores(static_cast<std::size_t>(text_len), 0.0F);
      if (text_len > 3) scores[static_cast<std::size_t>(step == text_len - 2 ? step : 0)] = 0.5F;
      EXPECT_EQ(steps.step(scores, step), '.') << text_len << " " << step;
    }
    EXPECT_TRUE(steps.state.analyzer.is_complete);
  }
}

TEST(Analyzer, EqualTokensForceTheEndFromTheThirdStepOn) {
  Steps steps(20);
  const std::vector<float> scores(20, 0.1F);
  EXPECT_EQ(steps.step(scores, 7), 'n');
  EXPECT_EQ(steps.step(scores, 7), 'n');
  EXPECT_EQ(steps.step(scores, 8), 'F');
  EXPECT_EQ(steps.step(scores, 9), 'n');
}

TEST(Analyzer, AMinimumOfFramesTakesPrecedenceOverAForcedEnd) {
  Steps steps(20);
  steps.rules.min_frames = 3;
  const std::vector<float> scores(20, 0.1F);
  EXPECT_EQ(steps.step(scores, 7), 'n');
  EXPECT_EQ(steps.step(scores, 7), 'n');
  EXPECT_EQ(steps.step(scores, 7), '.');  // the minimum itself forbids the end (mask_logits)
  EXPECT_EQ(steps.step(scores, 7), 'F');
}

TEST(Analyzer, WithoutItNothingHappens) {
  Steps steps(8);
  steps.rules.analyzer.acts = false;
  const std::vector<float> scores(8, 0.5F);
  for (std::int32_t step = 0; step < 30; ++step) EXPECT_EQ(steps.step(scores, 7), '.');
  EXPECT_FALSE(steps.state.analyzer.is_complete);
}

TEST(Analyzer, ScoresAreReadByAlignmentsAnalyzersAndPriors) {
  SlotRules rules;
  EXPECT_FALSE(reads_scores(rules));
  rules.keep_scores = true;
  EXPECT_TRUE(reads_scores(rules));
  rules = {};
  rules.analyzer.acts = true;
  EXPECT_TRUE(reads_scores(rules));
  rules = {};
  rules.prior.mode = PriorMode::window;
  EXPECT_TRUE(reads_scores(rules));
}

}  // namespace
}  // namespace ttsrt::rules
