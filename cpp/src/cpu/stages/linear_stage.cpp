#include "cpu/stages/linear_stage.h"

#include "core/check.h"
#include "cpu/stages/tile_linear.h"

namespace ttsrt::cpu {
namespace {

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

// The table that multiplies such weights.
const Kernels* kernels_for(const Kernels* kernels, ops::Quantization quantization) {
  const bool is_a16 =
      quantization == ops::Quantization::w8a16 || quantization == ops::Quantization::w4a16;
  return is_a16 && kernels->a16 != nullptr ? kernels->a16 : kernels;
}

RowShape shape_of(const Kernels& kernels, const ops::Weight& weight) {
  const std::int64_t depth = ops::padded_cols(weight);
  const bool is_whole = ops::quantizes_inputs(weight.quantization);
  const bool is_paired = weight.dtype == DType::bfloat16 ||
                         (weight.quantization != ops::Quantization::none && !is_whole);
  RowShape shape;
  shape.depth = weight.cols;
  shape.groups = static_cast<std::int32_t>(ops::num_groups(weight));
  shape.group_words = depth / shape.groups;
  if (is_whole) shape.group_words /= 4;
  if (is_paired) shape.group_words = shape.group_words / 2 * kernels.pair_words;
  const int head = is_whole ? 2 : weight.has_zeros ? 1 : 0;
  shape.words = shape.groups * (shape.group_words + head);
  return shape;
}

// Data that both stages of a Linear use.
struct Packing {
  Site site;
  LinearSpec plan;
  const LinearKernels* kernels = nullptr;
  RowShape shape = {};
  bool is_copied = false;  // packing copies a row unchanged
  std::uint32_t* const* packed = nullptr;

  std::int32_t rows() const { return *plan.rows; }
  std::string label() const {
    const ops::Weight& weight = *plan.weight;
    const bool is_float = weight.quantization == ops::Quantization::none;
    return message(plan.owner, "linear ", weight.rows, " x ", weight.cols, " ",
                   is_float ? name_of(weight.dtype) : ops::name_of(weight.quantization),
                   weight.has_zeros ? " with zero points" : "");
  }
  bool fits_one_tile() const { return rows() <= site.kernels->wide_rows; }

  // Bytes for the prepared rows of a tile, a normalised row, and the tile, if a thread packs for
  // itself.
  std::size_t scratch_bytes() const {
    const auto tile =
        static_cast<std::size_t>(site.kernels->wide_rows) * static_cast<std::size_t>(shape.words);
    return (static_cast<std::size_t>(normalised_words()) + 2 * tile) * sizeof(std::uint32_t);
  }

  // Words of a normalised row, in whole cache lines.
  std::int64_t normalised_words() const { return ops::padded_to(shape.depth, 16); }

  void prepare(std::int32_t row, float* normalised, std::uint32_t* out) const {
    const float* x = plan.x.row(row);
    if (plan.norm.weight != nullptr) {
      site.kernels->norm(x, plan.norm, normalised);
      x = normalised;
    } else if (plan.modulation.width > 0) {
      const float* columns = site.launch->schedule[static_cast<std::size_t>(row)];
      site.kernels->norm(x, plan.modulation.args(columns), normalised);
      x = normalised;
    }
    kernels->prepare(x, shape, out);
  }

  // Packs the tile of `count` rows that begins at `first`.
  void pack(std::int32_t first, std::int32_t count, std::byte* scratch, std::uint32_t* out) const {
    auto* normalised = reinterpret_cast<float*>(scratch);
    auto* prepared = reinterpret_cast<std::uint32_t*>(normalised) + normalised_words();
    const std::int32_t tile = site.kernels->tile_of(count);
    if (tile == 1) return prepare(first, normalised, out);
    for (std::int32_t r = 0; r < count; ++r)
      prepare(first + r, normalised, prepared + r * shape.words);
    site.kernels->interleave(prepared, count, tile, shape.words, out);
  }
};

class PackStage : public Stage {
 public:
  explicit PackStage(const Packing& packing) : packing_(packing) {}

  std::string label() const override { return "pack rows of " + packing_.label(); }
  bool is_needed() const override { return !packing_.fits_one_tile(); }
  std::size_t scratch_bytes() const override { return packing_.scratch_bytes(); }

  void run(const Worker& worker) override {
    const std::int32_t tile = packing_.site.kernels->tile_rows;
    const Range tiles = share_of((packing_.rows() + tile - 1) / tile, worker);
    for (std::int64_t t = tiles.begin; t < tiles.end; ++t) {
      const auto first = static_cast<std::int32_t>(t) * tile;
      if (needed_rows(packing_.site, packing_.plan, {first, first + tile}).is_empty()) continue;
      packing_.pack(first, std::min(packing_.rows() - first, tile), worker.scratch,
                    *packing_.packed + t * tile * packing_.shape.words);
    }
  }

