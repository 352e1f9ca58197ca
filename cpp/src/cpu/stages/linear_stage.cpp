#include "cpu/stages/linear_stage.h"

#include "core/check.h"
#include "cpu/stages/product_form.h"

namespace ttsrt::cpu {
namespace {

// Data that both stages of a Linear use.
struct Packing {
  Site site;
  LinearSpec plan;
  ProductForms forms;
  std::uint32_t* const* packed = nullptr;

  std::int32_t rows() const { return *plan.rows; }
  const ProductForm& form() const { return forms.of(rows()); }
  std::string label() const {
    const ops::Weight& weight = *plan.weight;
    const bool is_float = weight.quantization == ops::Quantization::none;
    return message(plan.owner, "linear ", weight.rows, " x ", weight.cols, " ",
                   is_float ? name_of(weight.dtype) : ops::name_of(weight.quantization),
                   weight.has_zeros ? " with zero points" : "",
                   forms.many.tiles != nullptr ? " by tiles" : "");
  }
  bool fits_one_tile() const { return rows() <= form().wide_rows(); }
  bool packs_alone() const { return form().packs_alone(rows()); }

  // Bytes for a normalised row, the prepared rows of a tile of vectors, and the tile, if a thread
  // packs for itself: whole cache lines.
  std::size_t scratch_bytes() const {
    const auto words = [](const ProductForm& by) {
      return prepared_words(by) + by.packed_words(by.wide_rows());
    };
    const std::int64_t most = std::max(words(forms.few), words(forms.many));
    return static_cast<std::size_t>(ops::padded_to(normalised_words() + most, 16)) *
           sizeof(std::uint32_t);
  }

  // Words of a normalised row, in whole cache lines.
  std::int64_t normalised_words() const { return ops::padded_to(plan.weight->cols, 16); }

  // Words of rows that wait to be interleaved; rows of tiles do not.
  static std::int64_t prepared_words(const ProductForm& by) {
    return by.tiles != nullptr ? 0 : ops::padded_to(by.wide_rows() * by.shape.words, 16);
  }

  // The row of the input, normalised if the plan says so.
  const float* input(std::int32_t row, float* normalised) const {
    const float* x = plan.x.row(row);
    if (plan.norm.weight != nullptr) {
      site.kernels->norm(x, plan.norm, normalised);
      return normalised;
    }
    if (plan.modulation.width > 0) {
      const float* columns = site.launch->schedule[static_cast<std::size_t>(row)];
      site.kernels->norm(x, plan.modulation.args(columns), normalised);
      return normalised;
    }
    return x;
  }

  // Packs the block of `count` rows that begins at `first`.
  void pack(std::int32_t first, std::int32_t count, std::byte* scratch, std::uint32_t* out) const {
    const ProductForm& by = form();
    auto* normalised = reinterpret_cast<float*>(scratch);
    if (by.tiles != nullptr) {
      for (std::int32_t r = 0; r < count; ++r)
        by.tiles->prepare(input(first + r, normalised), by.shape, count, r, out);
      return;
    }
    auto* prepared = reinterpret_cast<std::uint32_t*>(normalised) + normalised_words();
    const std::int32_t tile = by.kernels->tile_of(count);
    if (tile == 1) return by.vectors->prepare(input(first, normalised), by.shape, out);
    for (std::int32_t r = 0; r < count; ++r)
      by.vectors->prepare(input(first + r, normalised), by.shape, prepared + r * by.shape.words);
    by.kernels->interleave(prepared, count, tile, by.shape.words, out);
  }
};

class PackStage : public Stage {
 public:
  explicit PackStage(const Packing& packing) : packing_(packing) {}

  std::string label() const override { return "pack rows of " + packing_.label(); }
  bool is_needed() const override { return !packing_.packs_alone(); }
  std::size_t scratch_bytes() const override { return packing_.scratch_bytes(); }

  void run(const Worker& worker) override {
    const ProductForm& by = packing_.form();
    if (by.tiles != nullptr) return pack_rows(by, worker);
    const std::int32_t tile = by.tile_rows();
    const Range tiles = share_of((packing_.rows() + tile - 1) / tile, worker);
    for (std::int64_t t = tiles.begin; t < tiles.end; ++t) {
      const auto first = static_cast<std::int32_t>(t) * tile;
      if (needed_rows(packing_.site, packing_.plan, {first, first + tile}).is_empty()) continue;
      packing_.pack(first, std::min(packing_.rows() - first, tile), worker.scratch,
                    *packing_.packed + t * tile * by.shape.words);
    }
  }

