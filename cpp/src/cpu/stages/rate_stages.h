// Stages of the ops with rates (ops/rate_ops.h) but the convolution (stages/time_conv.h). Each
// buffer has `rate` rows for each row of the launch.
#pragma once

#include "cpu/stages/stage.h"
#include "cpu/stages/stage_list.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// A HalfSnake as its kernel takes it: tables of the columns, each followed by its first ones again.
struct SnakeSpec {
  const float* alpha = nullptr;
  const float* inverse = nullptr;
  const float* share = nullptr;
  std::int64_t width = 0;
  std::int64_t snakes = 0;
  float slope = 0.0F;

  SnakeArgs args(const float* x, float* out, std::int64_t count, std::int64_t first) const {
    return {x, out, count, first, width, snakes, alpha, inverse, share, slope};
  }
};
SnakeSpec snake_of(StageList& list, const ops::HalfSnake& op, std::int64_t width);

void add_dequantize(const Site& site, const ops::DequantizeCodes& op, const Rows& out,
                    Stages& stages);
void add_half_snake(const Site& site, const SnakeSpec& snake, const Rows& x, const Rows& out,
                    std::int64_t rate, Stages& stages);
void add_upsample(StageList& list, const ops::Upsample& op, const Rows& x, const Rows& out,
                  std::int64_t rate, Stages& stages);
void add_clamp(const Site& site, const ops::Clamp& op, const Rows& x, std::int64_t rate,
               Stages& stages);
void add_split_rows(const Site& site, const Rows& x, const Rows& out, std::int64_t values,
                    Stages& stages);
void add_shift_rows(const Site& site, const ops::ShiftRows& op, const Rows& x, const Rows& out,
                    std::int64_t rate, Stages& stages);
void add_quantize_rows(const Site& site, const ops::QuantizeRows& op, const Rows& x,
                       const Rows& out, Stages& stages);

}  // namespace ttsrt::cpu
