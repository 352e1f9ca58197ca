#include "plugin_lowering.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/op.h"
#include "cuda/check.h"
#include "cuda/launch.h"
#include "nested_call.h"
#include "ops/faults.h"
#include "ops/reference/weight_reader.h"

namespace ttsrt::plugins::test {
namespace {

std::int32_t blocks_of(std::int32_t positions) {
  return static_cast<std::int32_t>(ops::blocks_for(positions));
}

}  // namespace

std::vector<PluginStep> PluginLowering::run() {
  for (op_ = 0; op_ < program_.ops.size(); ++op_)
    std::visit([this](const auto& op) { lower(op); }, program_.ops[op_]);
  return std::move(steps_);
}

std::shared_ptr<const BoundPlugin> PluginLowering::bound(PluginCall call) {
  for (const FieldName& name : kind_of(call.kind).fields) {
    if (name.name != "not_finite") continue;
    call.fields.push_back(number("not_finite", ops::fault_word(op_, ops::FaultKind::not_finite)));
    call.fields.push_back(number("no_choice", ops::fault_word(op_, ops::FaultKind::no_choice)));
  }
  plugins_.push_back(std::make_shared<const BoundPlugin>(call, site_.common, site_.memory));
  return plugins_.back();
}

void PluginLowering::add(PluginCall call) {
  steps_.emplace_back(
      [plugin = bound(std::move(call))](const LaunchShape& shape, cudaStream_t stream) {
        plugin->enqueue(shape.rows, stream);
      });
}

// All tables of an embedding have one type; where the model's differ, they are widened.
const void* PluginLowering::table(const ops::Weight& weight, cuda::Element element) {
  if (cuda::element_of(weight.dtype) == element) return site_.weights.table(weight).data;
  if (site_.memory.counts_only()) return nullptr;
  const ops::reference::WeightReader reader(weight);
  std::vector<float> values(static_cast<std::size_t>(weight.rows * weight.cols));
  for (std::int64_t row = 0; row < weight.rows; ++row)
    reader.row(row, values.data() + row * weight.cols);
  auto* at = site_.memory.take<float>(values.size(), "tables");
  cuda::check(cudaMemcpy(at, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice),
              "cudaMemcpy");
  return at;
}

void PluginLowering::lower(const ops::EmbedRows& op) {
  std::vector<ops::Weight> tables = op.id_tables;
  tables.insert(tables.end(), op.position_tables.begin(), op.position_tables.end());
  if (op.code_tables.is_present()) tables.push_back(op.code_tables);
  cuda::Element element = cuda::Element::float32;
  const auto is_like_first = [&tables](const ops::Weight& other) {
    return other.dtype == tables.front().dtype;
  };
  if (!tables.empty() && std::all_of(tables.begin(), tables.end(), is_like_first))
    element = cuda::element_of(tables.front().dtype);
  PluginCall call{"CodebookEmbed", {}, {{"out", buffer(op.out)}}};
  const auto add_tables = [&](const char* fields, const char* name,
                              const std::vector<ops::Weight>& of) {
    Numbers rows;
    for (std::size_t i = 0; i < of.size(); ++i) {
      rows.push_back(static_cast<std::int32_t>(of[i].rows));
      call.addresses[name + std::to_string(i)] = table(of[i], element);
    }
    if (!rows.empty()) call.fields.push_back({fields, rows});
  };
  add_tables("id_rows", "id_table", op.id_tables);
  add_tables("position_rows", "position_table", op.position_tables);
  if (op.code_tables.is_present()) {
    call.fields.push_back(number("table_codebooks", op.codebooks));
    call.fields.push_back(number("table_vocab", op.vocab));
    call.addresses["code_tables"] = table(op.code_tables, element);
  }
  call.fields.push_back(number("width", width_of(op.out)));
  call.fields.push_back(number("table_type", static_cast<std::int32_t>(element)));
  call.fields.push_back(number("adds_positions", op.adds_positions ? 1 : 0));
  // Rows of another width than the kept ones are never read back.
  if (width_of(op.out) != site_.slots.spec().dim) {
    call.fields.push_back(number("max_context_rows", 0));
  }
  add(std::move(call));
}

void PluginLowering::lower(const ops::Norm& op) {
  cuda::NormArgs args = cuda::norm_args(op, rows_, site_.weights);
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::norm(args, stream);
  });
}

