// Ops that are plugins: their attributes, and the tensors that belong to them alone.
#include <algorithm>
#include <variant>

#include "common/codebook_embed.h"
#include "common/draws.h"
#include "common/local_transformer.h"
#include "common/masked_attention.h"
#include "common/memories.h"
#include "common/rows.h"
#include "core/check.h"
#include "tensorrt/program_writer.h"

namespace ttsrt::tensorrt {
namespace {

template <class Number>
std::int32_t int32(Number number) {
  return static_cast<std::int32_t>(number);
}

}  // namespace

void ProgramWriter::write(const ops::EmbedRows& op) {
  plugins::CodebookEmbedAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.faults = faults();
  at.width = int32(activation(op.out).width);
  at.adds_positions = op.adds_positions ? 1 : 0;
  Given given;
  const ops::Weight* typed = nullptr;  // the table whose type the others must have
  const auto bind_rows = [&](const std::string& port, const ops::Weight& table) {
    TTSRT_CHECK(ConfigError, typed == nullptr || typed->dtype == table.dtype,
                "tensorrt: ", table.name, ": expected the type of ",
                typed == nullptr ? "" : typed->name, ", as tables of one kind have, got ",
                name_of(table.dtype));
    typed = &table;
    given.emplace_back(port, bind_table(table, type_of(table.dtype), {table.rows, table.cols}));
  };
  if (op.code_tables.is_present()) {
    at.codebooks = op.codebooks;
    at.vocab = op.vocab;
    bind_rows("code_tables", op.code_tables);
  }
  for (const ops::Weight& table : op.id_tables) {
    bind_rows(message("id_table", at.id_rows.size()), table);
    at.id_rows.push_back(int32(table.rows));
  }
  if (typed != nullptr) at.table_type = element_of(typed->dtype);
  typed = nullptr;
  for (const ops::Weight& table : op.position_tables) {
    bind_rows(message("position_table", at.position_rows.size()), table);
    at.position_rows.push_back(int32(table.rows));
  }
  if (typed != nullptr) at.position_type = element_of(typed->dtype);
  set(op.out, add(plugins::CodebookEmbed::kName, at, given).front());
}

// A copy of rows, which a trace keeps, needs no plugin.
void ProgramWriter::write(const ops::Unfold& op) {
  if (op.kernel == 1) return set(op.out, read(op.x));
  plugins::UnfoldAttributes at;
  at.launch = launch();
  at.width = int32(activation(op.x).width);
  at.kernel = op.kernel;
  at.is_causal = op.causal ? 1 : 0;
  at.has_history = op.history >= 0 ? 1 : 0;
  Given given = {{"x", read(op.x)}};
  if (op.history >= 0) {
    const Dims dims = {networks_.state().slots, 2, op.kernel - 1, at.width};
    given.emplace_back(
        "history",
        bind({.name = message("history.", op.history), .home = Home::history, .index = op.history},
             Type::float32, dims));
  }
  set(op.out, add(plugins::Unfold::kName, at, given).front());
}

void ProgramWriter::write(const ops::SelfAttention& op) {
  plugins::MaskedAttentionAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.faults = faults();
  at.heads = op.heads;
  at.kv_heads = op.num_kv_heads();
  at.head_dim = op.head_dim;
  at.scale = op.scale;
  at.is_causal = op.causal ? 1 : 0;
  at.single_rows = networks_.has_single_rows() ? 1 : 0;
  Given given = {{"qkv", read(op.qkv)}};
  if (op.cache_layer >= 0) {
    at.cache = cache();
    const Type type = type_of(networks_.state().cache_dtype);
    const Dims dims = {at.cache.cache_blocks, at.kv_heads, 2, cuda::kCacheBlock,
                       cuda::padded_dims(op.head_dim)};
    given.emplace_back("cache", bind({.name = message("cache.", op.cache_layer),
                                      .home = Home::cache,
                                      .index = op.cache_layer},
                                     type, dims));
  }
  if (op.rope.is_present()) {
    at.rope_rows = int32(op.rope.rows);
    at.rope_width = int32(op.rope.cols);
    given.emplace_back("rope", bind_table(op.rope, Type::float32, {op.rope.rows, op.rope.cols}));
    at.rope_heads = op.rope_heads;
  }
  if (op.q_norm.is_present()) {
    at.has_head_norms = 1;
    at.head_norm_epsilon = op.head_norm_epsilon;
    const auto norm = [&](const char* port, const ops::Weight& weight) {
      given.emplace_back(port, bind_table(weight, Type::float32, {weight.rows * weight.cols}));
    };
    norm("q_norm", op.q_norm);
    norm("k_norm", op.k_norm);
  }
  if (op.scores != ops::kNoBuffer && op.score_heads != 0) {
    at.score_heads_low = int32(static_cast<std::uint32_t>(op.score_heads));
    at.score_heads_high = int32(static_cast<std::uint32_t>(op.score_heads >> 32));
    at.score_share = op.score_share;
    given.emplace_back("scores", bind_draws(op.scores, activation(op.scores).width));
  }
  set(op.out, add(plugins::MaskedAttention::kName, at, given).front());
}

void ProgramWriter::write(const ops::StoreMemory& op) {
  add(plugins::StoreMemory::kName,
      plugins::StoreMemoryAttributes{launch(), faults(), memory(op.memory, op.layer)},
      {{"kv", read(op.kv)}});
}

void ProgramWriter::write(const ops::CrossAttention& op) {
  plugins::CrossAttentionPriorAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.memory = memory(op.memory, op.layer);
  at.has_scores = op.scores != ops::kNoBuffer ? 1 : 0;
  const std::vector<ops::Op>& all = networks_.program().ops;
  at.kept_memory = std::any_of(all.begin(), all.end(),
                               [](const ops::Op& other) {
                                 return std::holds_alternative<ops::StoreMemory>(other);
                               })
                       ? 0
                       : 1;
  TTSRT_CHECK(InternalError, at.memory.heads == op.heads && at.memory.head_dim == op.head_dim,
              "tensorrt: cross-attention of ", op.heads, " heads of ", op.head_dim);
  Given given = {{"q", read(op.q)}};
  if (at.has_scores != 0)
    given.emplace_back("scores", bind_draws(op.scores, activation(op.scores).width));
  set(op.out, add(plugins::CrossAttentionPrior::kName, at, given).front());
}

void ProgramWriter::write(const ops::StoreContext& op) {
  add(plugins::StoreContext::kName, plugins::StoreContextAttributes{launch(), slots(), faults()},
      {{"x", read(op.x)}});
}

void ProgramWriter::write(const ops::ClearScores& op) {
  if (op.scores == networks_.cleared_scores()) return;
  add(plugins::ClearScores::kName, plugins::DrawAttributes{launch(), slots(), faults()},
      {{"scores", bind_draws(op.scores, activation(op.scores).width)}});
}

void ProgramWriter::write(const ops::UpdatePrior& op) {
  add(plugins::PriorUpdate::kName, plugins::DrawAttributes{launch(), slots(), faults()},
      {{"scores", bind_draws(op.scores, activation(op.scores).width)}});
}

void ProgramWriter::write(const ops::SampleCodes& op) {
  plugins::GuidedSampleAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.faults = faults();
  at.vocab = op.vocab;
  at.keep_guided = op.guided != ops::kNoBuffer ? 1 : 0;
  Given given = {{"logits", read(op.logits)}};
  if (op.guided != ops::kNoBuffer)
    given.emplace_back("guided", bind_draws(op.guided, activation(op.guided).width));
  add(plugins::GuidedSample::kName, at, given);
}

void ProgramWriter::write(const ops::FinishStep&) {
  add(plugins::FinishStep::kName, plugins::DrawAttributes{launch(), slots(), faults()}, {});
}

void ProgramWriter::write(const ops::PickCodes& op) {
  plugins::LocalTransformerAttributes at;
  at.launch = launch();
  at.slots = slots();
  at.faults = faults();
  at.nested = nested(op.network);
  at.is_maskgit = op.maskgit ? 1 : 0;
  at.max_passes = op.maskgit ? networks_.most_passes() : 0;
  at.vocab = op.vocab;
  at.width = op.dim;
  at.mask_id = op.mask_id;
  at.weight_type = element_of(op.code_tables.dtype);
  at.has_in_proj = op.in_proj.is_present() ? 1 : 0;
  at.has_in_proj_bias = op.in_proj_bias.is_present() ? 1 : 0;
  at.has_head_biases = op.head_biases.is_present() ? 1 : 0;
  at.keep_logits = op.pick_logits != ops::kNoBuffer ? 1 : 0;
  Given given = nested_weights(op);
  given.emplace_back("hidden", read(op.hidden));
  const std::vector<TensorId> outputs = add(plugins::LocalTransformer::kName, at, given);
  if (at.keep_logits != 0) set(op.pick_logits, outputs.front());
}

}  // namespace ttsrt::tensorrt