 private:
  Packing packing_;
};

class ProductStage : public Stage {
 public:
  explicit ProductStage(const Packing& packing) : packing_(packing) {}

  std::string label() const override { return packing_.label(); }
  bool is_needed() const override { return packing_.rows() > 0; }
  std::size_t scratch_bytes() const override {
    return packing_.scratch_bytes() + static_cast<std::size_t>(unpacked_bytes());
  }

  // A unit is a panel for a block of rows. Memory and other load on the machine slow threads
  // differently, so a thread that finishes its units steals from the others (work stealing).
  void run(const Worker& worker) override {
    const LinearSpec& plan = packing_.plan;
    LinearArgs args;
    args.weight = plan.weight->data;
    args.scales = plan.weight->scales;
    args.zeros = reinterpret_cast<const unsigned char*>(plan.weight->zeros);
    args.packed = packed_rows(worker);
    args.unpacked = unpacked_bytes() > 0 ? worker.scratch + packing_.scratch_bytes() : nullptr;
    args.out = plan.out.data;
    args.out_stride = plan.out.stride;
    args.bias = plan.bias;
    args.row = packing_.shape;
    args.rows = packing_.rows();
    args.outputs = static_cast<std::int32_t>(plan.weight->rows);
    args.addend = plan.addend.data;
    args.addend_stride = plan.addend.stride;
    args.activation = plan.activation;
    args.accumulate = plan.accumulate;
    args.factors = plan.factor < 0 ? nullptr : packing_.site.launch->schedule.data();
    args.first_factor = plan.factor;
    const std::int32_t block = packing_.site.kernels->block_rows(packing_.shape.words);
    const std::int32_t blocks = (args.rows + block - 1) / block;
    const Range mine = share_of(std::int64_t{blocks} * panels(), worker);
    SharedRange* ranges = packing_.site.ranges;
    SharedRange& own = ranges[worker.thread];
    const auto own_end = static_cast<std::int32_t>(mine.end);
    own.open(static_cast<std::int32_t>(mine.begin), own_end);
    const std::int32_t group = packing_.site.kernels->panels_in_flight(std::min(args.rows, block));
    for (auto taken = own.take_front(group); !taken.is_empty(); taken = own.take_front(group))
      multiply(args, taken, block, own_end);
    // A thief takes one group of panels for many rows and one panel for few rows, the smallest
    // amount that does not cost speed.
    const std::int32_t piece = packing_.fits_one_tile() ? 1 : group;
    for (std::int32_t away = 1; away < worker.num_threads; ++away) {
      SharedRange& other = ranges[(worker.thread + away) % worker.num_threads];
      for (auto taken = other.take_back(piece); !taken.is_empty(); taken = other.take_back(piece))
        multiply(args, taken, block, taken.end);
    }
  }

 private:
  std::int32_t panels() const {
    return static_cast<std::int32_t>(ops::padded_rows(packing_.plan.weight->rows) / ops::kPanel);
  }

  std::int64_t unpacked_bytes() const {
    const ops::Weight& weight = *packing_.plan.weight;
    const bool is_unpacked = weight.quantization != ops::Quantization::none &&
                             !ops::quantizes_inputs(weight.quantization) &&
                             packing_.plan.max_rows > 2 * packing_.site.kernels->tile_rows;
    return is_unpacked ? packing_.site.kernels->unpacked_bytes(ops::padded_cols(weight)) : 0;
  }

  // Units below `near` may be prefetched.
  void multiply(LinearArgs args, const SharedRange::Taken& taken, std::int32_t block,
                std::int32_t near) const {
    for (std::int32_t unit = taken.begin; unit < taken.end;) {
      const std::int32_t first = unit % panels();
      const std::int32_t count = std::min(taken.end - unit, panels() - first);
      set_rows(unit / panels() * block, block, args);
      args.first_panel = first;
      args.last_panel = first + count;
      args.near_panels = std::min(panels(), first + near - unit);
      if (args.first_row < args.last_row) packing_.kernels->product(args);
      unit += count;
    }
  }

