#include "cuda/lowering.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/launch.h"
#include "ops/faults.h"

namespace ttsrt::cuda {

Activation activation_of(ops::Activate activate) {
  switch (activate) {
    case ops::Activate::none:
      return Activation::none;
    case ops::Activate::gelu_tanh:
      return Activation::gelu_tanh;
    case ops::Activate::silu:
      return Activation::silu;
    case ops::Activate::gelu:
      return Activation::gelu;
    case ops::Activate::mish:
      return Activation::mish;
    case ops::Activate::elu:
      return Activation::elu;
  }
  throw InternalError("an unknown activation");
}

std::string label_of(const ops::Weight& weight) {
  const bool is_quantized = weight.quantization != ops::Quantization::none;
  return message("linear ", weight.rows, " x ", weight.cols, " ",
                 is_quantized ? ops::name_of(weight.quantization) : name_of(weight.dtype));
}

float attention_scale(float scale, std::int32_t head_dim) {
  return scale > 0.0F ? scale : 1.0F / std::sqrt(static_cast<float>(head_dim));
}

void check_head_dim(const ops::Program& program, std::int32_t head_dim) {
  TTSRT_CHECK(ConfigError, head_dim <= kMaxHeadDim, program.name, ": head_dim: expected at most ",
              kMaxHeadDim, " on a GPU, got ", head_dim);
}

void check_vocab(const ops::Program& program, std::int32_t vocab) {
  TTSRT_CHECK(ConfigError, vocab <= kMaxDrawnVocab, program.name, ": vocab: expected at most ",
              kMaxDrawnVocab, " ids to draw from on a GPU, got ", vocab);
}

NormArgs norm_args(const ops::Norm& op, const RowBuffers& rows, DeviceWeights& weights) {
  NormArgs args;
  args.num_rows = rows.num_rows;
  args.x = rows.buffer(op.x);
  args.out = rows.buffer(op.out);
  args.weight = weights.vector(op.weight);
  args.bias = weights.vector(op.bias);
  args.width = rows.width_of(op.x);
  args.epsilon = op.epsilon;
  args.is_rms = op.kind == ops::NormKind::rms;
  return args;
}

LinearArgs linear_args(const ops::Linear& op, const RowBuffers& rows, DeviceWeights& weights) {
  LinearArgs args;
  args.num_rows = rows.num_rows;
  args.x = rows.buffer(op.x);
  args.x_stride = rows.width_of(op.x);
  args.out = rows.buffer(op.out);
  args.out_stride = rows.width_of(op.out);
  args.weight = weights.product(op.weight);
  args.bias = weights.vector(op.bias);
  args.addend = rows.buffer(op.addend);
  args.activate = activation_of(op.activate);
  args.accumulates = op.accumulate;
  return args;
}

GateArgs gate_args(const ops::Gate& op, const RowBuffers& rows) {
  GateArgs args;
  args.num_rows = rows.num_rows;
  args.x = rows.buffer(op.x);
  args.out = rows.buffer(op.out);
  args.width = rows.width_of(op.out);
  args.activate = activation_of(op.activate);
  return args;
}

Lowered Lowering::run() {
  allocate();
  start_narrow_rows();
  std::size_t next_part = 0;
  lowered_.part_steps.push_back(0);
  for (op_ = 0; op_ < program_.ops.size(); ++op_) {
    while (next_part < program_.part_begins.size() &&
           static_cast<std::size_t>(program_.part_begins[next_part]) == op_) {
      lowered_.part_steps.push_back(static_cast<std::int32_t>(lowered_.steps.size()));
      ++next_part;
    }
    if (std::exchange(next_is_taken_, false)) continue;
    forget_narrow_rows(program_.ops[op_]);
    std::visit([this](const auto& op) { lower(op); }, program_.ops[op_]);
  }
  return std::move(lowered_);
}

void Lowering::allocate() {
  const std::size_t before = site_.memory.bytes();
  for (std::size_t id = 0; id < program_.activations.size(); ++id) {
    const ops::Activation& activation = program_.activations[id];
    const ops::BufferId shared = shares_with(static_cast<ops::BufferId>(id));
    if (shared != ops::kNoBuffer) {
      lowered_.activations.push_back(buffer(shared));
      continue;
    }
    const std::int64_t rows =
        activation.space == ops::RowSpace::rows ? limits_.max_rows : std::max(limits_.max_draws, 1);
    lowered_.activations.push_back(site_.memory.take<float>(
        static_cast<std::size_t>(rows * activation.values()), "activations"));
  }
  lowered_.activation_bytes = site_.memory.bytes() - before;
}

void Lowering::add(std::string label, std::function<void(const Bounds&, cudaStream_t)> run) {
  lowered_.steps.push_back({std::move(label), std::move(run)});
}

void Lowering::need_scratch(std::size_t bytes) {
  lowered_.scratch_bytes = std::max(lowered_.scratch_bytes, bytes);
}

FaultsView Lowering::faults() const {
  return {site_.faults, ops::fault_word(op_, ops::FaultKind::not_finite),
          ops::fault_word(op_, ops::FaultKind::no_choice)};
}

void Lowering::lower(const ops::EmbedRows& op) {
  EmbedArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.out = buffer(op.out);
  args.dim = width_of(op.out);
  args.code_tables = site_.weights.table(op.code_tables);
  args.codebooks = op.codebooks;
  args.vocab = op.vocab;
  args.adds_positions = op.adds_positions;
  const auto fill = [this](const std::vector<ops::Weight>& from, TableView* to) {
    TTSRT_CHECK(InternalError, from.size() <= kMaxTables, program_.name, ": expected at most ",
                kMaxTables, " tables of one embedding, got ", from.size());
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = site_.weights.table(from[i]);
  };
  fill(op.id_tables, args.id_tables);
  fill(op.position_tables, args.position_tables);
  add("embed", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    embed_rows(args, stream);
  });
}

