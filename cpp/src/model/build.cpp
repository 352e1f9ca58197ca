// ttsrt::build: plans every tensor of the engine, packs them one at a time, and publishes the
// finished folder.
#include "ttsrt/build.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/folder_entries.h"
#include "core/half.h"
#include "core/output_file.h"
#include "core/quote.h"
#include "core/safetensors.h"
#include "core/safetensors_writer.h"
#include "core/sha256.h"
#include "core/stop_flag.h"
#include "model/checkpoint.h"
#include "model/engine_data.h"
#include "model/limits.h"
#include "model/pack.h"
#include "model/pack_items.h"
#include "model/quantize.h"
#include "model/registry.h"
#include "model/servable.h"
#include "model/transposed.h"
#include "model/voice_model.h"
#include "model/wrong_path.h"
#include "text/pack.h"
#include "ttsrt/publish.h"

namespace ttsrt {
namespace {

namespace fs = std::filesystem;

using model::Checkpoint;

constexpr const char* kVoices = "voices";   // a folder of voice files
constexpr const char* kPlans = "tensorrt";  // a folder of plans of TensorRT
constexpr const char* kSound = "sound";     // a checkpoint of what makes sound of the model's codes
constexpr std::size_t kMaxVoices = 1000;
constexpr std::size_t kMaxVoiceBytes = std::size_t{16} << 20;
constexpr std::size_t kBetweenStops = std::size_t{1} << 18;  // values, or bytes that are hashed

// Writes objects as nlohmann's dump(1) does, member by member. A tree of ordered members would ask
// for memory in destructors, and the process would end where there is none.
class ObjectText {
 public:
  explicit ObjectText(int depth) : depth_(depth) {}

  // `value`: JSON text of one line.
  void put(const std::string& key, const std::string& value) {
    text_ += message(text_.empty() ? "{\n" : ",\n", std::string(indent(), ' '), Json(key).dump(),
                     ": ", value);
  }
  void put_string(const std::string& key, const std::string& value) {
    put(key, Json(value).dump());
  }
  // JSON text of several lines, as dump(1) writes it at the beginning of a line.
  void put_lines(const std::string& key, const std::string& lines) {
    std::string shifted;
    for (const char letter : lines) {
      shifted += letter;
      if (letter == '\n') shifted.append(indent(), ' ');
    }
    put(key, shifted);
  }
  std::string closed() const {
    return text_.empty() ? "{}" : text_ + "\n" + std::string(indent() - 1, ' ') + "}";
  }

 private:
  std::size_t indent() const { return static_cast<std::size_t>(depth_) + 1; }

