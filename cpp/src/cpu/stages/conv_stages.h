// Stages that read many rows of an item: convolutions over its rows, and the norm of each column
// over all of them.
#pragma once

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

void add_depthwise_conv(const Site& site, const ops::DepthwiseConv& op, const Rows& x,
                        const Rows& out, Stages& stages);
// `has_many_rows`: in every launch (ops::Program).
void add_grouped_conv(const Site& site, const ops::GroupedConv& op, const Rows& x, const Rows& out,
                      bool has_many_rows, Stages& stages);
void add_response_norm(const Site& site, const ops::ResponseNorm& op, const Rows& x,
                       const Rows& sums, Stages& stages);

}  // namespace ttsrt::cpu