void PluginLowering::lower(const ops::Linear& op) {
  cuda::LinearArgs args = cuda::linear_args(op, rows_, site_.weights);
  TTSRT_CHECK(ConfigError, cuda::linear_scratch_bytes(args.weight, 1) == 0, op.weight.name,
              ": expected a product that is not quantized");
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::linear(args, stream);
  });
}

void PluginLowering::lower(const ops::Gate& op) {
  cuda::GateArgs args = cuda::gate_args(op, rows_);
  steps_.emplace_back([args](const LaunchShape& shape, cudaStream_t stream) mutable {
    args.max_rows = shape.rows;
    cuda::gate(args, stream);
  });
}

void PluginLowering::lower(const ops::Unfold& op) {
  PluginCall call{"Unfold", {}, {{"x", buffer(op.x)}, {"out", buffer(op.out)}}};
  call.fields = {number("width", width_of(op.x)), number("kernel", op.kernel),
                 number("is_causal", op.causal ? 1 : 0),
                 number("has_history", op.history >= 0 ? 1 : 0)};
  if (op.history >= 0) call.addresses["history"] = site_.slots.history(op.history).data;
  add(std::move(call));
}

// A step of single rows has a plugin of its own, as a decode step would.
void PluginLowering::lower(const ops::SelfAttention& op) {
  const ops::StateSpec& spec = site_.slots.spec();
  const bool keeps = op.cache_layer >= 0;
  const cuda::Element element = keeps ? cuda::element_of(spec.cache_dtype) : cuda::Element::float32;
  PluginCall call{"MaskedAttention", {}, {{"qkv", buffer(op.qkv)}, {"out", buffer(op.out)}}};
  call.fields = {number("heads", op.heads),
                 number("kv_heads", op.num_kv_heads()),
                 number("head_dim", op.head_dim),
                 number("cache_type", static_cast<std::int32_t>(element)),
                 number("cache_blocks", keeps ? spec.num_blocks : 0),
                 number("is_causal", op.causal ? 1 : 0),
                 number("rope_rows", op.rope.is_present() ? op.rope.rows : 0),
                 number("rope_width", op.rope.is_present() ? op.rope.cols : 0),
                 number("score_heads_low", static_cast<std::int32_t>(op.score_heads)),
                 number("score_heads_high", static_cast<std::int32_t>(op.score_heads >> 32)),
                 number("rope_heads", op.rope_heads),
                 number("has_head_norms", op.q_norm.is_present() ? 1 : 0),
                 {"head_norm_epsilon", Reals{op.head_norm_epsilon}},
                 {"scale", Reals{op.scale}},
                 {"score_share", Reals{op.score_share}}};
  if (op.q_norm.is_present()) {
    call.addresses["q_norm"] = site_.weights.vector(op.q_norm);
    call.addresses["k_norm"] = site_.weights.vector(op.k_norm);
  }
  if (keeps) call.addresses["cache"] = site_.slots.cache(op.cache_layer).data;
  if (op.rope.is_present()) call.addresses["rope"] = site_.weights.vector(op.rope);
  if (op.scores != ops::kNoBuffer) call.addresses["scores"] = buffer(op.scores);
  PluginCall single = call;
  single.fields.push_back(number("single_rows", 1));
  steps_.emplace_back([any = bound(std::move(call)), one = bound(std::move(single)), keeps](
                          const LaunchShape& shape, cudaStream_t stream) {
    const BoundPlugin& plugin = keeps && shape.has_single_rows ? *one : *any;
    plugin.enqueue(shape.rows, stream);
  });
}