 private:
  // Rows of a block lie apart, so that threads may share one.
  void pack_rows(const ProductForm& by, const Worker& worker) const {
    const std::int32_t height = std::min(packing_.rows(), kTileHeight);
    const Range rows = share_of(packing_.rows(), worker);
    auto* normalised = reinterpret_cast<float*>(worker.scratch);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto place = static_cast<std::int32_t>(row % kTileHeight);
      const Range block = {row - place,
                           std::min<std::int64_t>(row - place + height, packing_.rows())};
      if (needed_rows(packing_.site, packing_.plan, block).is_empty()) continue;
      by.tiles->prepare(packing_.input(static_cast<std::int32_t>(row), normalised), by.shape,
                        height, place, *packing_.packed + (row - place) * by.shape.words);
    }
  }

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
    const ProductForm& by = packing_.form();
    LinearArgs args;
    args.weight = plan.weight->data;
    args.scales = plan.weight->scales;
    args.zeros = reinterpret_cast<const unsigned char*>(plan.weight->zeros);
    args.packed = packed_rows(worker);
    args.unpacked = unpacked_bytes() > 0 ? worker.scratch + packing_.scratch_bytes() : nullptr;
    args.out = plan.out.data;
    args.out_stride = plan.out.stride;
    args.bias = plan.bias;
    args.row = by.shape;
    args.rows = packing_.rows();
    args.outputs = static_cast<std::int32_t>(plan.weight->rows);
    args.addend = plan.addend.data;
    args.addend_stride = plan.addend.stride;
    args.activation = plan.activation;
    args.accumulate = plan.accumulate;
    args.factors = plan.factor < 0 ? nullptr : packing_.site.launch->schedule.data();
    args.first_factor = plan.factor;
    if (by.tiles != nullptr) by.tiles->open(by.shape, args.rows);
    Division division;
    division.block = by.block_rows(args.rows, panels(), worker.num_threads);
    const std::int32_t blocks = (args.rows + division.block - 1) / division.block;
    const std::int32_t group = by.panels_in_flight(std::min(args.rows, division.block));
    // With tiles, the share of every thread is whole groups of panels.
    const std::int32_t whole = by.tiles != nullptr ? group : 1;
    division.units = static_cast<std::int32_t>(ops::padded_to(panels(), whole));
    const Range groups = share_of(std::int64_t{blocks} * division.units / whole, worker);
    const Range mine = {groups.begin * whole, groups.end * whole};
    SharedRange* ranges = packing_.site.ranges;
    SharedRange& own = ranges[worker.thread];
    const auto own_end = static_cast<std::int32_t>(mine.end);
    own.open(static_cast<std::int32_t>(mine.begin), own_end);
    const std::int32_t most = by.panels_at_once(args.rows, mine.end - mine.begin);
    for (auto taken = own.take_front(most); !taken.is_empty(); taken = own.take_front(most))
      multiply(args, taken, division, own_end);
    // A thief takes one group of panels for many rows and one panel for few rows, the smallest
    // amount that does not cost speed.
    const std::int32_t piece = packing_.fits_one_tile() ? 1 : group;
    for (std::int32_t away = 1; away < worker.num_threads; ++away) {
      SharedRange& other = ranges[(worker.thread + away) % worker.num_threads];
      for (auto taken = other.take_back(piece); !taken.is_empty(); taken = other.take_back(piece))
        multiply(args, taken, division, taken.end);
    }
    if (by.tiles != nullptr) packing_.site.kernels->tiles->close();
  }

 private:
  std::int32_t panels() const {
    return static_cast<std::int32_t>(ops::padded_rows(packing_.plan.weight->rows) / ops::kPanel);
  }

  std::int64_t unpacked_bytes() const {
    const LinearSpec& plan = packing_.plan;
    return std::max(packing_.forms.few.unpacked_bytes(*plan.weight, plan.max_rows),
                    packing_.forms.many.unpacked_bytes(*plan.weight, plan.max_rows));
  }

  // Rows of a block, and its units: one for each panel, and empty ones up to whole groups.
  struct Division {
    std::int32_t block = 0;
    std::int32_t units = 0;
  };

