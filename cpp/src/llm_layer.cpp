#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "backends.h"
#include "core/check.h"
#include "core/json.h"
#include "core/process.h"
#include "core/quote.h"
#include "model/llm/layer_programs.h"
#include "model/manifest.h"
#include "model/pack.h"
#include "model/pack_items.h"
#include "ops/backend.h"
#include "ttsrt/layer.h"

namespace ttsrt {
namespace {

using model::llm::LayerPart;

constexpr std::int32_t kMaxRows = 1 << 16;
constexpr std::size_t kAlignment = 64;
constexpr const char* kFirst = "decoder.layers.0.";

struct Free {
  void operator()(std::byte* at) const { std::free(at); }
};

// A weight in memory that stays where it is, so that compiled Programs read what set() wrote last.
struct Held {
  ops::Weight weight;
  std::unique_ptr<std::byte, Free> bytes;
  bool is_set = false;
};

Held place_for(ops::Weight weight) {
  const std::size_t size = model::packed_bytes(weight);
  const std::size_t taken = (size + kAlignment - 1) / kAlignment * kAlignment;
  Held held;
  held.bytes.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, taken)));
  TTSRT_CHECK(CapacityError, held.bytes != nullptr, "layer: no memory for ", size, " bytes of ",
              weight.name);
  std::memset(held.bytes.get(), 0, taken);
  weight.data = held.bytes.get();
  held.weight = std::move(weight);
  return held;
}

model::StackConfig read_stack(const std::string& text) {
  Json json = parse_json(text, "stack");
  const JsonGuard guard(json);
  model::StackConfig config = model::read_causal_stack(JsonReader(json, "stack"));
  config.layers = 1;
  config.has_norm_out = false;
  return config;
}

// The weights of a layer, float32, by their names inside it.
std::map<std::string, Held> weights_of(const model::StackConfig& config) {
  model::Manifest manifest;
  manifest.begin("decoder");
  model::declare_stack(manifest, "decoder", config);
  std::map<std::string, Held> all;
  for (const model::PackItem& item : model::list_tensors(manifest)) {
    ops::Weight weight = item.weight;
    if (weight.name.rfind(kFirst, 0) != 0) continue;
    weight.name.erase(0, std::strlen(kFirst));
    if (model::is_product(item.source.role)) weight.layout = ops::Layout::panel16;
    const std::string name = weight.name;
    all.emplace(name, place_for(std::move(weight)));
  }
  return all;
}

ops::StateSpec state_of(const model::StackConfig& config, std::int32_t max_rows) {
  ops::StateSpec spec;
  spec.slots = 1;
  spec.cache_layers = 1;
  spec.cache_heads = config.num_kv_heads();
  spec.cache_head_dim = config.head_dim();
  spec.num_blocks = static_cast<std::int32_t>(ops::blocks_for(max_rows));
  spec.max_positions = max_rows;
  spec.dim = config.dim;
  spec.codebooks = 1;
  return spec;
}

