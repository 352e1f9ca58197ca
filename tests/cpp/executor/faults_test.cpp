#include "executor/faults.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/sequences.h"

namespace ttsrt::executor {
namespace {

using step::FaultStage;

// A guided request in slot 0, an unguided one in slot 1, and a plan that has both.
class FaultRows : public testing::Test {
 protected:
  FaultRows() {
    Request guided = test::small_request();
    guided.cfg_scale = 2.0F;
    at_.add(std::move(guided));
    at_.add(test::small_request());
    plan_.clear(at_.programs.size());
    plan_.items = {{test::kPrefill, 0, 1, 2, 4},
                   {test::kPrefill, step::kNoSlot, 1, 0, 3},
                   {test::kPrefill, 1, 1, 0, 2},
                   {test::kDecode, 0, at_.slots[0]->stepwise, 7, 1},
                   {test::kDecode, 1, at_.slots[1]->stepwise, 9, 1}};
  }

  FaultyRow find(std::int32_t program, std::int32_t row) const {
    return find_row(plan_, {program, row, FaultStage::logits, -1}, at_.slots);
  }
  std::string text(const step::Fault& fault) const {
    const FaultyRow at = find_row(plan_, fault, at_.slots);
    return describe(fault, at, *at_.slots[static_cast<std::size_t>(at.item->slot)], at_.site);
  }

  test::Sequencer at_;
  step::StepPlan plan_;
};

TEST_F(FaultRows, BelongToTheItemOfTheirRow) {
  EXPECT_EQ(find(test::kPrefill, 3).item, &plan_.items[0]);
  EXPECT_EQ(find(test::kPrefill, 3).row, 3);
  EXPECT_EQ(find(test::kPrefill, 4).item, nullptr);  // nobody's
  EXPECT_EQ(find(test::kPrefill, 6).item, nullptr);
  EXPECT_EQ(find(test::kPrefill, 7).item, &plan_.items[2]);
  EXPECT_EQ(find(test::kPrefill, 9).item, nullptr);         // beyond the launch
  EXPECT_EQ(find(test::kDecode, 1).item, &plan_.items[3]);  // its unconditional row
  EXPECT_EQ(find(test::kDecode, 2).item, &plan_.items[4]);
  EXPECT_EQ(find(test::kEncodeText, 0).item, nullptr);
}

// A step of slot 1 with three drafts, of which the model picked one.
TEST_F(FaultRows, OfDraftsThatWereNotPickedAreDropped) {
  plan_.items[4].rows = 4;
  step::StepOutput output;
  output.draws.resize(5);
  output.draws[3].has_codes = false;
  output.draws[4].has_codes = false;
  const auto is_lost = [&](std::int32_t row) {
    return is_dropped(plan_, find(test::kDecode, row), output);
  };
  EXPECT_FALSE(is_lost(0));
  EXPECT_FALSE(is_lost(1));  // slot 0 has two branches
  EXPECT_FALSE(is_lost(2));
  EXPECT_FALSE(is_lost(3));
  EXPECT_TRUE(is_lost(4));
  EXPECT_TRUE(is_lost(5));
  EXPECT_EQ(find(test::kDecode, 5).item, &plan_.items[4]);
  EXPECT_EQ(text({test::kDecode, 3, FaultStage::logits, -1}),
            "decode, step 10: logits: expected finite numbers, got infinity or NaN");
}

TEST_F(FaultRows, AreNamedByProgramStepAndStage) {
  EXPECT_EQ(text({test::kDecode, 1, FaultStage::logits, -1}),
            "decode, step 7: logits: expected finite numbers, got infinity or NaN");
  EXPECT_EQ(text({test::kDecode, 2, FaultStage::self_attention, 4}),
            "decode, step 9: self-attention keys and values of layer 4: expected finite numbers, "
            "got infinity or NaN");
  EXPECT_EQ(text({test::kPrefill, 3, FaultStage::self_attention, 0}),
            "prefill, step 0, row 5: self-attention keys and values of layer 0: expected finite "
            "numbers, got infinity or NaN");
  EXPECT_EQ(text({test::kDecode, 2, FaultStage::choice, -1}),
            "decode, step 9: codes: expected an id to draw, got masks that forbid every id");
}

TEST_F(FaultRows, HaveNamesForEveryStage) {
  const std::pair<FaultStage, const char*> names[] = {
      {FaultStage::cross_attention, "cross-attention keys and values"},
      {FaultStage::kept_rows, "encoded context"},
      {FaultStage::scores, "attention scores"},
      {FaultStage::local_logits, "logits of the local transformer"},
      {FaultStage::emitted, "output"}};
  for (const auto& [stage, name] : names)
    EXPECT_NE(text({test::kDecode, 0, stage, -1}).find(std::string(": ") + name + ": expected"),
              std::string::npos)
        << name;
}

TEST_F(FaultRows, OfEmittedRowsAreFoundOnTheHost) {
  std::vector<step::Fault> faults;
  append_emitted({{2, 2, {1.0F, 2.0F, 3.0F, NAN, -INFINITY, 0.0F}}, {3, 1, {}}}, faults);
  ASSERT_EQ(faults.size(), 2U);
  EXPECT_EQ(faults[0].program, 2);
  EXPECT_EQ(faults[0].row, 1);
  EXPECT_EQ(faults[1].row, 2);
  EXPECT_EQ(faults[1].stage, FaultStage::emitted);
}

}  // namespace
}  // namespace ttsrt::executor
