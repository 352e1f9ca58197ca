#include "cpu/stages/product_form.h"

#include <algorithm>

#include "cpu/stages/row_stages.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kLineWords = 16;  // of a cache line
// Inputs of a block of tiles that a thread packs for itself: rounding takes an eighth of a cycle
// for each, and to find the largest and quantize about one.
constexpr std::int64_t kRoundedAlone = 16 * 1024;
constexpr std::int64_t kQuantizedAlone = 4 * 1024;
// With fewer rows per block of tiles, a panel is read for too few products. Every further block
// reads all panels again, which pays off if the thread with most to do then has a tenth less.
constexpr std::int32_t kLeastTileBlock = 64;
constexpr std::int64_t kNotable = 10;

Format format_of(const ops::Weight& weight) {
  switch (weight.quantization) {
    case ops::Quantization::w8a16:
      return Format::w8a16;
    case ops::Quantization::w4a16:
      return weight.has_zeros ? Format::w4a16_zeros : Format::w4a16;
    case ops::Quantization::w8a8:
      return Format::w8a8;
    case ops::Quantization::w4a8:
      return weight.has_zeros ? Format::w4a8_zeros : Format::w4a8;
    default:
      break;
  }
  const Element element = element_of(weight.dtype);
  if (element == Element::float32) return Format::float32;
  return element == Element::bfloat16 ? Format::bfloat16 : Format::float16;
}

// Whether inputs of such weights are split in two bytes.
bool is_split(const Kernels& kernels, const ops::Weight& weight) {
  return kernels.splits_inputs && weight.quantization != ops::Quantization::none &&
         !ops::quantizes_inputs(weight.quantization);
}

RowShape shape_of(const Kernels& kernels, std::int32_t pair_words, const ops::Weight& weight) {
  const std::int64_t depth = ops::padded_cols(weight);
  RowShape shape;
  shape.depth = weight.cols;
  shape.groups = static_cast<std::int32_t>(ops::num_groups(weight));
  shape.group_words = depth / shape.groups;
  int head = weight.has_zeros ? 1 : 0;
  if (is_split(kernels, weight)) {
    if (!ops::has_groups(weight.quantization)) {
      shape.groups = static_cast<std::int32_t>((depth + kSplitInputs - 1) / kSplitInputs);
      shape.group_words = kSplitInputs;
    }
    shape.parts = 2;
    shape.group_words = shape.group_words * shape.parts / 4;
    head = 2;
  } else if (ops::quantizes_inputs(weight.quantization)) {
    shape.group_words /= 4;
    head = 2;
  } else if (weight.dtype == DType::bfloat16 || weight.quantization != ops::Quantization::none) {
    shape.group_words = shape.group_words / 2 * pair_words;
  }
  shape.words = shape.groups * (shape.group_words + head);
  return shape;
}

ProductForm vector_form(const Kernels& level, const ops::Weight& weight) {
  ProductForm form;
  form.kernels = &vectors_for(level, weight.quantization);
  const Format format = format_of(weight);
  form.vectors = &form.kernels->linear[static_cast<int>(format)];
  form.shape = shape_of(*form.kernels, form.kernels->pair_words, weight);
  form.is_copied = (format == Format::float32 || format == Format::float16) &&
                   form.shape.depth == form.shape.words;
  return form;
}

ProductForm tile_form(const Kernels& level, const ops::Weight& weight, const TileLinear& tiles) {
  ProductForm form;
  form.kernels = &level;
  form.tiles = &tiles;
  form.shape = shape_of(level, 1, weight);
  form.shape.words = ops::padded_to(form.shape.words, kLineWords);
  const bool is_rounded = weight.quantization == ops::Quantization::none;
  form.alone_inputs = is_rounded ? kRoundedAlone : kQuantizedAlone;
  return form;
}

}  // namespace