  int depth_;
  std::string text_;
};

// A transposed convolution as a product, and its bias for each of the rows that one row becomes.
std::vector<float> gather_rated(const Checkpoint::Place& place, const model::PackItem& item) {
  const StoredTensor& tensor = place.file.at(place.name);
  const std::vector<float> stored = model::read_floats(tensor, place.file.read(tensor));
  if (item.source.role == model::Role::transposed)
    return model::transposed_product(stored, item.source.shape, item.source.rate);
  std::vector<float> values;
  for (std::int64_t row = 0; row < item.source.rate; ++row)
    values.insert(values.end(), stored.begin(), stored.end());
  return values;
}

// The rows an item takes from its source, taps of a convolution first.
std::vector<float> gather(const Checkpoint::Place& place, const model::PackItem& item) {
  if (item.source.rate > 1) return gather_rated(place, item);
  const auto rows = static_cast<std::size_t>(item.weight.rows);
  const auto cols = static_cast<std::size_t>(item.weight.cols);
  StoredTensor part = place.file.at(place.name);
  part.shape = {item.weight.rows, item.weight.cols};
  part.offset += static_cast<std::size_t>(item.first_row) * cols * size_of(part.dtype);
  part.bytes = rows * cols * size_of(part.dtype);
  std::vector<float> first = model::read_floats(part, place.file.read(part));
  if (item.taps == 1) return first;
  std::vector<float> values(first.size());
  const auto taps = static_cast<std::size_t>(item.taps);
  const std::size_t channels = cols / taps;
  for (std::size_t row = 0; row < rows; ++row) {
    check_stop();
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
  const Checkpoint::Place place = checkpoint.place_of(item.source.name);
  const std::vector<float> values = gather(place, item);
  for (std::size_t at = 0; at < values.size(); ++at) {
    if (at % kBetweenStops == 0) check_stop();
    const float value = values[at];
    TTSRT_CHECK(FormatError, std::isfinite(value), place.file.path(), ": ", place.name,
                ": expected finite numbers, got ", value);
    const bool fits =
        item.weight.dtype != DType::float16 || std::isfinite(from_float16(to_float16(value)));
    TTSRT_CHECK(FormatError, fits, place.file.path(), ": ", place.name,
                ": expected numbers that fit float16, got ", value);
  }
  if (item.weight.quantization == ops::Quantization::none)
    return {{item.weight, model::pack(values, item.weight)}};
  const std::optional<model::Grid> grid =
      place.name == item.source.name ? checkpoint.grid_of(item.source) : std::nullopt;
  const bool keeps = grid.has_value() && model::can_keep(*grid, item.weight);
  model::Quantized quantized =
      keeps ? model::keep_grid(values, item.weight, *grid) : model::quantize(values, item.weight);
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

// How products that give logits are quantized, where that is not how all are.
std::optional<model::QuantizationChoice> heads_of(const Checkpoint& checkpoint,
                                                  const BuildOptions& options) {
  if (!options.head_quantization.empty())
    return model::resolve_quantization(options.head_quantization, 0);
  if (options.wide_heads.value_or(checkpoint.manifest.keeps_heads_wide()))
    return model::QuantizationChoice{};
  return std::nullopt;
}

void check_heads(const BuildOptions& options) {
  const std::string& name = options.head_quantization;
  TTSRT_CHECK(ConfigError, name.empty() || name == "none" || name == "w8a16" || name == "w8a8",
              "head_quantization: expected none, w8a16 or w8a8, got ", in_quotes(name));
  TTSRT_CHECK(ConfigError, name.empty() || !options.wide_heads.has_value(),
              "wide_heads: expected none beside head_quantization");
  TTSRT_CHECK(ConfigError, options.exclude_modules.empty() || options.quantization != "none",
              "exclude_modules: expected none without a quantization, got ",
              options.exclude_modules.size(), " names");
}

void describe(ObjectText& engine, const Checkpoint& checkpoint, const model::Limits& limits,
              const BuildOptions& options, const model::QuantizationChoice& quantization) {
  engine.put_string("format", "ttsrt.engine");
  engine.put("format_version", std::to_string(kEngineVersion));
  engine.put_string("family", JsonReader(checkpoint.json, checkpoint.where).string("family"));
  engine.put_string("dtype", name_of(options.dtype));
  engine.put_string("quantization", ops::name_of(quantization.quantization));
  if (quantization.group_size != 0)
    engine.put("group_size", std::to_string(quantization.group_size));
  if (quantization.has_zeros) engine.put("zero_points", "true");
  const std::optional<model::QuantizationChoice> heads = heads_of(checkpoint, options);
  if (heads.has_value() && heads->quantization != quantization.quantization) {
    const bool is_wide = heads->quantization == ops::Quantization::none;
    if (is_wide) engine.put("wide_heads", "true");
    if (!is_wide) engine.put_string("head_quantization", ops::name_of(heads->quantization));
  }
  if (!options.exclude_modules.empty())
    engine.put("exclude_modules", Json(options.exclude_modules).dump());
  ObjectText bounds(1);
  bounds.put("max_batch_size", std::to_string(limits.max_batch_size));
  bounds.put("max_seq_len", std::to_string(limits.max_seq_len));
  bounds.put("max_input_len", std::to_string(limits.max_input_len));
  bounds.put("max_encoder_input_len", std::to_string(limits.max_encoder_input_len));
  bounds.put("max_num_tokens", std::to_string(limits.max_num_tokens));
  engine.put("limits", bounds.closed());
  for (const char* kept : {"source", "codec", "model", "defaults", "front_end"}) {
    if (checkpoint.json.contains(kept)) engine.put_lines(kept, checkpoint.json.at(kept).dump(1));
  }
}

std::string describe(const Piece& piece) {
  ObjectText entry(4);
  entry.put_string("layout", model::layout_name(piece.weight));
  if (piece.weight.group_size != 0)
    entry.put("group_size", std::to_string(piece.weight.group_size));
  if (piece.weight.has_zeros) entry.put("zero_points", "true");
  entry.put("rows", std::to_string(piece.weight.rows));
  entry.put("cols", std::to_string(piece.weight.cols));
  entry.put_string("sha256", sha256_hex(piece.bytes.data(), piece.bytes.size()));
  return entry.closed();
}

// The tensors of each component, in the order in which components come first.
class ComponentTexts {
 public:
  ObjectText& tensors_of(const std::string& component) {
    for (auto& [name, tensors] : components_) {
      if (name == component) return tensors;
    }
    return components_.emplace_back(component, ObjectText(3)).second;
  }
  std::string text() const {
    ObjectText all(1);
    for (const auto& [name, tensors] : components_) {
      ObjectText component(2);
      component.put("tensors", tensors.closed());
      all.put(name, component.closed());
    }
    return all.closed();
  }

 private:
  std::vector<std::pair<std::string, ObjectText>> components_;
};

void write_engine(const Checkpoint& checkpoint, const fs::path& folder, const model::Limits& limits,
                  const BuildOptions& options, const BuildProgress& progress) {
  const model::QuantizationChoice quantization =
      model::resolve_quantization(options.quantization, options.group_size, options.zero_points);
  const auto items = model::pack_items(
      checkpoint.manifest,
      {options.dtype, quantization, heads_of(checkpoint, options), options.exclude_modules});
  SafetensorsWriter writer((folder / "weights.safetensors").string(), entries_of(items));
  ComponentTexts components;
  std::int32_t done = 0;
  for (const auto& item : items) {
    ObjectText& tensors = components.tensors_of(item.source.component);
    for (const Piece& piece : pieces_of(checkpoint, item)) {
      writer.write(piece.bytes.data(), piece.bytes.size());
      tensors.put(piece.weight.name, describe(piece));
    }
    if (progress) progress(++done, static_cast<std::int32_t>(items.size()), item.weight.name);
  }
  writer.finish();
  ObjectText engine(0);
  describe(engine, checkpoint, limits, options, quantization);
  engine.put("components", components.text());
  write_text((folder / "engine.json").string(), engine.closed() + "\n");
  // Whatever the checkpoint holds: what was written opens, and an executor can run it.
  const EngineData written(folder.string());
  model::check_programs(*written.family, written.weights, written.limits, checkpoint.where);
}

// The checkpoint of what makes sound of the codes: the one that was asked for, or the one that came
// with the model; empty: there is none.
std::string codec_of(const std::string& checkpoint, const BuildOptions& options) {
  if (!options.codec_dir.empty()) return options.codec_dir;
  const std::string beside = checkpoint + "/" + kSound;
  return fs::exists(beside + "/config.json") ? beside : std::string();
}

// Voice files that come with a checkpoint go with its engines, as they are.
void copy_voices(const std::string& checkpoint, const std::string& folder) {
  const std::string from = checkpoint + "/" + kVoices;
  if (!fs::exists(fs::symlink_status(from))) return;
  const std::vector<std::string> names = names_in(from);
  TTSRT_CHECK(FormatError, names.size() <= kMaxVoices, from, ": expected at most ", kMaxVoices,
              " voice files, got ", names.size());
  const std::string to = folder + "/" + kVoices;
  fs::create_directory(to);
  for (const std::string& name : names) {
    const fs::path source = fs::path(from) / name, target = fs::path(to) / name;
    write_text(target.string(), read_text(source.string(), kMaxVoiceBytes));
  }
}

}  // namespace

std::vector<TensorDescription> describe_manifest(const std::string& config) {
  const std::string where = "config.json";
  Json json = parse_json(config, where);
  const JsonGuard guard(json);
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
           const BuildOptions& options, const BuildProgress& progress,
           const std::atomic<bool>* stop) {
  const StopScope scope(stop);
  const bool is_known = options.dtype == DType::float32 || options.dtype == DType::bfloat16 ||
                        options.dtype == DType::float16;
  TTSRT_CHECK(ConfigError, is_known, "dtype: expected float32, bfloat16 or float16, got ",
              name_of(options.dtype));
  model::resolve_quantization(options.quantization, options.group_size,
                              options.zero_points);  // before any file
  check_heads(options);
  model::check_is_checkpoint(checkpoint_dir);
  if (!options.codec_dir.empty()) model::check_is_checkpoint(options.codec_dir);
  Checkpoint checkpoint(checkpoint_dir);
  const std::string codec = codec_of(checkpoint_dir, options);
  if (!codec.empty()) checkpoint.add_codec(codec);
  const model::Limits limits =
      model::resolve_limits(options, checkpoint.family->limit_bounds(checkpoint.manifest));
  model::itineraries_of(*checkpoint.family, limits, nullptr, checkpoint.where);
  const FolderKind kind = {"engine",
                           "ttsrt.engine",
                           "engine.json",
                           {"weights.safetensors"},
                           {kVoices, text::kTextFolder, kPlans, model::kVoiceModel}};
  FolderWriter writer(output_dir, kind, options.overwrite);
  text::pack_front_end(checkpoint_dir, writer.folder());
  write_engine(checkpoint, writer.folder(), limits, options, progress);
  copy_voices(checkpoint_dir, writer.folder());
  model::copy_voice_model(checkpoint, writer.folder());
  writer.publish();
}

}  // namespace ttsrt
