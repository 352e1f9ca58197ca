// How the rows of one Linear are packed and multiplied: by vectors (cpu/kernels/kernels.h) or by
// tiles (cpu/kernels/tile_kernels.h). A weight has one arithmetic: where both forms serve it, with
// few rows and with many, their bits are the same.
#pragma once

#include "cpu/kernels/tile_kernels.h"
#include "ops/weight.h"

namespace ttsrt::cpu {

struct ProductForm {
  const Kernels* kernels = nullptr;
  const LinearKernels* vectors = nullptr;
  const TileLinear* tiles = nullptr;  // or these
  RowShape shape = {};
  bool is_copied = false;         // packing copies a row unchanged
  std::int64_t alone_inputs = 0;  // of tiles: inputs of all rows that a thread packs for itself

  // Rows of a packed block, except of the only one.
  std::int32_t tile_rows() const { return tiles != nullptr ? kTileHeight : kernels->tile_rows; }
  // Most rows of an only block.
  std::int32_t wide_rows() const { return tiles != nullptr ? kTileHeight : kernels->wide_rows; }
  // Rows of a block, of which a product of `rows` rows consists; of tiles, so many that threads get
  // about equal shares.
  std::int32_t block_rows(std::int32_t rows, std::int32_t panels, std::int32_t threads) const;
  std::int32_t panels_in_flight(std::int32_t rows) const;
  // How many of its `own` units a thread takes at once. With tiles and more than 16 rows it takes
  // half of them, because the epilogue of the last sums of a call overlaps with no product.
  std::int32_t panels_at_once(std::int32_t rows, std::int64_t own) const;
  // Whether every thread packs so many rows for itself, because that is cheaper than a barrier.
  bool packs_alone(std::int32_t rows) const;
  // Bytes of LinearArgs::unpacked, for launches of up to `max_rows`.
  std::int64_t unpacked_bytes(const ops::Weight& weight, std::int32_t max_rows) const;
  // Words of so many packed rows.
  std::int64_t packed_words(std::int64_t rows) const;
};

// The forms of a weight: with fewer than `first_many` rows, and with more.
struct ProductForms {
  ProductForm few;
  ProductForm many;
  std::int32_t first_many = 1;

  ProductForms(const Kernels& level, const ops::Weight& weight);
  const ProductForm& of(std::int32_t rows) const { return rows < first_many ? few : many; }
};

// The table whose vectors multiply such weights.
const Kernels& vectors_for(const Kernels& level, ops::Quantization quantization);

// How tiles multiply such a weight; null: they do not.
const TileLinear* tiles_for(const Kernels& level, const ops::Weight& weight);

}  // namespace ttsrt::cpu
