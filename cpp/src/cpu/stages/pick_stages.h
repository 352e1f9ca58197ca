// What both ways of picking codes share: the local transformer's layers over groups of rows, and
// its inputs.
//
// Decided: a group is one branch of one draw. Autoregressive picks run one row of each group at a
// time and keep its keys and values; MaskGit runs all rows of a group at once. The layers and their
// kernels are the same.
#pragma once

#include "cpu/stages/plan.h"

namespace ttsrt::cpu {

struct PickBuffers {
  Rows embedded;  // [rows, dim], where there is an in-projection
  Rows x;         // [rows, width]
  Rows qkv;
  Rows attended;
  Rows hidden;  // [rows, ffn_dim]
  Rows logits;
  Rows kept;                       // the op's pick_logits, or none
  std::vector<std::byte*> caches;  // per layer: blocks of [groups]
  BlockLayout layout;
  std::int32_t group_blocks = 0;
};

// Rows of a group that run together, at these places of it.
struct PickSpan {
  std::int32_t first_place = 0;
  std::int32_t rows = 1;
};

// Takes room for `rows` rows in `groups` groups; logits_width: of one row or group.
PickBuffers make_pick_buffers(Plan& plan, const ops::PickCodes& op, std::int32_t groups,
                              std::int32_t rows, std::int32_t logits_rows);

// Writes what a place of a group is fed, before the in-projection where there is one: the decoder
// output (place 0) or the embedding of the code before it, and, without in-projection, the place's
// learned vector.
class PickFeeder {
 public:
  PickFeeder(const Site& site, const ops::PickCodes& op, const Rows& hidden,
             const PickBuffers& buffers);

  void feed_hidden(std::int32_t group, std::int64_t row) const;
  void feed_code(std::int32_t place, std::int32_t code, std::int64_t row) const;

  static bool has_projection(const ops::PickCodes& op) { return op.in_proj.is_present(); }
  // Adds the learned vector of a place to x.
  void add_position(std::int32_t place, float* x) const;

 private:
  float* target(std::int64_t row) const;

  Site site_;
  ops::PickCodes op_;
  Rows hidden_;
  PickBuffers buffers_;
};

// The stack's layers on x, `rows` of it at run time.
void add_pick_layers(Plan& plan, const ops::PickCodes& op, const PickBuffers& buffers,
                     const PickSpan& span, const std::int32_t* rows, std::int32_t max_rows,
                     Stages& stages);

// Zeroes the kept logits of every row, for those that pick nothing.
void add_clear_kept(Plan& plan, const Rows& kept);

void check_pick_codes(const Site& site, const ops::PickCodes& op, const Rows& hidden);

// The two ways.
void add_pick_autoregressive(Plan& plan, const ops::PickCodes& op, const Rows& hidden,
                             const Rows& kept);
void add_pick_maskgit(Plan& plan, const ops::PickCodes& op, const Rows& hidden, const Rows& kept);

}  // namespace ttsrt::cpu
