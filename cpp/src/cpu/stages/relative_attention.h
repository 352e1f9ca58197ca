// Attention that knows distances (ops::DistanceRows, ops::RelativeAttention) in float32.
//
// Keys and values of a segment are stored as for other attention of whole segments; behind them
// stand the distances' vectors, transposed in blocks of 16 distances. The vectors that belong to
// the keys of one query follow each other, so that a query scores them as if they were keys, from
// one block on, and the scores that it needs begin somewhere in that block.
#pragma once

#include <cstddef>

#include "cpu/stages/attention_stages.h"

namespace ttsrt::cpu {

struct RelativeRows {
  Rows qkv;
  Rows distances;  // two rows for each row of the launch
  Rows out;
};

// Bytes that keys, values and distances of a launch take.
std::int64_t relative_segment_bytes(const ops::RelativeAttention& op,
                                    const ops::ProgramLimits& limits);

void add_distance_rows(const Site& site, const ops::DistanceRows& op, const Rows& out,
                       Stages& stages);
// `segments` is read when stages run.
void add_relative_attention(const Site& site, const ops::RelativeAttention& op,
                            const RelativeRows& rows, std::byte* const* segments,
                            std::int32_t max_rows, Stages& stages);

}  // namespace ttsrt::cpu
