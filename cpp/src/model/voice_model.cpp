#include "model/voice_model.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "core/output_file.h"
#include "core/safetensors_writer.h"
#include "core/stop_flag.h"

namespace ttsrt::model {
namespace {

constexpr std::array<const char*, 3> kParts = {"speech_tokenizer", "speaker_encoder",
                                               "voice_encoder"};

bool makes_voices(const Json& model) {
  return std::all_of(kParts.begin(), kParts.end(), [&](const char* part) {
    return model.contains(part) && !model.at(part).is_null();
  });
}

bool is_of_voices(const std::string& tensor) {
  return std::any_of(kParts.begin(), kParts.end(), [&](const char* part) {
    return tensor.rfind(std::string(part) + ".", 0) == 0;
  });
}

// config.json of the parts alone: the others are null, and without a flow there are no defaults.
std::string description_of(const Json& json) {
  Json made = json;
  const JsonGuard guard(made);
  for (const auto& [name, part] : made.at("model").items()) {
    if (part.is_object() && !is_of_voices(name + ".")) part = nullptr;
  }
  made["defaults"] = Json::object();
  return made.dump(1) + "\n";
}

void copy_tensors(const SafetensorsFile& from, const std::string& path) {
  std::vector<const StoredTensor*> tensors;
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : from.tensors()) {
    if (!is_of_voices(name)) continue;
    tensors.push_back(&tensor);
    entries.push_back({name, tensor.dtype, tensor.shape});
  }
  SafetensorsWriter writer(path, entries);
  for (const StoredTensor* tensor : tensors) {
    check_stop();
    const std::vector<std::byte> bytes = from.read(*tensor);
    writer.write(bytes.data(), bytes.size());
  }
  writer.finish();
}

}  // namespace

void copy_voice_model(const Checkpoint& checkpoint, const std::string& engine_dir) {
  const Checkpoint& from = checkpoint.codec != nullptr ? *checkpoint.codec : checkpoint;
  if (!makes_voices(from.json.at("model"))) return;
  const std::string folder = engine_dir + "/" + kVoiceModel;
  std::filesystem::create_directory(folder);
  write_text(folder + "/config.json", description_of(from.json));
  copy_tensors(from.weights, folder + "/model.safetensors");
}

}  // namespace ttsrt::model
