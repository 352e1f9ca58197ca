#include "model/magpie/manifest.h"

#include "model/nanocodec/decoder.h"
#include "model/stack_weights.h"

namespace ttsrt::model::magpie {
namespace {

void declare_decoder(Manifest& manifest, const Config& config) {
  const std::int64_t codes = config.stack_codes();
  manifest.begin("decoder");
  manifest.add(Role::table, "audio_embeddings", {codes, config.codebook_vocab, config.dim});
  declare_stack(manifest, "decoder", config.decoder);
  declare_cross(manifest, "decoder", config.cross, config.dim);
  manifest.add_head("final_proj", {codes * config.codebook_vocab, config.dim});
  manifest.add(Role::vector, "final_proj_bias", {codes * config.codebook_vocab});
}

void declare_local(Manifest& manifest, const Config& config) {
  const std::string name = "local_transformer";
  const std::int64_t codes = config.stack_codes();
  const std::int64_t width = config.local.stack.dim;
  manifest.begin(name);
  declare_stack(manifest, name, config.local.stack);
  if (config.local.has_in_projection) {
    manifest.add(Role::matrix, name + ".in_proj", {width, config.dim});
    manifest.add(Role::vector, name + ".in_proj_bias", {width});
  }
  manifest.add_head(name + ".heads", {codes, config.codebook_vocab, width});
  manifest.add(Role::vector, name + ".heads_bias", {codes, config.codebook_vocab});
}

}  // namespace

Manifest declare_tensors(const Config& config) {
  Manifest manifest;
  manifest.begin("text_encoder");
  manifest.add(Role::table, "text_embedding", {config.text_vocab, config.dim});
  declare_stack(manifest, "text_encoder", config.text_encoder);
  manifest.begin("context_encoder");
  if (config.context_text == ContextText::own)
    manifest.add(Role::table, "context_text_embedding", {config.context_text_vocab, config.dim});
  if (config.context_encoder.is_present())
    declare_stack(manifest, "context_encoder", config.context_encoder);
  declare_decoder(manifest, config);
  if (config.local.kind != LocalKind::none) declare_local(manifest, config);
  if (config.num_voices > 0) {
    manifest.begin("voices");
    manifest.add_data("voices", {config.num_voices, kAnySize, config.dim}, DType::float32);
    manifest.add_data("voice_lengths", {config.num_voices}, DType::int32);
  }
  if (config.codec) nanocodec::declare_decoder(manifest, nanocodec::kPrefix, *config.codec);
  return manifest;
}

}  // namespace ttsrt::model::magpie
