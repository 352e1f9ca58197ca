// Self-attention of a nested Program, over the places of a group of rows.
//
// Keys and values exist for one launch, in float32 blocks of each group. A thread handles whole
// heads of groups: it stores the new keys and values and attends, so that no barrier is needed
// between the two.
#pragma once

#include <vector>

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// Keys and values of all groups for one SelfAttention.
struct LocalCache {
  std::byte* data = nullptr;  // [groups, group_blocks] blocks
  BlockLayout layout;
  std::int32_t group_blocks = 0;
};

// Places of each group that run together, one row each; the places before them have run.
struct PlaceSpan {
  std::int32_t first_place = 0;
  std::int32_t rows = 1;
};

// The groups a nested Program runs on.
struct LocalRows {
  const std::int32_t* groups = nullptr;  // number of groups, read at run time
  PlaceSpan span;
  std::vector<LocalCache> caches;  // of the Program's SelfAttention ops, in their order
};

void add_local_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                         const Rows& out, const LocalRows& local, const LocalCache& cache,
                         Stages& stages);

}  // namespace ttsrt::cpu
