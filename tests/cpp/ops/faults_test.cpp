#include "ops/faults.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace ttsrt::ops {
namespace {

// One op of each kind that checks, after one that doesn't.
Program checked_program() {
  Program program;
  program.name = "checked";
  program.ops.emplace_back(Gate{});
  SelfAttention attention;
  attention.cache_layer = 5;
  program.ops.emplace_back(attention);
  program.ops.emplace_back(StoreMemory{kNoBuffer, 7, Memory::context});
  program.ops.emplace_back(StoreContext{});
  program.ops.emplace_back(UpdatePrior{});
  program.ops.emplace_back(SampleCodes{});
  program.ops.emplace_back(PickCodes{});
  return program;
}

step::Fault fault_at(std::size_t op, FaultKind kind = FaultKind::not_finite) {
  return fault_of(checked_program(), fault_word(op, kind));
}

TEST(Faults, NameTheOpThatFoundThem) {
  using step::FaultStage;
  const FaultStage stages[] = {FaultStage::self_attention, FaultStage::cross_attention,
                               FaultStage::kept_rows,      FaultStage::scores,
                               FaultStage::logits,         FaultStage::local_logits};
  for (std::size_t op = 1; op <= std::size(stages); ++op)
    EXPECT_EQ(fault_at(op).stage, stages[op - 1]) << op;
  EXPECT_EQ(fault_at(1).layer, 5);
  EXPECT_EQ(fault_at(2).layer, 7);
  EXPECT_EQ(fault_at(5).layer, -1);
  EXPECT_EQ(fault_at(5, FaultKind::no_choice).stage, FaultStage::choice);
  EXPECT_EQ(fault_at(6, FaultKind::no_choice).stage, FaultStage::choice);
}

TEST(Faults, AnEmbeddingChecksRowsThatTheHostHasNotSeen) {
  Program program;
  program.ops.emplace_back(EmbedRows{});
  EXPECT_EQ(fault_of(program, fault_word(0, FaultKind::not_finite)).stage,
            step::FaultStage::given_rows);
}

TEST(Faults, RefuseWordsThatNoOpWrites) {
  for (const std::uint32_t word :
       {std::uint32_t{0}, fault_word(7, FaultKind::not_finite), UINT32_MAX})
    EXPECT_TRUE(test::throws_naming<InternalError>("checked: fault word",
                                                   [word] { fault_of(checked_program(), word); }));
  EXPECT_TRUE(test::throws_naming<InternalError>("checks nothing", [] { fault_at(0); }));
}

TEST(Faults, TheFirstOpOfARowStays) {
  const Program program = checked_program();
  RowFaults faults(4);
  std::vector<step::Fault> found;
  faults.append(program, 3, 4, found);
  EXPECT_TRUE(found.empty());
  faults.add(2, fault_word(5, FaultKind::no_choice));
  faults.add(2, fault_word(5, FaultKind::not_finite));
  faults.add(0, fault_word(2, FaultKind::not_finite));
  faults.add(0, fault_word(6, FaultKind::not_finite));
  faults.append(program, 3, 4, found);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].row, 0);
  EXPECT_EQ(found[0].program, 3);
  EXPECT_EQ(found[0].stage, step::FaultStage::cross_attention);
  EXPECT_EQ(found[1].row, 2);
  EXPECT_EQ(found[1].stage, step::FaultStage::logits);
  found.clear();
  faults.append(program, 3, 2, found);  // rows beyond those of the launch are another's
  EXPECT_EQ(found.size(), 1U);
}

TEST(Faults, GoWithTheRows) {
  RowFaults faults(2);
  faults.add(1, fault_word(1, FaultKind::not_finite));
  faults.clear();
  std::vector<step::Fault> found;
  faults.append(checked_program(), 0, 2, found);
  EXPECT_TRUE(found.empty());
  faults.add(0, fault_word(1, FaultKind::not_finite));
  faults.append(checked_program(), 0, 2, found);
  EXPECT_EQ(found.size(), 1U);
}

}  // namespace
}  // namespace ttsrt::ops
