// ttsrt::build: plans every tensor of the engine, packs them one at a time, and publishes the
// finished folder.
#include "ttsrt/build.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/half.h"
#include "core/output_file.h"
#include "core/safetensors.h"
#include "core/safetensors_writer.h"
#include "core/sha256.h"
#include "model/checkpoint.h"
#include "model/engine_data.h"
#include "model/folder_kind.h"
#include "model/limits.h"
#include "model/pack.h"
#include "model/pack_items.h"
#include "model/quantize.h"
#include "model/registry.h"
#include "ttsrt/publish.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

using model::Checkpoint;

// The rows an item takes from its source, taps of a convolution first.
std::vector<float> gather(const SafetensorsFile& file, const model::PackItem& item) {
  const auto rows = static_cast<std::size_t>(item.weight.rows);
  const auto cols = static_cast<std::size_t>(item.weight.cols);
  StoredTensor part = file.at(item.source.name);
  part.shape = {item.weight.rows, item.weight.cols};
  part.offset += static_cast<std::size_t>(item.first_row) * cols * size_of(part.dtype);
  part.bytes = rows * cols * size_of(part.dtype);
  std::vector<float> first = model::read_floats(part, file.read(part));
  if (item.taps == 1) return first;
  std::vector<float> values(first.size());
  const auto taps = static_cast<std::size_t>(item.taps);
  const std::size_t channels = cols / taps;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        values[row * cols + tap * channels + channel] = first[row * cols + channel * taps + tap];
      }
    }
  }
  return values;
}

// A tensor of the engine.
struct Piece {
  ops::Weight weight;
  std::vector<std::byte> bytes;
};

// What an item becomes: a tensor, and beside a quantized one its scales and zero points.
std::vector<Piece> pieces_of(const Checkpoint& checkpoint, const model::PackItem& item) {
  if (item.weight.dtype == DType::int32)
    return {{item.weight, checkpoint.weights.read(checkpoint.weights.at(item.source.name))}};
  const std::vector<float> values = gather(checkpoint.weights, item);
  for (const float value : values) {
    TTSRT_CHECK(FormatError, std::isfinite(value), checkpoint.weights.path(), ": ",
                item.source.name, ": expected finite numbers, got ", value);
    const bool fits =
        item.weight.dtype != DType::float16 || std::isfinite(from_float16(to_float16(value)));
    TTSRT_CHECK(FormatError, fits, checkpoint.weights.path(), ": ", item.source.name,
                ": expected numbers that fit float16, got ", value);
  }
  if (item.weight.quantization == ops::Quantization::none)
    return {{item.weight, model::pack(values, item.weight)}};
  model::Quantized quantized = model::quantize(values, item.weight);
  std::vector<Piece> pieces;
  pieces.push_back({item.weight, std::move(quantized.quants)});
  pieces.push_back({model::scales_of(item.weight), std::move(quantized.scales)});
  if (item.weight.has_zeros)
    pieces.push_back({model::zeros_of(item.weight), std::move(quantized.zeros)});
  return pieces;
}

SafetensorsWriter::Entry entry_of(const ops::Weight& weight) {
  std::vector<std::int64_t> shape = {weight.rows, weight.cols};
  if (weight.layout == ops::Layout::panel16)
    shape = {ops::padded_rows(weight.rows), ops::padded_cols(weight)};
  if (ops::has_groups(weight.quantization)) shape[1] /= 2;  // two to a byte
  return {weight.name, weight.dtype, shape};
}

std::vector<SafetensorsWriter::Entry> entries_of(const std::vector<model::PackItem>& items) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const model::PackItem& item : items) {
    entries.push_back(entry_of(item.weight));
    if (item.source.role == model::Role::data) entries.back().shape = item.source.shape;
    if (item.weight.quantization != ops::Quantization::none)
      entries.push_back(entry_of(model::scales_of(item.weight)));
    if (item.weight.has_zeros) entries.push_back(entry_of(model::zeros_of(item.weight)));
  }
  return entries;
}