  // The tiles of a block that have rows which are needed.
  void set_rows(std::int32_t first, std::int32_t count, LinearArgs& args) const {
    args.first_row = first;
    args.last_row = std::min(args.rows, first + count);
    if (packing_.fits_one_tile()) return;
    const std::int64_t tile = packing_.site.kernels->tile_rows;
    const Range rows = needed_rows(packing_.site, packing_.plan, {args.first_row, args.last_row});
    args.first_row = static_cast<std::int32_t>(rows.begin / tile * tile);
    if (rows.is_empty()) args.last_row = args.first_row;
    args.last_row = static_cast<std::int32_t>(
        std::min<std::int64_t>(args.last_row, ops::padded_to(rows.end, tile)));
  }

  // Every thread packs a single tile for itself, which is cheaper than a barrier.
  const std::uint32_t* packed_rows(const Worker& worker) const {
    const LinearSpec& plan = packing_.plan;
    if (!packing_.fits_one_tile()) return *packing_.packed;
    const bool has_norm = plan.norm.weight != nullptr || plan.modulation.width > 0;
    const bool is_ready = packing_.rows() == 1 && !has_norm && packing_.is_copied;
    if (is_ready) return reinterpret_cast<const std::uint32_t*>(plan.x.data);
    auto* tile = reinterpret_cast<std::uint32_t*>(worker.scratch) + packing_.normalised_words() +
                 packing_.site.kernels->wide_rows * packing_.shape.words;
    packing_.pack(0, packing_.rows(), worker.scratch, tile);
    return tile;
  }

  Packing packing_;
};

}  // namespace

std::size_t packed_bytes(const Kernels& level, const LinearSpec& plan) {
  if (uses_tiles(level, plan)) return tile_packed_bytes(plan);
  const Kernels& kernels = *kernels_for(&level, plan.weight->quantization);
  const std::int64_t tiles = (plan.max_rows + kernels.tile_rows - 1) / kernels.tile_rows;
  return static_cast<std::size_t>(tiles * kernels.tile_rows *
                                  shape_of(kernels, *plan.weight).words) *
         sizeof(std::uint32_t);
}

std::string describe_products(const Kernels& level, DType dtype, ops::Quantization quantization) {
  const Kernels& kernels = *kernels_for(&level, quantization);
  const bool is_float = quantization == ops::Quantization::none;
  const char* by = "multiply-add of float32";
  if (ops::quantizes_inputs(quantization)) {
    by = kernels.bytes_by;
  } else if (!is_float || dtype == DType::bfloat16) {
    by = kernels.pairs_by;
  }
  return message(level.name, ": ", is_float ? name_of(dtype) : ops::name_of(quantization), " by ",
                 by, ", in tiles of up to ", kernels.tile_rows, " rows by ",
                 kernels.panels_in_flight(kernels.tile_rows) * kLanes, " outputs",
                 kernels.wide_rows > kernels.tile_rows
                     ? message(", up to ", kernels.wide_rows, " rows in one")
                     : std::string());
}

void add_linear(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed,
                std::vector<std::unique_ptr<Stage>>& stages) {
  const ops::Weight& weight = *plan.weight;
  TTSRT_CHECK(InternalError, weight.layout == ops::Layout::panel16, weight.name,
              ": expected panel16 for a product");
  TTSRT_CHECK(InternalError, weight.cols == plan.x.width && weight.rows == plan.out.width,
              weight.name, ": expected [", plan.out.width, ", ", plan.x.width, "], got [",
              weight.rows, ", ", weight.cols, "]");
  TTSRT_CHECK(InternalError, plan.addend.data == nullptr || plan.addend.width == weight.rows,
              weight.name, ": expected an addend of width ", weight.rows, ", got ",
              plan.addend.width);
  TTSRT_CHECK(InternalError,
              (weight.scales != nullptr) == (weight.quantization != ops::Quantization::none),
              weight.name, ": scales and quantization come together");
  TTSRT_CHECK(InternalError, (weight.zeros != nullptr) == weight.has_zeros, weight.name,
              ": expected zero points where the layout has them, and only there");
  if (uses_tiles(*site.kernels, plan)) return add_tile_linear(site, plan, packed, stages);
  Packing packing;
  packing.site = site;
  packing.site.kernels = kernels_for(site.kernels, weight.quantization);
  packing.plan = plan;
  const Format format = format_of(weight);
  packing.kernels = &packing.site.kernels->linear[static_cast<int>(format)];
  packing.shape = shape_of(*packing.site.kernels, weight);
  packing.is_copied = (format == Format::float32 || format == Format::float16) &&
                      packing.shape.depth == packing.shape.words;
  packing.packed = packed;
  if (plan.max_rows > packing.site.kernels->wide_rows)
    stages.push_back(std::make_unique<PackStage>(packing));
  stages.push_back(std::make_unique<ProductStage>(packing));
}

}  // namespace ttsrt::cpu
