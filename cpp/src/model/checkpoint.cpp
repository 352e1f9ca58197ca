#include "model/checkpoint.h"

#include "core/check.h"
#include "model/engine_data.h"
#include "model/pack.h"
#include "model/registry.h"

namespace ttsrt::model {
namespace {

// Parts of a component that a model which only speaks doesn't use: the encoder of a codec, and what
// makes voices of recordings.
constexpr const char* kUnused[] = {"encoder", "speech_tokenizer", "speaker_encoder",
                                   "voice_encoder"};

}  // namespace

Checkpoint::Checkpoint(const std::string& folder)
    : Checkpoint(folder, InputFile(folder + "/config.json")) {}

Checkpoint::Checkpoint(const std::string& folder, const InputFile& config)
    : where(config.path()),
      json(parse_json(config.text(kMaxJson), where)),
      weights(folder + "/model.safetensors") {
  config.check_in_place();  // both files are of one checkpoint
  const JsonReader reader(json, where);
  const std::string format = reader.string("format");
  TTSRT_CHECK(FormatError, format == "ttsrt.checkpoint", where,
              ".format: expected \"ttsrt.checkpoint\", got \"", format, "\"");
  const std::int64_t version = reader.integer("format_version", 1, 1 << 20);
  TTSRT_CHECK(FormatError, version == 1, where, ".format_version: expected 1, got ", version,
              "; convert the original model again: ttsrt convert MODEL ", folder);
  family = read_family(reader);
  manifest = family->manifest();
  manifest.fill_sizes(weights);
  manifest.check(weights);
  EngineInfo unused;
  read_codec(reader, unused);
}

void Checkpoint::add_codec(const std::string& folder) {
  const std::string name = json.at("family").get<std::string>();
  const Family::Component wanted = family->component();
  TTSRT_CHECK(ConfigError, wanted.family != nullptr,
              "codec_dir: expected none, as a model of family ", name,
              " makes no codes of such a codec");
  codec = std::make_unique<const Checkpoint>(folder);
  const std::string kind = codec->json.at("family").get<std::string>();
  TTSRT_CHECK(ConfigError, kind == wanted.family, "codec_dir: ", codec->where,
              ".family: expected \"", wanted.family, "\", got \"", kind, "\"");
  Json& part = json.at("model")[wanted.model];
  part = codec->json.at("model");
  for (const char* unused : kUnused) part.erase(unused);
  if (!codec->json.at("defaults").empty())
    json.at("defaults")[wanted.model] = codec->json.at("defaults");
  if (codec->json.contains("codec")) json["codec"] = codec->json.at("codec");
  try {
    family = read_family(JsonReader(json, where));
  } catch (const FormatError& problem) {  // each alone is one
    throw ConfigError(message("codec_dir: ", codec->where, " and ", problem.what()));
  }
  manifest = family->manifest();
  manifest.fill_sizes(weights);
}

Checkpoint::Place Checkpoint::place_of(const std::string& name) const {
  if (codec == nullptr) return {weights, name};
  const std::string prefix = family->component().prefix;
  if (name.rfind(prefix, 0) != 0) return {weights, name};
  return {codec->weights, name.substr(prefix.size())};
}

std::optional<Grid> Checkpoint::grid_of(const TensorSpec& spec) const {
  const std::string scales_name = spec.name + ".scales";
  const std::string zeros_name = spec.name + ".zeros";
  if (spec.role != Role::matrix || !weights.has(scales_name)) return std::nullopt;
  const StoredTensor& scales = weights.at(scales_name);
  const StoredTensor& zeros = weights.at(zeros_name);
  const std::int64_t rows = spec.shape.at(0);
  const std::int64_t cols = spec.shape.at(1);
  const bool fits = scales.shape.size() == 2 && scales.shape[0] == rows && scales.shape[1] >= 1 &&
                    cols % scales.shape[1] == 0 && scales.dtype == DType::float16;
  TTSRT_CHECK(FormatError, fits, weights.path(), ": ", scales_name,
              ": expected float16 scales of each of ", rows, " rows and of groups of ", cols,
              " inputs");
  TTSRT_CHECK(FormatError, zeros.shape == scales.shape && zeros.dtype == DType::uint8,
              weights.path(), ": ", zeros_name, ": expected a uint8 for each of ", scales_name);
  Grid grid;
  grid.group_size = cols / scales.shape[1];
  grid.scales = read_floats(scales, weights.read(scales));
  const std::vector<std::byte> bytes = weights.read(zeros);
  grid.zeros.reserve(bytes.size());
  for (const std::byte zero : bytes) {
    TTSRT_CHECK(FormatError, static_cast<int>(zero) <= 15, weights.path(), ": ", zeros_name,
                ": expected zero points of at most 15, got ", static_cast<int>(zero));
    grid.zeros.push_back(static_cast<std::uint8_t>(zero));
  }
  return grid;
}

}  // namespace ttsrt::model