void Lowering::lower(const ops::Norm& op) {
  if (lower_whole_norm(op)) return;
  NormArgs args = norm_args(op, row_buffers(), site_.weights);
  add("norm", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    norm(args, stream);
  });
}

void Lowering::lower(const ops::Linear& op) {
  if (lower_whole_product(op)) return;
  LinearArgs args = linear_args(op, row_buffers(), site_.weights);
  need_scratch(linear_scratch_bytes(args.weight, limits_.max_rows));
  add(label_of(op.weight),
      [args, scratch = site_.scratch](const Bounds& bounds, cudaStream_t stream) mutable {
        args.scratch = *scratch;
        args.max_rows = bounds.rows;
        linear(args, stream);
      });
}

void Lowering::lower(const ops::Gate& op) {
  GateArgs args = gate_args(op, row_buffers());
  add("gate", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    gate(args, stream);
  });
}

void Lowering::lower(const ops::Unfold& op) {
  UnfoldArgs args;
  args.rows = site_.rows;
  args.x = buffer(op.x);
  args.out = buffer(op.out);
  args.width = width_of(op.x);
  args.kernel = op.kernel;
  args.is_causal = op.causal;
  if (op.history >= 0) args.history = site_.slots.history(op.history);
  add("unfold", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    unfold(args, stream);
  });
}

void Lowering::lower(const ops::SelfAttention& op) {
  check_head_dim(program_, op.head_dim);
  if (lower_item_attention(op)) return;
  SelfAttentionArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.qkv = buffer(op.qkv);
  args.out = buffer(op.out);
  set_heads(op, site_.weights.vector(op.rope), args);
  args.scores = buffer(op.scores);
  args.score_heads = op.score_heads;
  args.score_share = op.score_share;
  if (op.cache_layer >= 0) args.cache = site_.slots.cache(op.cache_layer);
  add(op.cache_layer >= 0 ? "self-attention" : "segment attention",
      [args](const Bounds& bounds, cudaStream_t stream) mutable {
        args.max_rows = bounds.rows;
        args.max_draws = bounds.draws;
        args.has_single_rows = bounds.has_single_rows;
        self_attention(args, stream);
      });
}

void Lowering::lower(const ops::StoreMemory& op) {
  StoreMemoryArgs args;
  args.rows = site_.rows;
  args.memory = site_.slots.memory(op.layer, op.memory);
  args.faults = faults();
  args.kv = buffer(op.kv);
  add("store memory", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    store_memory(args, stream);
  });
}

// All layers of a decoder have the same heads, so they share one buffer.
void Lowering::share_head_scores(std::int32_t heads) {
  if (heads <= scored_heads_) return;
  scored_heads_ = heads;
  const auto draws = static_cast<std::size_t>(std::max(limits_.max_draws, 1));
  const auto width = static_cast<std::size_t>(site_.slots.spec().max_text_len);
  head_scores_ = site_.memory.take<float>(draws * static_cast<std::size_t>(heads) * width, "draws");
  heads_done_ = site_.memory.take<std::uint32_t>(draws, "draws");
  if (!site_.memory.counts_only())
    check(cudaMemset(heads_done_, 0, draws * sizeof(std::uint32_t)), "cudaMemset");
}

void Lowering::lower(const ops::CrossAttention& op) {
  check_head_dim(program_, op.head_dim);
  CrossAttentionArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.memory = site_.slots.memory(op.layer, op.memory);
  args.q = buffer(op.q);
  args.out = buffer(op.out);
  args.scores = buffer(op.scores);
  args.heads = op.heads;
  args.head_dim = op.head_dim;
  args.layer = op.layer;
  args.has_kept_memory = std::none_of(
      program_.ops.begin(), program_.ops.end(),
      [](const ops::Op& other) { return std::holds_alternative<ops::StoreMemory>(other); });
  if (op.scores != ops::kNoBuffer) {
    share_head_scores(op.heads);
    args.head_scores = head_scores_;
    args.heads_done = heads_done_;
  }
  add("cross-attention", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    cross_attention(args, stream);
  });
}

void Lowering::lower(const ops::StoreContext& op) {
  StoreContextArgs args;
  args.rows = site_.rows;
  args.slots = site_.slots.view();
  args.faults = faults();
  args.x = buffer(op.x);
  args.width = width_of(op.x);
  add("store context", [args](const Bounds& bounds, cudaStream_t stream) mutable {
    args.max_rows = bounds.rows;
    store_context(args, stream);
  });
}

}  // namespace ttsrt::cuda
