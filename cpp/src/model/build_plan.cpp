#include "model/build_plan.h"

#include "core/check.h"

namespace ttsrt::model {
namespace {

class Planner {
 public:
  Planner(const ModelConfig& config, DType dtype, const QuantizationPlan& quantization)
      : config_(config), dtype_(dtype), quantization_(quantization) {}

  void table(const std::string& component, const std::string& name, std::vector<std::int64_t> shape,
             DType dtype) {
    PackItem item = start(component, name, std::move(shape));
    item.weight.dtype = dtype;
    item.weight.cols = item.source_shape.back();
    item.weight.rows = 1;
    for (std::size_t i = 0; i + 1 < item.source_shape.size(); ++i)
      item.weight.rows *= item.source_shape[i];
    items_.push_back(std::move(item));
  }

  void vector(const std::string& component, const std::string& name, std::int64_t size) {
    table(component, name, {size}, DType::float32);
  }

  void matrix(const std::string& component, const std::string& name, std::int64_t rows,
              std::int64_t cols) {
    PackItem item = start(component, name, {rows, cols});
    panel(item, rows, cols);
    items_.push_back(std::move(item));
  }

  void conv(const std::string& component, const std::string& name, std::int64_t rows,
            std::int64_t cols, std::int32_t kernel) {
    PackItem item = start(component, name, {rows, cols, kernel});
    panel(item, rows, cols * kernel);
    item.kernel = kernel;
    items_.push_back(std::move(item));
  }

  void stack(const std::string& prefix, const StackConfig& config) {
    const std::int64_t dim = config.dim;
    table(prefix, prefix + ".positions", {config.max_positions, dim}, DType::float32);
    for (std::int32_t l = 0; l < config.layers; ++l) {
      const std::string layer = prefix + ".layers." + std::to_string(l) + ".";
      vector(prefix, layer + "self_norm", dim);
      matrix(prefix, layer + "self_qkv", 3 * dim, dim);
      matrix(prefix, layer + "self_out", dim, dim);
      vector(prefix, layer + "ffn_norm", dim);
      conv(prefix, layer + "ffn_in", config.ffn_dim, dim, config.kernel);
      conv(prefix, layer + "ffn_out", dim, config.ffn_dim, config.kernel);
    }
    if (config.has_norm_out) vector(prefix, prefix + ".norm_out", dim);
  }

  void cross() {
    const CrossConfig& cross = config_.cross;
    for (std::int32_t l = 0; l < config_.decoder.layers; ++l) {
      const auto at = static_cast<std::size_t>(l);
      if (!cross.sees_text[at] && !cross.sees_context[at]) continue;
      const std::string layer = "decoder.layers." + std::to_string(l) + ".";
      vector("decoder", layer + "cross_query_norm", config_.dim);
      if (cross.has_memory_norm) vector("decoder", layer + "cross_memory_norm", config_.dim);
      matrix("decoder", layer + "cross_q", cross.width(), config_.dim);
      matrix("decoder", layer + "cross_kv", 2 * cross.width(), config_.dim);
      matrix("decoder", layer + "cross_out", config_.dim, cross.width());
    }
  }

  void local() {
    const std::string name = "local_transformer";
    const std::int64_t width = config_.local.stack.dim;
    stack(name, config_.local.stack);
    if (config_.local.has_in_projection) {
      matrix(name, name + ".in_proj", width, config_.dim);
      vector(name, name + ".in_proj_bias", width);
    }
    for (std::int32_t i = 0; i < config_.stack_codes(); ++i) {
      PackItem item =
          start(name, name + ".heads", {config_.stack_codes(), config_.codebook_vocab, width});
      item.weight.name = message(name, ".heads.", i);
      panel(item, config_.codebook_vocab, width);
      item.first_row = std::int64_t{i} * config_.codebook_vocab;
      items_.push_back(std::move(item));
    }
    table(name, name + ".heads_bias", {config_.stack_codes(), config_.codebook_vocab},
          DType::float32);
  }

  std::vector<PackItem> take() { return std::move(items_); }

 private:
  static PackItem start(const std::string& component, const std::string& name,
                        std::vector<std::int64_t> shape) {
    PackItem item;
    item.component = component;
    item.source = name;
    item.source_shape = std::move(shape);
    item.weight.name = name;
    return item;
  }

  void panel(PackItem& item, std::int64_t rows, std::int64_t cols) const {
    TTSRT_CHECK(
        FormatError,
        quantization_.quantization != ops::Quantization::w8a8 || cols <= ops::kMaxWholeInputs,
        item.weight.name, ": w8a8 takes at most ", ops::kMaxWholeInputs, " inputs, got ", cols);
    item.weight.layout = ops::Layout::panel16;
    item.weight.quantization = quantization_.quantization;
    item.weight.group_size = quantization_.group_size;
    const bool is_quantized = quantization_.quantization != ops::Quantization::none;
    item.weight.dtype = is_quantized ? stored_dtype(quantization_.quantization) : dtype_;
    item.weight.rows = rows;
    item.weight.cols = cols;
  }

  const ModelConfig& config_;
  DType dtype_;
  QuantizationPlan quantization_;
  std::vector<PackItem> items_;
};

}  // namespace

std::vector<PackItem> plan_engine(const ModelConfig& config, DType dtype,
                                  const QuantizationPlan& quantization, std::int32_t voice_rows) {
  Planner plan(config, dtype, quantization);
  const std::int64_t dim = config.dim;
  plan.table("text_encoder", "text_embedding", {config.text_vocab, dim}, dtype);
  plan.stack("text_encoder", config.text_encoder);
  if (config.context_text == ContextText::own) {
    plan.table("context_encoder", "context_text_embedding", {config.context_text_vocab, dim},
               dtype);
  }
  if (config.context_encoder.is_present()) plan.stack("context_encoder", config.context_encoder);
  plan.table("decoder", "audio_embeddings", {config.stack_codes(), config.codebook_vocab, dim},
             dtype);
  plan.stack("decoder", config.decoder);
  plan.cross();
  const std::int64_t logits = std::int64_t{config.stack_codes()} * config.codebook_vocab;
  plan.matrix("decoder", "final_proj", logits, dim);
  plan.vector("decoder", "final_proj_bias", logits);
  if (config.local.kind != LocalKind::none) plan.local();
  if (config.num_voices > 0) {
    plan.table("voices", "voices", {config.num_voices, voice_rows, dim}, DType::float32);
    plan.table("voices", "voice_lengths", {config.num_voices}, DType::int32);
  }
  return plan.take();
}

}  // namespace ttsrt::model