OrderedJson describe(const Checkpoint& checkpoint, const model::Limits& limits,
                     const BuildOptions& options, const model::QuantizationChoice& quantization,
                     OrderedJson components) {
  OrderedJson engine;
  engine["format"] = "ttsrt.engine";
  engine["format_version"] = kEngineVersion;
  engine["family"] = JsonReader(checkpoint.json, checkpoint.where).string("family");
  engine["dtype"] = name_of(options.dtype);
  engine["quantization"] = ops::name_of(quantization.quantization);
  if (quantization.group_size != 0) engine["group_size"] = quantization.group_size;
  if (quantization.has_zeros) engine["zero_points"] = true;
  if (options.wide_heads) engine["wide_heads"] = true;
  engine["limits"] = {{"max_batch_size", limits.max_batch_size},
                      {"max_seq_len", limits.max_seq_len},
                      {"max_input_len", limits.max_input_len},
                      {"max_encoder_input_len", limits.max_encoder_input_len},
                      {"max_num_tokens", limits.max_num_tokens}};
  for (const char* kept : {"source", "codec", "model", "defaults"}) {
    if (checkpoint.json.contains(kept)) engine[kept] = checkpoint.json.at(kept);
  }
  engine["components"] = std::move(components);
  return engine;
}

OrderedJson describe(const Piece& piece) {
  OrderedJson entry = {{"layout", model::layout_name(piece.weight)}};
  if (piece.weight.group_size != 0) entry["group_size"] = piece.weight.group_size;
  if (piece.weight.has_zeros) entry["zero_points"] = true;
  entry["rows"] = piece.weight.rows;
  entry["cols"] = piece.weight.cols;
  entry["sha256"] = sha256_hex(piece.bytes.data(), piece.bytes.size());
  return entry;
}

void write_engine(const Checkpoint& checkpoint, const fs::path& folder, const model::Limits& limits,
                  const BuildOptions& options, const BuildProgress& progress) {
  const model::QuantizationChoice quantization =
      model::resolve_quantization(options.quantization, options.group_size, options.zero_points);
  const auto items =
      model::pack_items(checkpoint.manifest, {options.dtype, quantization, options.wide_heads});
  SafetensorsWriter writer((folder / "weights.safetensors").string(), entries_of(items));
  OrderedJson components = OrderedJson::object();
  std::int32_t done = 0;
  for (const auto& item : items) {
    OrderedJson& component = components[item.source.component];
    for (const Piece& piece : pieces_of(checkpoint, item)) {
      writer.write(piece.bytes.data(), piece.bytes.size());
      component["tensors"][piece.weight.name] = describe(piece);
    }
    if (progress) progress(++done, static_cast<std::int32_t>(items.size()), item.weight.name);
  }
  writer.finish();
  write_text(
      (folder / "engine.json").string(),
      describe(checkpoint, limits, options, quantization, std::move(components)).dump(1) + "\n");
  // Whatever the checkpoint holds: what was written opens, and an executor can run it.
  const EngineData written(folder.string());
  model::check_programs(*written.family, written.weights, written.limits, checkpoint.where);
}

}  // namespace

std::vector<TensorDescription> describe_manifest(const std::string& config) {
  const std::string where = "config.json";
  const Json json = parse_json(config, where);
  const auto family = model::read_family(JsonReader(json, where));
  const model::Manifest manifest = family->manifest();
  std::vector<TensorDescription> tensors;
  for (const model::TensorSpec& spec : manifest.tensors()) {
    TensorDescription tensor = {
        spec.component, spec.name, model::name_of(spec.role), spec.shape, {}};
    if (spec.dtype == DType::float32) {
      tensor.dtypes = {DType::float32, DType::bfloat16, DType::float16};
    } else {
      tensor.dtypes = {spec.dtype};
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void build(const std::string& checkpoint_dir, const std::string& output_dir,
           const BuildOptions& options, const BuildProgress& progress) {
  const bool is_known = options.dtype == DType::float32 || options.dtype == DType::bfloat16 ||
                        options.dtype == DType::float16;
  TTSRT_CHECK(ConfigError, is_known, "dtype: expected float32, bfloat16 or float16, got ",
              name_of(options.dtype));
  model::resolve_quantization(options.quantization, options.group_size,
                              options.zero_points);  // before any file
  model::check_is_checkpoint(checkpoint_dir);
  const Checkpoint checkpoint(checkpoint_dir);
  const model::Limits limits =
      model::resolve_limits(options, checkpoint.family->limit_bounds(checkpoint.manifest));
  model::itineraries_of(*checkpoint.family, limits, nullptr, checkpoint.where);
  const FolderKind kind = {"engine", "ttsrt.engine", "engine.json", {"weights.safetensors"}};
  FolderWriter writer(output_dir, kind, options.overwrite);
  write_engine(checkpoint, writer.folder(), limits, options, progress);
  writer.publish();
}

}  // namespace ttsrt