Fields PluginLowering::memory_fields(std::int32_t layer, ops::Memory memory, std::int32_t heads,
                                     std::int32_t head_dim) const {
  const ops::StateSpec& spec = site_.slots.spec();
  const std::int32_t text_blocks = blocks_of(spec.max_text_len);
  const bool is_context = memory == ops::Memory::context;
  return {number("cache_type", static_cast<std::int32_t>(cuda::element_of(spec.cache_dtype))),
          number("cache_blocks", text_blocks + blocks_of(spec.max_context_memory)),
          number("layers", spec.memory_layers),
          number("layer", layer),
          number("first_block", is_context ? text_blocks : 0),
          number("is_context", is_context ? 1 : 0),
          number("heads", heads),
          number("head_dim", head_dim)};
}

Addresses PluginLowering::memory_address() const {
  return {{"memory", site_.slots.memory(0, ops::Memory::text).blocks.data}};
}

void PluginLowering::lower(const ops::StoreMemory& op) {
  const ops::StateSpec& spec = site_.slots.spec();
  PluginCall call{"StoreMemory",
                  memory_fields(op.layer, op.memory, spec.memory_heads, spec.memory_head_dim),
                  memory_address()};
  call.addresses["kv"] = buffer(op.kv);
  add(std::move(call));
}

void PluginLowering::lower(const ops::CrossAttention& op) {
  const bool has_scores = op.scores != ops::kNoBuffer;
  PluginCall call{"CrossAttentionPrior", memory_fields(op.layer, op.memory, op.heads, op.head_dim),
                  memory_address()};
  const bool stores = std::any_of(
      program_.ops.begin(), program_.ops.end(),
      [](const ops::Op& other) { return std::holds_alternative<ops::StoreMemory>(other); });
  call.fields.push_back(number("has_scores", has_scores ? 1 : 0));
  call.fields.push_back(number("kept_memory", stores ? 0 : 1));
  call.addresses["q"] = buffer(op.q);
  call.addresses["out"] = buffer(op.out);
  if (has_scores) {
    if (head_scores_.empty()) {
      const auto draws = static_cast<std::size_t>(std::max(site_.max_draws, 1));
      const auto width = static_cast<std::size_t>(site_.slots.spec().max_text_len);
      const auto heads = static_cast<std::size_t>(op.heads);
      auto* done = site_.memory.take<std::uint32_t>(draws, "draws");
      if (!site_.memory.counts_only())
        cuda::check(cudaMemset(done, 0, draws * sizeof(*done)), "cudaMemset");
      head_scores_["head_scores"] = site_.memory.take<float>(draws * heads * width, "draws");
      head_scores_["heads_done"] = done;
    }
    call.addresses.insert(head_scores_.begin(), head_scores_.end());
    call.addresses["scores"] = buffer(op.scores);
  }
  add(std::move(call));
}

void PluginLowering::lower(const ops::StoreContext& op) {
  add({"StoreContext", {}, {{"x", buffer(op.x)}}});
}

void PluginLowering::lower(const ops::ClearScores& op) {
  if (site_.clears_at_begin && !cleared_scores_.has_value()) {
    cleared_scores_ = buffer(op.scores);
    return;
  }
  add({"ClearScores", {}, {{"scores", buffer(op.scores)}}});
}

void PluginLowering::lower(const ops::UpdatePrior& op) {
  add({"PriorUpdate", {}, {{"scores", buffer(op.scores)}}});
}

void PluginLowering::lower(const ops::SampleCodes& op) {
  PluginCall call{"GuidedSample", {number("vocab", op.vocab)}, {{"logits", buffer(op.logits)}}};
  call.fields.push_back(number("keep_guided", op.guided == ops::kNoBuffer ? 0 : 1));
  if (op.guided != ops::kNoBuffer) call.addresses["guided"] = buffer(op.guided);
  add(std::move(call));
}

void PluginLowering::lower(const ops::PickCodes& op) {
  PluginCall call = local_transformer_call(op, site_.weights);
  call.addresses["hidden"] = buffer(op.hidden);
  if (op.pick_logits != ops::kNoBuffer) call.addresses["pick_logits"] = buffer(op.pick_logits);
  add(std::move(call));
}

void PluginLowering::lower(const ops::FinishStep&) { add({"FinishStep", {}, {}}); }

}  // namespace ttsrt::plugins::test
