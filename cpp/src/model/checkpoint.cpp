#include "model/checkpoint.h"

#include "core/check.h"
#include "model/engine_data.h"
#include "model/registry.h"

namespace ttsrt::model {

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

}  // namespace ttsrt::model
