#include "cpu/stages/tile_linear.h"

#include <algorithm>

#include "core/check.h"
#include "cpu/kernels/tile_kernels.h"

namespace ttsrt::cpu {
namespace {

constexpr std::int64_t kTileRows = 32;  // of a block of tiles
constexpr std::int32_t kPanels = 2;     // of a block of tiles

std::string label_of(const LinearSpec& plan) {
  return message(plan.owner, "linear ", plan.weight->rows, " x ", plan.weight->cols,
                 " bfloat16 by tiles");
}

// Rounds the rows of the input, one behind the other, normalised if the plan says so.
class TilePackStage : public Stage {
 public:
  TilePackStage(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed)
      : site_(site), plan_(plan), packed_(packed) {}

  std::string label() const override { return "pack rows of " + label_of(plan_); }
  bool is_needed() const override { return *plan_.rows > 0; }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(plan_.x.width) * sizeof(float);
  }

  void run(const Worker& worker) override {
    const Range rows = share_of(*plan_.rows, worker);
    auto* normalised = reinterpret_cast<float*>(worker.scratch);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      if (needed_rows(site_, plan_, {row, row + 1}).is_empty()) continue;
      const float* x = plan_.x.row(row);
      if (plan_.norm.weight != nullptr) {
        site_.kernels->norm(x, plan_.norm, normalised);
        x = normalised;
      } else if (plan_.modulation.width > 0) {
        const float* columns = site_.launch->schedule[static_cast<std::size_t>(row)];
        site_.kernels->norm(x, plan_.modulation.args(columns), normalised);
        x = normalised;
      }
      site_.kernels->tiles->round(x, plan_.x.width, *packed_ + row * plan_.x.width / 2);
    }
  }

 private:
  Site site_;
  LinearSpec plan_;
  std::uint32_t* const* packed_;
};

// A unit is two panels for a block of rows. A thread that has finished its units steals others'.
class TileProductStage : public Stage {
 public:
  TileProductStage(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed)
      : site_(site), plan_(plan), packed_(packed) {}

  std::string label() const override { return label_of(plan_); }
  bool is_needed() const override { return *plan_.rows > 0; }

  void run(const Worker& worker) override {
    const std::int64_t blocks =
        (*plan_.rows + std::int64_t{kTileBlockRows} - 1) / std::int64_t{kTileBlockRows};
    const Range mine = share_of(blocks * groups(), worker);
    SharedRange* ranges = site_.ranges;
    SharedRange& own = ranges[worker.thread];
    own.open(static_cast<std::int32_t>(mine.begin), static_cast<std::int32_t>(mine.end));
    for (auto taken = own.take_front(1); !taken.is_empty(); taken = own.take_front(1))
      multiply(taken.begin);
    for (std::int32_t away = 1; away < worker.num_threads; ++away) {
      SharedRange& other = ranges[(worker.thread + away) % worker.num_threads];
      for (auto taken = other.take_back(1); !taken.is_empty(); taken = other.take_back(1))
        multiply(taken.begin);
    }
  }

 private:
  std::int32_t panels() const {
    return static_cast<std::int32_t>(ops::padded_rows(plan_.weight->rows) / ops::kPanel);
  }
  std::int64_t groups() const { return (panels() + kPanels - 1) / kPanels; }

  void multiply(std::int64_t unit) const {
    const std::int64_t block = unit / groups() * std::int64_t{kTileBlockRows};
    const Range rows = needed_rows(
        site_, plan_, {block, std::min<std::int64_t>(*plan_.rows, block + kTileBlockRows)});
    if (rows.is_empty()) return;
    const auto panel = static_cast<std::int32_t>(unit % groups()) * kPanels;
    const std::int64_t words = plan_.x.width / 2;
    TileProduct product = {};
    product.rows = *packed_ + rows.begin * words;
    product.row_words = words;
    product.weight = reinterpret_cast<const unsigned char*>(plan_.weight->data) +
                     panel * plan_.weight->cols * ops::kPanel * 2;
    product.taps = 1;
    product.steps = static_cast<std::int32_t>(plan_.weight->cols / kTileInputs);
    product.num_rows = static_cast<std::int32_t>(rows.end - rows.begin);
    product.panels = std::min(kPanels, panels() - panel);
    site_.kernels->tiles->linear(product, args(static_cast<std::int32_t>(rows.begin), panel));
  }

  LinearArgs args(std::int32_t first_row, std::int32_t panel) const {
    LinearArgs args = {};
    args.out = plan_.out.data;
    args.out_stride = plan_.out.stride;
    args.bias = plan_.bias;
    args.addend = plan_.addend.data;
    args.addend_stride = plan_.addend.stride;
    args.rows = *plan_.rows;
    args.first_row = first_row;
    args.outputs = static_cast<std::int32_t>(plan_.weight->rows);
    args.first_panel = panel;
    args.activation = plan_.activation;
    args.accumulate = plan_.accumulate;
    args.factors = plan_.factor < 0 ? nullptr : site_.launch->schedule.data();
    args.first_factor = plan_.factor;
    return args;
  }

  Site site_;
  LinearSpec plan_;
  std::uint32_t* const* packed_;
};

}  // namespace

bool uses_tiles(const Kernels& kernels, const LinearSpec& plan) {
  const ops::Weight& weight = *plan.weight;
  return kernels.tiles != nullptr && plan.has_many_rows && weight.dtype == DType::bfloat16 &&
         weight.quantization == ops::Quantization::none && weight.cols % kTileInputs == 0;
}

std::size_t tile_packed_bytes(const LinearSpec& plan) {
  return static_cast<std::size_t>(ops::padded_to(plan.max_rows, kTileRows) * plan.weight->cols) * 2;
}

void add_tile_linear(const Site& site, const LinearSpec& plan, std::uint32_t* const* packed,
                     Stages& stages) {
  stages.push_back(std::make_unique<TilePackStage>(site, plan, packed));
  stages.push_back(std::make_unique<TileProductStage>(site, plan, packed));
}

}  // namespace ttsrt::cpu
