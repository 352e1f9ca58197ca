#include "model/engine_data.h"

#include <algorithm>

#include "core/check.h"
#include "core/sha256.h"
#include "model/quantize.h"
#include "model/registry.h"
#include "model/wrong_path.h"
#include "text/pack.h"

namespace ttsrt {
namespace {

constexpr std::size_t kPiece = 4U << 20;  // bytes hashed at once
constexpr std::int64_t kMaxSampleRate = 10'000'000;

DType read_dtype(const JsonReader& reader) {
  const std::string name = reader.string("dtype");
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw FormatError(
      message(reader.where(), ".dtype: expected float32, bfloat16 or float16, got \"", name, "\""));
}

// What the build was asked for, for information: each tensor has a layout of its own. A group size
// that isn't there means none.
model::QuantizationChoice read_quantization(const JsonReader& reader) {
  const std::string name = reader.string("quantization");
  const std::int64_t group_size =
      reader.has("group_size") ? reader.integer("group_size", 1, 1 << 20) : 0;
  try {
    const model::QuantizationChoice plan = model::resolve_quantization(name, group_size);
    TTSRT_CHECK(FormatError, plan.group_size == group_size, reader.where(),
                ".group_size: missing, and ", name, " has groups");
    return plan;
  } catch (const ConfigError& problem) {
    throw FormatError(message(reader.where(), ".", problem.what()));
  }
}

void fill_info(EngineData& data, const model::QuantizationChoice& quantization) {
  EngineInfo& info = data.info;
  data.family->describe(info);
  info.quantization = ops::name_of(quantization.quantization);
  info.group_size = static_cast<std::int32_t>(quantization.group_size);
  info.max_batch_size = data.limits.max_batch_size;
  info.max_seq_len = data.limits.max_seq_len;
  info.max_input_len = data.limits.max_input_len;
  info.max_encoder_input_len = data.limits.max_encoder_input_len;
  info.max_num_tokens = data.limits.max_num_tokens;
  info.num_voices = static_cast<std::int32_t>(data.voices.voices.size());
  for (const auto& [name, index] : data.voices.names) info.voice_names.push_back(name);
  for (const EngineTensor& tensor : data.weights.tensors()) info.weight_bytes += tensor.bytes;
}

// The ids of a front end are those of the model's text table.
void check_front_end(const TextFrontEnd& front_end, const EngineInfo& info,
                     const std::string& folder) {
  const std::string where = folder + "/" + text::kTextFolder + "/front_end.json";
  TTSRT_CHECK(FormatError,
              front_end.text_eos() < info.text_vocab && front_end.text_bos() < info.text_vocab,
              where, ": expected ids below ", info.text_vocab,
              ", the rows of the model's text table, got text_bos ", front_end.text_bos(),
              " and text_eos ", front_end.text_eos());
  const auto eos = info.special_ids.find("text_eos");
  TTSRT_CHECK(FormatError, eos == info.special_ids.end() || eos->second == front_end.text_eos(),
              where, ".text_eos: expected ", eos == info.special_ids.end() ? -1 : eos->second,
              " as in engine.json, got ", front_end.text_eos());
}

// A piece at a time, so that no tensor is in memory as a whole.
std::string hash_of(const SafetensorsFile& file, const StoredTensor& tensor) {
  Sha256 hash;
  StoredTensor piece = tensor;
  for (std::size_t done = 0; done < tensor.bytes; done += piece.bytes) {
    piece.offset = tensor.offset + done;
    piece.bytes = std::min(kPiece, tensor.bytes - done);
    const std::vector<std::byte> bytes = file.read(piece);
    hash.update(bytes.data(), bytes.size());
  }
  return hash.hex_digest();
}

}  // namespace

void read_codec(const JsonReader& reader, EngineInfo& info) {
  if (!reader.has("codec")) return;
  const JsonReader codec = reader.object("codec");
  if (codec.has("name")) info.codec = codec.string("name");
  if (!codec.has("sample_rate")) return;
  const std::int32_t sample_rate = codec.int32("sample_rate", 1, kMaxSampleRate);
  if (info.sample_rate == 0) info.sample_rate = sample_rate;
}

EngineData::EngineData(const std::string& folder)
    : EngineData(folder, InputFile(folder + "/engine.json")) {}

EngineData::EngineData(const std::string& folder, const InputFile& description_file)
    : path(folder),
      description(description_file.text(kMaxJson)),
      weights(folder + "/weights.safetensors") {
  description_file.check_in_place();  // both files are of one engine
  Json json = parse_json(description, folder + "/engine.json");
  const JsonGuard guard(json);
  const JsonReader reader(json, folder + "/engine.json");
  const std::string format = reader.string("format");
  TTSRT_CHECK(FormatError, format == "ttsrt.engine", reader.where(),
              ".format: expected \"ttsrt.engine\", got \"", format, "\"");
  const std::int64_t version = reader.integer("format_version", 1, 1 << 20);
  TTSRT_CHECK(FormatError, version == kEngineVersion, reader.where(), ".format_version: expected ",
              kEngineVersion, ", got ", version,
              "; build the engine again from its checkpoint: ttsrt build --checkpoint_dir "
              "CHECKPOINT --output_dir ",
              folder, " --overwrite");
  family = model::read_family(reader);
  manifest = family->manifest();
  manifest.fill_sizes(weights.file());
  limits = model::read_limits(reader.object("limits"), family->limit_bounds(manifest));
  info.family = reader.string("family");
  info.dtype = read_dtype(reader);
  const model::QuantizationChoice quantization = read_quantization(reader);
  weights.read(reader.object("components"), manifest);
  voices = family->read_voices(weights);
  fill_info(*this, quantization);
  read_codec(reader, info);
  front_end = TextFrontEnd::find(folder);
  if (front_end != nullptr) check_front_end(*front_end, info, folder);
}

Engine Engine::open(const std::string& path) {
  model::check_is_engine(path);
  return Engine(std::make_shared<const EngineData>(path));
}

const EngineInfo& Engine::info() const { return data_->info; }
const std::string& Engine::path() const { return data_->path; }
const std::string& Engine::description() const { return data_->description; }
std::shared_ptr<const TextFrontEnd> Engine::front_end() const { return data_->front_end; }
std::vector<EngineTensor> Engine::tensors() const { return data_->weights.tensors(); }

void Engine::verify() const {
  const SafetensorsFile file(data_->path + "/weights.safetensors");
  for (const EngineTensor& tensor : data_->weights.tensors()) {
    const std::string got = hash_of(file, file.at(tensor.name));
    TTSRT_CHECK(FormatError, got == tensor.sha256, file.path(), ": ", tensor.name,
                ": expected SHA-256 ", tensor.sha256, ", got ", got);
  }
}

}  // namespace ttsrt