template <typename Names>
std::string listed(const Names& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

struct LlmLayer::Impl {
  Impl(const std::string& stack, std::int32_t rows, const std::string& device,
       std::int32_t num_threads)
      : config(read_stack(stack)),
        max_rows(rows),
        held(weights_of(config)),
        layer(model::layer_of(config,
                              [this](const std::string& name) { return held.at(name).weight; })),
        blocks(static_cast<std::size_t>(ops::blocks_for(rows))) {
    std::iota(blocks.begin(), blocks.end(), 0);
    if (config.rope.is_present()) rope = model::make_rope_table(config.rope, max_rows);
    backend = open_backend(device, num_threads);
    backend->create_state(state_of(config, max_rows));
    programs.resize(model::llm::layer_part_names().size());
    executables.resize(programs.size());
  }

  LayerPart part_of(const std::string& name) const {
    const std::vector<std::string>& names = model::llm::layer_part_names();
    const auto found = std::find(names.begin(), names.end(), name);
    TTSRT_CHECK(ConfigError, found != names.end(), "part: expected one of ", listed(names),
                ", got ", in_quotes(name));
    return static_cast<LayerPart>(found - names.begin());
  }

  ops::Executable& compiled(LayerPart part) {
    const auto index = static_cast<std::size_t>(part);
    if (executables[index] == nullptr) {
      programs[index] = model::llm::write_layer_part(part, config, layer, rope);
      executables[index] = backend->compile(
          programs[index], {max_rows, 0, true, false, static_cast<std::int32_t>(part), 1});
    }
    return *executables[index];
  }

  const HomeProcess home;
  const model::StackConfig config;
  const std::int32_t max_rows;
  std::map<std::string, Held> held;
  const model::LayerWeights layer;
  std::vector<std::int32_t> blocks;
  model::RopeTable rope;
  std::unique_ptr<ops::Backend> backend;
  std::vector<ops::Program> programs;  // by part
  std::vector<std::unique_ptr<ops::Executable>> executables;
  step::StepOutput output;
};

LlmLayer::LlmLayer(const std::string& stack, std::int32_t max_rows, const std::string& device,
                   std::int32_t num_threads) {
  TTSRT_CHECK(ConfigError, max_rows >= 1 && max_rows <= kMaxRows, "max_rows: expected 1 to ",
              kMaxRows, ", got ", max_rows);
  TTSRT_CHECK(ConfigError, device == "cpu" || device == "reference",
              "device: expected \"cpu\" or \"reference\", as a layer's weights are replaced where "
              "they are, got ",
              in_quotes(device));
  impl_ = std::make_unique<Impl>(stack, max_rows, device, num_threads);
}

LlmLayer::~LlmLayer() = default;
LlmLayer::LlmLayer(LlmLayer&&) noexcept = default;
LlmLayer& LlmLayer::operator=(LlmLayer&&) noexcept = default;

std::vector<std::string> LlmLayer::weights() const {
  std::vector<std::string> names;
  for (const auto& [name, held] : impl_->held) names.push_back(name);
  return names;
}

void LlmLayer::set(const std::string& name, const Matrix<float>& values) {
  const auto found = impl_->held.find(name);
  TTSRT_CHECK(ConfigError, found != impl_->held.end(), "name: expected one of ", listed(weights()),
              ", got ", in_quotes(name));
  Held& held = found->second;
  TTSRT_CHECK(ConfigError,
              values.rows == held.weight.rows && values.cols == held.weight.cols &&
                  static_cast<std::int64_t>(values.values.size()) == values.rows * values.cols,
              name, ": expected [", held.weight.rows, ", ", held.weight.cols, "], got [",
              values.rows, ", ", values.cols, "]");
  const std::vector<std::byte> packed = model::pack(values.values, held.weight);
  std::memcpy(held.bytes.get(), packed.data(), packed.size());
  held.is_set = true;
}

std::vector<LayerValues> LlmLayer::run(const std::string& part, const Matrix<float>& rows) {
  Impl& impl = *impl_;
  impl.home.check("run", "LlmLayer");
  const LayerPart chosen = impl.part_of(part);
  for (const auto& [name, held] : impl.held)
    TTSRT_CHECK(ConfigError, held.is_set, name, ": expected a weight by set(), got none");
  const std::int64_t width = model::llm::width_of(chosen, impl.config);
  TTSRT_CHECK(ConfigError,
              rows.rows >= 1 && rows.rows <= impl.max_rows && rows.cols == width &&
                  static_cast<std::int64_t>(rows.values.size()) == rows.rows * width,
              "rows: expected [1 to ", impl.max_rows, ", ", width, "], got [", rows.rows, ", ",
              rows.cols, "]");
  step::Segment segment;
  segment.rows = static_cast<std::int32_t>(rows.rows);
  segment.input = step::Input::vectors;
  segment.vectors = rows.values.data();
  segment.blocks = impl.blocks.data();
  segment.num_blocks = static_cast<std::int32_t>(impl.blocks.size());
  step::RowBatch batch;
  batch.rows = segment.rows;
  batch.segments.push_back(segment);
  impl.compiled(chosen).launch(batch);
  impl.backend->collect(impl.backend->submit(), impl.output);
  TTSRT_CHECK(ConfigError, impl.output.faults.empty(), "rows: expected finite values, row ",
              impl.output.faults.front().row, " of part ", in_quotes(part), " has others");
  std::vector<LayerValues> made;
  for (step::TapOutput& tap : impl.output.taps)
    made.push_back({tap.name, {tap.rows, tap.width, std::move(tap.values)}});
  return made;
}

}  // namespace ttsrt
