#include "model/native_network.h"

#include <algorithm>

#include "core/check.h"
#include "model/decoder.h"
#include "model/encoder.h"

namespace ttsrt::model {
namespace {

using step::RowClass;

// As many as asked for, but no more than can ever be in use: two branches of every slot at full
// length, and one shared unconditional prefix per slot.
std::int32_t num_blocks(const Limits& limits, std::int32_t asked_positions) {
  const std::int64_t most = limits.max_batch_size * (2 * ops::blocks_for(limits.max_seq_len) +
                                                     ops::blocks_for(limits.max_input_len));
  const std::int64_t asked = asked_positions == 0 ? most : ops::blocks_for(asked_positions);
  return static_cast<std::int32_t>(std::min(most, asked));
}

ops::StateSpec state_of(const EngineData& engine, const NetworkOptions& options) {
  const ModelConfig& config = engine.config;
  const Limits& limits = options.limits;
  ops::StateSpec spec;
  spec.slots = limits.max_batch_size;
  spec.cache_dtype = options.cache_dtype;
  spec.cache_layers = config.decoder.layers;
  spec.cache_heads = config.decoder.heads;
  spec.cache_head_dim = config.decoder.head_dim();
  spec.num_blocks = num_blocks(limits, options.cache_positions);
  spec.max_positions = limits.max_seq_len;
  spec.memory_layers = config.decoder.layers;
  spec.memory_heads = config.cross.heads;
  spec.memory_head_dim = config.cross.head_dim;
  spec.max_text_len = limits.max_encoder_input_len;
  spec.max_context_memory = config.context == ContextKind::memory ? limits.max_input_len : 0;
  spec.max_context_rows = config.context == ContextKind::encoder ? limits.max_input_len : 0;
  spec.dim = config.dim;
  if (config.decoder.kernel > 1) {
    for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
      spec.convs.push_back({config.decoder.kernel, config.decoder.dim});
      spec.convs.push_back({config.decoder.kernel, config.decoder.ffn_dim});
    }
  }
  spec.codebooks = config.stack_codes();
  return spec;
}

step::ContextRoute route_of(ContextKind kind) {
  if (kind == ContextKind::encoder) return step::ContextRoute::encoder;
  return kind == ContextKind::memory ? step::ContextRoute::memory : step::ContextRoute::rows;
}

void copy_defaults(const RequestDefaults& defaults, step::ModelFacts& facts) {
  facts.cfg_scale = defaults.cfg_scale;
  facts.temperature = defaults.temperature;
  facts.top_k = defaults.top_k;
  facts.max_frames = defaults.max_frames;
  facts.min_frames = defaults.min_frames;
  facts.eos_method = defaults.eos_method;
  facts.use_local_transformer = defaults.use_local_transformer;
  facts.prior = defaults.prior;
}

step::ModelFacts facts_of(const EngineData& engine, const Limits& limits) {
  const ModelConfig& config = engine.config;
  step::ModelFacts facts;
  facts.family = engine.info.family;
  facts.dim = config.dim;
  facts.codebooks = config.codebooks;
  facts.codebook_vocab = config.codebook_vocab;
  facts.frame_stacking = config.frame_stacking;
  facts.text_vocab = config.text_vocab;
  if (config.context_text != ContextText::none) {
    facts.context_text_vocab =
        config.context_text == ContextText::own ? config.context_text_vocab : config.text_vocab;
    facts.context_text_table = config.context_text == ContextText::own ? 1 : 0;
  }
  facts.frame_rate = config.frame_rate;
  facts.bos_id = config.tokens.audio_bos;
  facts.eos_id = config.tokens.audio_eos;
  facts.forbidden = config.tokens.forbidden;
  facts.decoder_layers = config.decoder.layers;
  for (std::int32_t l = 0; l < config.decoder.layers; ++l) {
    if (config.cross.sees_text[static_cast<std::size_t>(l)]) facts.text_layers.push_back(l);
  }
  facts.has_local_transformer = config.local.kind != LocalKind::none;
  facts.is_maskgit = config.local.kind == LocalKind::maskgit;
  facts.context_route = route_of(config.context);
  facts.takes_context_codes = config.context != ContextKind::voices;
  facts.pads_context = config.context_text != ContextText::none;
  facts.shares_unconditional = config.decoder.kernel == 1;
  facts.speakers = config.speakers;
  facts.voices = engine.voices;
  facts.max_batch_size = limits.max_batch_size;
  facts.max_seq_len = limits.max_seq_len;
  facts.max_input_len = limits.max_input_len;
  facts.max_text_len = limits.max_encoder_input_len;
  facts.max_rows = limits.max_num_tokens;
  copy_defaults(engine.defaults, facts);
  return facts;
}

}  // namespace