  // Units below `near` may be prefetched.
  void multiply(LinearArgs args, const SharedRange::Taken& taken, const Division& division,
                std::int32_t near) const {
    for (std::int32_t unit = taken.begin; unit < taken.end;) {
      const std::int32_t first = unit % division.units;
      const std::int32_t count = std::min(taken.end - unit, division.units - first);
      set_rows(unit / division.units * division.block, division.block, args);
      args.first_panel = first;
      args.last_panel = std::min(panels(), first + count);
      args.near_panels = std::min(panels(), first + near - unit);
      const ProductForm& by = packing_.form();
      const auto product = by.tiles != nullptr ? by.tiles->product : by.vectors->product;
      if (args.first_row < args.last_row) product(args);
      unit += count;
    }
  }

  // The tiles of a block that have rows which are needed.
  void set_rows(std::int32_t first, std::int32_t count, LinearArgs& args) const {
    args.first_row = first;
    args.last_row = std::min(args.rows, first + count);
    if (packing_.fits_one_tile()) return;
    const std::int64_t tile = packing_.form().tile_rows();
    const Range rows = needed_rows(packing_.site, packing_.plan, {args.first_row, args.last_row});
    args.first_row = static_cast<std::int32_t>(rows.begin / tile * tile);
    if (rows.is_empty()) args.last_row = args.first_row;
    args.last_row = static_cast<std::int32_t>(
        std::min<std::int64_t>(args.last_row, ops::padded_to(rows.end, tile)));
  }

  const std::uint32_t* packed_rows(const Worker& worker) const {
    const LinearSpec& plan = packing_.plan;
    if (!packing_.packs_alone()) return *packing_.packed;
    const ProductForm& by = packing_.form();
    const bool has_norm = plan.norm.weight != nullptr || plan.modulation.width > 0;
    const bool is_ready = packing_.rows() == 1 && !has_norm && by.is_copied;
    if (is_ready) return reinterpret_cast<const std::uint32_t*>(plan.x.data);
    auto* tile = reinterpret_cast<std::uint32_t*>(worker.scratch) + packing_.normalised_words() +
                 Packing::prepared_words(by);
    packing_.pack(0, packing_.rows(), worker.scratch, tile);
    return tile;
  }

  Packing packing_;
};

}  // namespace

std::size_t packed_bytes(const Kernels& level, const LinearSpec& plan) {
  const ProductForms forms(level, *plan.weight);
  return static_cast<std::size_t>(std::max(forms.few.packed_words(plan.max_rows),
                                           forms.many.packed_words(plan.max_rows))) *
         sizeof(std::uint32_t);
}

namespace {

// How tiles multiply such weights, for people.
std::string tile_words(const Kernels& level, DType dtype, ops::Quantization quantization) {
  ops::Weight weight;
  weight.dtype = dtype;
  weight.quantization = quantization;
  weight.group_size = 2 * kTileInputs;
  weight.cols = 2 * kTileInputs;
  const TileLinear* tiles = tiles_for(level, weight);
  if (tiles == nullptr) return "";
  return tiles->fewest_rows > 1
             ? message("; from ", tiles->fewest_rows, " rows on by ", level.tiles->name)
             : message("; by ", level.tiles->name, " where whole tiles hold the inputs");
}

}  // namespace

std::string describe_products(const Kernels& level, DType dtype, ops::Quantization quantization) {
  const Kernels& kernels = vectors_for(level, quantization);
  const bool is_float = quantization == ops::Quantization::none;
  const char* by = "multiply-add of float32";
  if (ops::quantizes_inputs(quantization) || (!is_float && kernels.splits_inputs)) {
    by = kernels.bytes_by;
  } else if (!is_float || dtype == DType::bfloat16) {
    by = kernels.pairs_by;
  }
  return message(level.name, ": ", is_float ? name_of(dtype) : ops::name_of(quantization), " by ",
                 by, ", in tiles of up to ", kernels.tile_rows, " rows by ",
                 kernels.panels_in_flight(kernels.tile_rows) * kLanes, " outputs",
                 kernels.wide_rows > kernels.tile_rows
                     ? message(", up to ", kernels.wide_rows, " rows in one")
                     : std::string(),
                 tile_words(level, dtype, quantization));
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
  const Packing packing{site, plan, ProductForms(*site.kernels, weight), packed};
  if (!packing.forms.few.packs_alone(plan.max_rows) ||
      !packing.forms.many.packs_alone(plan.max_rows))
    stages.push_back(std::make_unique<PackStage>(packing));
  stages.push_back(std::make_unique<ProductStage>(packing));
}

}  // namespace ttsrt::cpu
