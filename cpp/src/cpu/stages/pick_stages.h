// Shared by both ways of picking codes: the nested Program of a local transformer over groups of
// rows, and its inputs.
//
// A group is one branch of one draw. Autoregressive picks run one place of each group at a time and
// keep its keys and values for the launch; MaskGit runs all places of a group at once. The nested
// Program is lowered like any other (compile.h); for autoregressive picks, once per place.
#pragma once

#include "cpu/compile.h"

namespace ttsrt::cpu {

struct PickBuffers {
  Rows embedded;  // [rows, dim], if there is an in-projection
  Rows x;         // [rows, width], the nested Program's input
  Rows output;    // [rows, width], its output
  Rows logits;    // [a multiple of groups, vocab]
  Rows kept;      // the op's pick_logits, or none
};

// The nested Program of a PickCodes: `places` rows of each of at most `max_groups` groups run
// together.
class PickNetwork {
 public:
  // `rows`: groups * places, at run time.
  PickNetwork(StageList& list, const ops::PickCodes& op, std::int32_t max_groups,
              std::int32_t places, const std::int32_t* rows);

  std::int32_t max_rows() const { return rows_.max_rows; }
  Rows input() const { return activation(op_.network.input); }
  Rows output() const { return activation(op_.network.output); }
  // Adds the stages that run the places from `first_place` on.
  void lower(StageList& list, std::int32_t first_place, Stages& stages);

 private:
  Rows activation(ops::BufferId buffer) const {
    return rows_.activations[static_cast<std::size_t>(buffer)];
  }

  const ops::PickCodes& op_;
  LocalRows local_;
  ProgramRows rows_;
};

// Allocates logits of `logits_rows` rows, besides the network's buffers.
PickBuffers make_pick_buffers(StageList& list, const ops::PickCodes& op, const PickNetwork& network,
                              const Rows& kept, std::int32_t logits_rows);

// Returns the product of a head; the caller sets its input and its logits.
LinearSpec head_plan(const ops::PickCodes& op, std::int32_t place);

// Writes the input of a place of a group, before the in-projection if there is one: the decoder
// output (place 0) or the embedding of the previous code and, without an in-projection, the learned
// vector of the place.
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

// Zeroes the kept logits of every row, for rows that pick no codes.
void add_clear_kept(StageList& list, const Rows& kept);

// The two ways of picking codes.
void add_pick_autoregressive(StageList& list, const ops::PickCodes& op, const Rows& hidden,
                             const Rows& kept);
void add_pick_maskgit(StageList& list, const ops::PickCodes& op, const Rows& hidden,
                      const Rows& kept);

}  // namespace ttsrt::cpu
