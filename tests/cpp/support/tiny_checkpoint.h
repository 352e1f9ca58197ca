// A tiny model's checkpoint, written by the test itself: config.json and random weights for
// every tensor of the family's manifest.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors_writer.h"
#include "model/registry.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace ttsrt::test {

inline Json tiny_stack(std::int32_t layers, std::int32_t kernel, bool is_causal) {
  return {{"layers", layers}, {"dim", 8},           {"ffn_dim", 12},
          {"heads", 2},       {"kernel", kernel},   {"causal", is_causal},
          {"norm_out", true}, {"max_positions", 40}};
}

// Two decoder layers that both attend to the text; context as codes; an autoregressive local
// transformer; two voices.
inline Json tiny_config() {
  Json decoder = tiny_stack(2, 1, true);
  decoder.update(
      {{"cross_heads", 1}, {"cross_head_dim", 6}, {"memory_norm", true}, {"text_layers", {0, 1}}});
  decoder["context_layers"] = Json::array();
  Json local = {
      {"kind", "autoregressive"}, {"layers", 1},          {"dim", 4}, {"ffn_dim", 10}, {"heads", 1},
      {"max_positions", 5},       {"in_projection", true}};
  Json model = {{"dim", 8},
                {"codebooks", 2},
                {"codebook_vocab", 20},
                {"frame_stacking", 1},
                {"text_vocab", 9},
                {"frame_rate", 21.5},
                {"context", "codes"},
                {"context_text", "shared"},
                {"context_text_vocab", 0}};
  model["tokens"] = {{"audio_bos", 16},   {"audio_eos", 17},      {"context_bos", 18},
                     {"context_eos", 19}, {"mask", 15},           {"text_bos", 7},
                     {"text_eos", 8},     {"forbidden", {15, 16}}};
  model["text_encoder"] = tiny_stack(1, 3, false);
  model["context_encoder"] = nullptr;
  model["decoder"] = decoder;
  model["local_transformer"] = local;
  model["num_voices"] = 2;
  model["speakers"] = {{"ann", 0}, {"bob", 1}};
  Json config = {{"format", "ttsrt.checkpoint"},
                 {"format_version", 1},
                 {"family", "magpie"},
                 {"source", {{"made", "by a test"}}}};
  config["model"] = model;
  config["defaults"] = {{"cfg_scale", 2.0}, {"temperature", 0.6},
                        {"top_k", 5},       {"max_frames", 12},
                        {"min_frames", 0},  {"eos_method", "argmax_or_multinomial_any"},
                        {"prior", nullptr}, {"use_local_transformer", false}};
  return config;
}

// The decoder and context encoder of multi-encoder models: layer 1 reads the context memory.
inline Json multi_encoder_config() {
  Json config = tiny_config();
  Json& model = config["model"];
  model["context"] = "memory";
  model["context_encoder"] = tiny_stack(1, 1, true);
  model["decoder"]["kernel"] = 3;
  model["decoder"]["text_layers"] = {0};
  model["decoder"]["context_layers"] = {1};
  model["local_transformer"] = nullptr;
  model["num_voices"] = 0;
  model["speakers"] = Json::object();
  return config;
}

constexpr std::int32_t kTinyVoiceRows = 3;

inline std::int64_t count_of(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

// A tensor of the checkpoint to be written.
struct TinyTensor {
  SafetensorsWriter::Entry entry;
  std::vector<float> values;         // float32
  std::vector<std::int32_t> counts;  // int32
};

// Returns random values of every tensor; a stored voice has kTinyVoiceRows rows.
inline std::vector<TinyTensor> tiny_tensors(const Json& config) {
  const model::Manifest manifest = model::read_family(JsonReader(config, "tiny"))->manifest();
  std::vector<TinyTensor> tensors;
  for (const model::TensorSpec& spec : manifest.tensors()) {
    TinyTensor tensor;
    tensor.entry = {spec.name, spec.dtype, spec.shape};
    for (std::int64_t& size : tensor.entry.shape)
      if (size == model::kAnySize) size = kTinyVoiceRows;
    if (spec.dtype == DType::int32) {
      tensor.counts = {2, 3};
    } else {
      const auto count = static_cast<std::size_t>(count_of(tensor.entry.shape));
      tensor.values = random_vector(count, tensors.size() + 1, 0.3F);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

inline void write_checkpoint(const std::string& folder, const Json& config,
                             const std::vector<TinyTensor>& tensors) {
  std::filesystem::create_directories(folder);
  write_file(folder + "/config.json", config.dump());
  std::vector<SafetensorsWriter::Entry> entries;
  for (const TinyTensor& tensor : tensors) entries.push_back(tensor.entry);
  SafetensorsWriter writer(folder + "/model.safetensors", entries);
  for (const TinyTensor& tensor : tensors) {
    if (tensor.entry.dtype == DType::int32) {
      writer.write(reinterpret_cast<const std::byte*>(tensor.counts.data()),
                   4 * tensor.counts.size());
    } else {
      writer.write(reinterpret_cast<const std::byte*>(tensor.values.data()),
                   4 * tensor.values.size());
    }
  }
  writer.finish();
}

inline void write_checkpoint(const std::string& folder, const Json& config) {
  write_checkpoint(folder, config, tiny_tensors(config));
}

}  // namespace ttsrt::test
