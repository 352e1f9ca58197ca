// Stages that handle each row alone or with its neighbours: EmbedRows, Norm, Gate, Unfold,
// StoreContext.
#pragma once

#include <memory>
#include <vector>

#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

// Returns a float32 vector of `size` values, or null if it is absent; throws InternalError for
// another type or size.
const float* vector_of(const ops::Weight& weight, std::int64_t size);

// Returns the arguments of a kernel for a norm of rows of this width; they point into the op's
// weights.
NormArgs norm_args(const ops::Norm& op, std::int64_t width);
Activation activation_of(ops::Activate activate);

// Returns row `row` of a dense table.
inline const std::byte* table_row(const ops::Weight& table, std::int64_t row) {
  return table.data + row * table.cols * (table.dtype == DType::float32 ? 4 : 2);
}

void add_embed_rows(const Site& site, const ops::EmbedRows& op, const Rows& out, Stages& stages);
void add_norm(const Site& site, const ops::Norm& op, const Rows& x, const Rows& out,
              const std::int32_t* rows, Stages& stages);
void add_gate(const Site& site, const ops::Gate& op, const Rows& x, const Rows& out,
              const std::int32_t* rows, Stages& stages);
void add_unfold(const Site& site, const ops::Unfold& op, const Rows& x, const Rows& out,
                Stages& stages);
void add_store_context(const Site& site, const Rows& x, Stages& stages);

}  // namespace ttsrt::cpu