NativeNetwork::NativeNetwork(const EngineData& engine, std::unique_ptr<ops::Backend> backend,
                             const NetworkOptions& options)
    : profile_(options.profile), trace_(options.trace), backend_(std::move(backend)) {
  const Limits& limits = options.limits;
  const ops::StateSpec state = state_of(engine, options);
  backend_->create_state(state);
  const std::int32_t rows = limits.max_num_tokens;
  compile(RowClass::encode_text, write_text_encoder(engine, trace_), rows, 0);
  compile(RowClass::project_memory, write_memory_projection(engine), rows, 0);
  if (engine.config.context_encoder.is_present()) {
    compile(RowClass::encode_context, write_context_encoder(engine, trace_), rows, 0);
  }
  compile(RowClass::prefill, write_prefill(engine, trace_), rows, 0);
  compile(RowClass::decode, write_decode(engine, trace_), 2 * limits.max_batch_size,
          limits.max_batch_size);

  info_.device = backend_->info().device;
  info_.description = backend_->info().description;
  info_.pipeline_depth = backend_->info().pipeline_depth;
  info_.cache_dtype = options.cache_dtype;
  info_.slots = state.slots;
  info_.num_blocks = state.num_blocks;
  info_.block_size = ops::kBlockSize;
  info_.facts = facts_of(engine, limits);
  info_.state_bytes = backend_->state_bytes();
  for (const auto& executable : classes_) {
    if (executable) info_.activation_bytes += executable->activation_bytes();
  }
  const auto draws = static_cast<std::size_t>(limits.max_batch_size);
  output_.draws.reserve(draws);
  output_.codes.reserve(draws * static_cast<std::size_t>(engine.config.stack_codes()));
  output_.scores.reserve(draws * static_cast<std::size_t>(limits.max_encoder_input_len));
  output_.seconds.reserve(step::kRowClasses);
}

void NativeNetwork::compile(RowClass row_class, const ops::Program& program, std::int32_t max_rows,
                            std::int32_t max_draws) {
  const auto index = static_cast<std::int32_t>(row_class);
  classes_[static_cast<std::size_t>(index)] =
      backend_->compile(program, {max_rows, max_draws, trace_, profile_, index});
  info_.num_parts[static_cast<std::size_t>(index)] = program.num_parts();
}

Ticket NativeNetwork::launch(const step::StepBatch& batch) {
  try {
    queue(batch);
    return backend_->submit();
  } catch (...) {
    backend_->discard();
    throw;
  }
}

void NativeNetwork::queue(const step::StepBatch& batch) {
  for (const step::Admission& admission : batch.admissions) backend_->admit(admission);
  for (std::int32_t c = 0; c < step::kRowClasses; ++c) {
    if (static_cast<RowClass>(c) == RowClass::decode && !batch.block_copies.empty())
      backend_->copy_blocks(batch.block_copies);
    const step::RowBatch& rows = batch.classes[c];
    if (rows.rows == 0) continue;
    const auto& executable = classes_[static_cast<std::size_t>(c)];
    TTSRT_CHECK(InternalError, executable != nullptr,
                "launch: rows of a class this model doesn't have: ", c);
    executable->launch(rows);
  }
}

const step::StepOutput& NativeNetwork::collect(Ticket ticket) {
  backend_->collect(ticket, output_);
  return output_;
}

std::vector<StageTimes> NativeNetwork::stage_times() const {
  std::vector<StageTimes> all;
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (classes_[c] == nullptr) continue;
    for (StageTimes& times : classes_[c]->stage_times()) {
      times.program = step::kRowClassNames[c];
      all.push_back(std::move(times));
    }
  }
  return all;
}

}  // namespace ttsrt::model
