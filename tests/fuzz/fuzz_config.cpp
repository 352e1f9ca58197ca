// The configuration of a checkpoint, by edits of whole ones of every family: what is read gives a
// manifest, limits, state and itineraries without another error.
#include <algorithm>

#include "fuzz/input.h"
#include "model/registry.h"
#include "model/servable.h"
#include "support/causal_models.h"
#include "support/tiny_checkpoint.h"
#include "ttsrt/error.h"
#include "ttsrt/options.h"

namespace {

using namespace ttsrt;

// A file with the manifest's tensors and no bytes on disk: sizes are all that is read of it.
bool write_tensors(const std::string& path, const model::Manifest& manifest) {
  Json header = Json::object();
  std::int64_t offset = 0;
  for (const model::TensorSpec& spec : manifest.tensors()) {
    std::vector<std::int64_t> shape = spec.shape;
    std::replace(shape.begin(), shape.end(), model::kAnySize, std::int64_t{3});
    std::int64_t bytes = 4;
    for (const std::int64_t size : shape) {
      if (size > (std::int64_t{1} << 32) / bytes) return false;
      bytes *= size;
    }
    header[spec.name] = {{"dtype", spec.dtype == DType::int32 ? "I32" : "F32"},
                         {"shape", shape},
                         {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  test::write_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + text);
  std::filesystem::resize_file(path, 8 + length + static_cast<std::uint64_t>(offset));
  const timespec times[2] = {{1, 0}, {1, 0}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  return true;
}

void read(const Json& config, const std::string& path) {
  const auto family = model::read_family(JsonReader(config, "config.json"));
  model::Manifest manifest = family->manifest();
  if (!write_tensors(path, manifest)) return;
  const SafetensorsFile file(path);
  manifest.fill_sizes(file);
  manifest.check(file);
  const model::Limits limits = model::resolve_limits({}, family->limit_bounds(manifest));
  model::itineraries_of(*family, limits, nullptr, "config.json");
  family->state(limits, {});
  family->facts(limits);
  EngineInfo info;
  family->describe(info);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempDir folder;
  static const std::vector<Json> whole = {test::tiny_config(), test::multi_encoder_config(),
                                          test::llm_config(), test::t3_config(),
                                          test::t3_config(test::parallel_stack_json())};
  fuzz::Input input(data, size);
  Json config = whole[input.byte() % whole.size()];
  fuzz::edit(config, input);
  try {
    read(config, folder.file("tensors"));
  } catch (const FormatError&) {
  } catch (const ConfigError&) {  // limits that no model of this kind can have
  }
  return 0;
}
