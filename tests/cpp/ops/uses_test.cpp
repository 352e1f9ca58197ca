#include "ops/uses.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ttsrt::ops {
namespace {

// The one use of a buffer in a phase.
Use use_of(const Op& op, BufferId buffer, std::int32_t phase = 0) {
  std::vector<Use> found;
  for (const Use& use : uses_of(op)) {
    if (use.part == Part::buffer && use.index == buffer && use.phase == phase) found.push_back(use);
  }
  EXPECT_EQ(found.size(), 1U) << "buffer " << buffer;
  return found.empty() ? Use{} : found[0];
}

bool uses_part(const Op& op, Part part) {
  const Uses uses = uses_of(op);
  return std::any_of(uses.begin(), uses.end(), [part](const Use& use) { return use.part == part; });
}

TEST(Uses, AProductReadsAllRowsAndWritesColumns) {
  Linear op;
  op.x = 3;
  op.out = 4;
  EXPECT_EQ(use_of(op, 3).share, Share::whole);
  EXPECT_FALSE(use_of(op, 3).writes());
  EXPECT_EQ(use_of(op, 4).share, Share::column);
  EXPECT_FALSE(use_of(op, 4).reads());
  op.accumulate = true;
  EXPECT_TRUE(use_of(op, 4).reads());
}

TEST(Uses, RowsOfANormMayBeWrittenInPlace) {
  const Norm op{1, 2, {}};
  Use in_place = use_of(op, 2);
  in_place.index = 1;
  EXPECT_TRUE(may_meet(use_of(op, 1), in_place));
}

TEST(Uses, ScoresOfSelfAttentionAreAPhaseBehind) {
  SelfAttention op;
  op.qkv = 0;
  op.out = 1;
  op.cache_layer = 5;
  const std::size_t without = uses_of(op).size();
  op.scores = 2;
  EXPECT_EQ(uses_of(op).size(), without + 3);
  EXPECT_EQ(use_of(op, 2, 2).share, Share::draw);
  EXPECT_EQ(use_of(op, 2, 2).access, Access::update);
  EXPECT_EQ(use_of(op, 0, 2).share, Share::whole);  // rows of draws are any thread's
}

TEST(Uses, AttentionReadsInASecondPhaseWhatTheFirstStored) {
  SelfAttention op;
  op.qkv = 0;
  op.out = 1;
  op.cache_layer = 5;
  Use stored;
  Use seen;
  for (const Use& use : uses_of(op)) {
    if (use.part == Part::cache) (use.phase == 0 ? stored : seen) = use;
  }
  EXPECT_TRUE(stored.writes());
  EXPECT_EQ(stored.index, 5);
  EXPECT_EQ(seen.index, 5);
  EXPECT_FALSE(may_meet(stored, seen));
  op.cache_layer = -1;
  EXPECT_FALSE(uses_part(op, Part::cache));
  EXPECT_TRUE(uses_part(op, Part::segment_blocks));
}

TEST(Uses, AbsentBuffersAreNone) {
  CrossAttention op;
  op.q = 0;
  op.out = 1;
  for (const Use& use : uses_of(op)) EXPECT_NE(use.index, kNoBuffer);
  op.scores = 2;
  EXPECT_TRUE(use_of(op, 2).reads() && use_of(op, 2).writes());
}

TEST(Uses, OnlyAConvolutionWithAHistoryKeepsOne) {
  Unfold op;
  op.x = 0;
  op.out = 1;
  op.kernel = 3;
  EXPECT_FALSE(uses_part(op, Part::history));
  op.history = 2;
  EXPECT_TRUE(uses_part(op, Part::history));
}

TEST(Uses, DifferentPiecesMeetAndSharedOnesDoNot) {
  const Use write{Part::buffer, 1, Access::write, Share::row};
  Use other = write;
  EXPECT_TRUE(may_meet(write, other));
  other.share = Share::column;
  EXPECT_FALSE(may_meet(write, other));
  other.index = 2;
  EXPECT_TRUE(may_meet(write, other));
  const Use read{Part::buffer, 1, Access::read, Share::whole};
  EXPECT_TRUE(may_meet(read, read));
  EXPECT_FALSE(may_meet(read, write));
  EXPECT_TRUE(may_meet(read, {Part::cache, 1, Access::write, Share::row}));
}

}  // namespace
}  // namespace ttsrt::ops