const Kernels& vectors_for(const Kernels& level, ops::Quantization quantization) {
  const bool is_a16 =
      quantization == ops::Quantization::w8a16 || quantization == ops::Quantization::w4a16;
  return is_a16 && level.a16 != nullptr ? *level.a16 : level;
}

const TileLinear* tiles_for(const Kernels& level, const ops::Weight& weight) {
  if (level.tiles == nullptr) return nullptr;
  const TileLinear& tiles = level.tiles->linear[static_cast<int>(format_of(weight))];
  const bool is_float = weight.quantization == ops::Quantization::none;
  const std::int64_t piece = is_float ? kTileInputs : 2 * kTileInputs;
  const bool has_whole_pieces = ops::has_groups(weight.quantization) || weight.cols % piece == 0;
  return tiles.product != nullptr && has_whole_pieces ? &tiles : nullptr;
}

std::int32_t ProductForm::panels_in_flight(std::int32_t rows) const {
  if (tiles == nullptr) return kernels->panels_in_flight(rows);
  return rows <= kTileHeight ? tiles->few_panels : tiles->many_panels;
}

std::int32_t ProductForm::block_rows(std::int32_t rows, std::int32_t panels,
                                     std::int32_t threads) const {
  if (tiles == nullptr) return kernels->block_rows(shape.words);
  const std::int32_t group = panels_in_flight(rows);
  const std::int64_t groups = (panels + group - 1) / group;
  const auto blocks_of = [rows](std::int32_t block) { return (rows + block - 1) / block; };
  std::int32_t best = 0;
  std::int64_t least = 0;  // rows times groups of the thread that has most
  for (std::int32_t blocks = blocks_of(kTileBlockRows);; ++blocks) {
    const auto block = static_cast<std::int32_t>(ops::padded_to((rows + blocks - 1) / blocks, 32));
    if (best > 0 && block < kLeastTileBlock) return best;
    const std::int64_t units = blocks_of(block) * groups;
    const std::int64_t most = (units + threads - 1) / threads * block;
    if (best == 0 || most * kNotable < least * (kNotable - 1)) {
      best = block;
      least = most;
    }
    if (block <= kLeastTileBlock) return best;
  }
}

std::int32_t ProductForm::panels_at_once(std::int32_t rows, std::int64_t own) const {
  const std::int32_t group = panels_in_flight(rows);
  if (tiles == nullptr || rows <= kTileHeight) return group;
  return static_cast<std::int32_t>(
      std::max(ops::padded_to((own + 1) / 2, group), std::int64_t{group}));
}

bool ProductForm::packs_alone(std::int32_t rows) const {
  if (rows > wide_rows()) return false;
  if (tiles == nullptr) return true;
  return rows * shape.depth <= alone_inputs;
}

std::int64_t ProductForm::unpacked_bytes(const ops::Weight& weight, std::int32_t max_rows) const {
  if (tiles != nullptr) return tiles->unpacked * ops::padded_cols(weight);
  const bool is_unpacked = weight.quantization != ops::Quantization::none &&
                           !ops::quantizes_inputs(weight.quantization) &&
                           max_rows > 2 * kernels->tile_rows;
  return is_unpacked ? kernels->unpacked_bytes(ops::padded_cols(weight)) : 0;
}

std::int64_t ProductForm::packed_words(std::int64_t rows) const {
  // Behind the last block of tiles, kernels read the heads of rows that are not there.
  const std::int64_t behind = tiles != nullptr ? 2 * kTileHeight : 0;
  return ops::padded_to(rows, tile_rows()) * shape.words + behind;
}

ProductForms::ProductForms(const Kernels& level, const ops::Weight& weight)
    : few(vector_form(level, weight)), many(few) {
  const TileLinear* tiles = tiles_for(level, weight);
  if (tiles == nullptr) return;
  many = tile_form(level, weight, *tiles);
  first_many = tiles->fewest_rows;
}

}  // namespace ttsrt::cpu
