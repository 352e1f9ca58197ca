#include "model/engine_data.h"

#include <cstring>

#include "core/check.h"
#include "core/sha256.h"
#include "model/build_plan.h"
#include "model/pack.h"

namespace ttsrt {
namespace {

constexpr std::size_t kMaxDescription = 64U << 20;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

DType read_dtype(const JsonReader& reader) {
  const std::string name = reader.string("dtype");
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw FormatError(
      message(reader.where(), ".dtype: expected float32, bfloat16 or float16, got \"", name, "\""));
}

// A group size that isn't there means none.
model::QuantizationPlan read_quantization(const JsonReader& reader) {
  const std::string name = reader.string("quantization");
  const std::int64_t group_size =
      reader.has("group_size") ? reader.integer("group_size", 1, 1 << 20) : 0;
  try {
    const model::QuantizationPlan plan = model::resolve_quantization(name, group_size);
    TTSRT_CHECK(FormatError, plan.group_size == group_size, reader.where(),
                ".group_size: missing, and ", name, " has groups");
    return plan;
  } catch (const ConfigError& problem) {
    throw FormatError(message(reader.where(), ".", problem.what()));
  }
}

}  // namespace

EngineData::EngineData(const std::string& folder)
    : path(folder),
      description(read_text(folder + "/engine.json", kMaxDescription)),
      file_(folder + "/weights.safetensors") {
  const Json json = parse_json(description, folder + "/engine.json");
  const JsonReader reader(json, folder + "/engine.json");
  const std::string format = reader.string("format");
  TTSRT_CHECK(FormatError, format == "ttsrt.engine", reader.where(),
              ".format: expected \"ttsrt.engine\", got \"", format, "\"");
  reader.integer("format_version", 1, 1);
  const std::string family = reader.string("family");
  config = model::read_model_config(reader.object("model"));
  defaults = model::read_defaults(reader.object("defaults"));
  limits = model::read_limits(reader.object("limits"), config);
  quantization_ = read_quantization(reader);
  read_components(reader.object("components"));
  const DType dtype = read_dtype(reader);
  check_weights(dtype);
  read_voices();
  fill_info(family, dtype);
}

void EngineData::read_components(const JsonReader& components) {
  for (const char* name :
       {"text_encoder", "context_encoder", "decoder", "local_transformer", "voices"}) {
    if (!components.has(name)) continue;
    const JsonReader tensors_of = components.object(name).object("tensors");
    for (const auto& [tensor, entry] : components.value(name).at("tensors").items()) {
      read_tensor(tensor, tensors_of.object(tensor.c_str()));
    }
  }
}

void EngineData::read_tensor(const std::string& name, const JsonReader& entry) {
  const StoredTensor& stored = file_.at(name);
  ops::Weight weight;
  weight.name = name;
  weight.dtype = stored.dtype;
  weight.rows = entry.integer("rows", 1, kMaxElements);
  weight.cols = entry.integer("cols", 1, kMaxElements / weight.rows);
  const std::string layout = entry.string("layout");
  if (layout != "dense") {
    weight.layout = ops::Layout::panel16;
    weight.quantization = quantization_.quantization;
    weight.group_size = quantization_.group_size;
  }
  TTSRT_CHECK(FormatError, layout == model::layout_name(weight), entry.where(),
              ".layout: expected dense or ", model::layout_name(weight), ", got \"", layout, "\"");
  const std::size_t expected = model::packed_bytes(weight);
  TTSRT_CHECK(FormatError, stored.bytes == expected, entry.where(), ": expected ", expected,
              " bytes for [", weight.rows, ", ", weight.cols, "] ", layout, ", got ", stored.bytes);
  TTSRT_CHECK(FormatError, reinterpret_cast<std::uintptr_t>(stored.data) % 64 == 0, entry.where(),
              ": its bytes don't start on a 64-byte boundary");
  weight.data = stored.data;
  TTSRT_CHECK(FormatError, weights_.emplace(name, weight).second, entry.where(),
              ": stands in two components");
  tensors.push_back({name, safetensors_name_of(stored.dtype), stored.shape, layout, stored.bytes,
                     entry.string("sha256")});
}

// Every weight the model needs is there, of the type, layout and shape a build gives it: backends
// read them unseen.
void EngineData::check_weights(DType dtype) {
  std::int32_t voice_rows = 0;
  if (config.num_voices > 0) {
    const std::vector<std::int64_t>& shape = file_.at("voices").shape;
    TTSRT_CHECK(FormatError, shape.size() == 3 && shape[1] <= limits.max_input_len, path,
                ": voices: expected [", config.num_voices, ", at most ", limits.max_input_len, ", ",
                config.dim, "]");
    voice_rows = static_cast<std::int32_t>(shape[1]);
  }
  for (const model::PackItem& item : model::plan_engine(config, dtype, quantization_, voice_rows)) {
    check_weight(item.weight);
    if (item.weight.quantization != ops::Quantization::none) attach_scales(item.weight);
  }
}

void EngineData::check_weight(const ops::Weight& planned) const {
  const ops::Weight stored = weight(planned.name, planned.rows, planned.cols);
  TTSRT_CHECK(FormatError, stored.dtype == planned.dtype && stored.layout == planned.layout, path,
              ": ", stored.name, ": expected ", name_of(planned.dtype), " ",
              model::layout_name(planned), ", got ", name_of(stored.dtype),
              stored.layout == planned.layout ? "" : " in another layout");
}

void EngineData::attach_scales(const ops::Weight& planned) {
  const ops::Weight scales = model::scales_of(planned);
  check_weight(scales);
  weights_.at(planned.name).scales = weights_.at(scales.name).data;
}

ops::Weight EngineData::weight(const std::string& name, std::int64_t rows,
                               std::int64_t cols) const {
  const auto found = weights_.find(name);
  TTSRT_CHECK(FormatError, found != weights_.end(), path, ": ", name, ": missing");
  const ops::Weight& weight = found->second;
  TTSRT_CHECK(FormatError, weight.rows == rows && weight.cols == cols, path, ": ", name,
              ": expected [", rows, ", ", cols, "], got [", weight.rows, ", ", weight.cols, "]");
  return weight;
}

void EngineData::read_voices() {
  if (config.num_voices == 0) return;
  const StoredTensor& lengths = file_.at("voice_lengths");
  TTSRT_CHECK(FormatError, lengths.dtype == DType::int32 && lengths.elements() == config.num_voices,
              path, ": voice_lengths: expected ", config.num_voices, " int32");
  const StoredTensor& rows = file_.at("voices");
  const bool fits = rows.dtype == DType::float32 && rows.shape.size() == 3 &&
                    rows.shape[0] == config.num_voices && rows.shape[1] <= limits.max_input_len &&
                    rows.shape[2] == config.dim;
  TTSRT_CHECK(FormatError, fits, path, ": voices: expected float32 [", config.num_voices,
              ", at most ", limits.max_input_len, ", ", config.dim, "]");
  const auto most = static_cast<std::size_t>(rows.shape[1]);
  const auto dim = static_cast<std::size_t>(config.dim);
  const auto* values = reinterpret_cast<const float*>(rows.data);
  const auto* counts = reinterpret_cast<const std::int32_t*>(lengths.data);
  for (std::size_t voice = 0; voice < static_cast<std::size_t>(config.num_voices); ++voice) {
    TTSRT_CHECK(FormatError, counts[voice] >= 1 && counts[voice] <= rows.shape[1], path,
                ": voice_lengths[", voice, "]: expected 1 to ", most, ", got ", counts[voice]);
    const float* first = values + voice * most * dim;
    voices.push_back(std::make_shared<const std::vector<float>>(
        first, first + static_cast<std::size_t>(counts[voice]) * dim));
  }
}

void EngineData::fill_info(const std::string& family, DType dtype) {
  info.family = family;
  info.dtype = dtype;
  info.quantization = ops::name_of(quantization_.quantization);
  info.group_size = static_cast<std::int32_t>(quantization_.group_size);
  info.dim = config.dim;
  info.codebooks = config.codebooks;
  info.codebook_vocab = config.codebook_vocab;
  info.frame_stacking = config.frame_stacking;
  info.text_vocab = config.text_vocab;
  info.frame_rate = config.frame_rate;
  info.max_batch_size = limits.max_batch_size;
  info.max_seq_len = limits.max_seq_len;
  info.max_input_len = limits.max_input_len;
  info.max_encoder_input_len = limits.max_encoder_input_len;
  info.max_num_tokens = limits.max_num_tokens;
  info.num_voices = config.num_voices;
  for (const auto& [name, index] : config.speakers) info.voice_names.push_back(name);
  for (const EngineTensor& tensor : tensors) info.weight_bytes += tensor.bytes;
}

Engine Engine::open(const std::string& path) {
  return Engine(std::make_shared<const EngineData>(path));
}

const EngineInfo& Engine::info() const { return data_->info; }
const std::string& Engine::path() const { return data_->path; }
const std::string& Engine::description() const { return data_->description; }
std::vector<EngineTensor> Engine::tensors() const { return data_->tensors; }

void Engine::verify() const {
  const SafetensorsFile file(data_->path + "/weights.safetensors");
  for (const EngineTensor& tensor : data_->tensors) {
    const StoredTensor& stored = file.at(tensor.name);
    const std::string got = sha256_hex(stored.data, stored.bytes);
    TTSRT_CHECK(FormatError, got == tensor.sha256, file.path(), ": ", tensor.name,
                ": expected SHA-256 ", tensor.sha256, ", got ", got);
  }
}

}  // namespace ttsrt
