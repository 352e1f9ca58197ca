// The launches of a LocalTransformer: inputs of a place, the nested Program over the rows of all
// picks, a head, a draw; as cuda/pick_lowering.cpp.
#include <algorithm>
#include <utility>

#include "common/heads.h"
#include "common/local_transformer.h"
#include "cuda/check.h"
#include "cuda/launch.h"

namespace ttsrt::plugins {

// One call of enqueue().
class LocalTransformer::Walk {
 public:
  Walk(const LocalTransformer& op, const Call& call)
      : op_(op), at_(op.at_), call_(call), layout_(op.layout(call.workspace())) {
    rows_ = at_.launch.view(call);
    outcome_ = outcome_of(call);
    max_picks_ = at_.launch.most_draws(call.rows());
    max_pick_rows_ = std::min(call.rows(), 2 * max_picks_);
    max_rows_ = max_pick_rows_ * (is_maskgit() ? op.places() : 1);
    num_rows_ =
        at_.launch.count(call, is_maskgit() ? cuda::Count::pick_places : cuda::Count::pick_rows);
    draw_ = draw_args();
  }

  void run() {
    clear_kept();
    if (is_maskgit()) {
      pick_in_passes();
    } else {
      pick_in_order();
    }
    if (at_.keep_logits == 0) return;
    cuda::keep_pick_logits(rows_, layout_.logits, call_.output<float>("pick_logits"),
                           op_.logits_width(), call_.rows(), max_pick_rows_, call_.stream);
  }

 private:
  bool is_maskgit() const { return at_.is_maskgit != 0; }
  float* activation(std::int32_t index) const {
    return layout_.activations[static_cast<std::size_t>(index)];
  }
  const float* vector(std::int64_t op, const char* name) const {
    return call_.input<const float>(nested_weight(op, name));
  }

  cuda::PickDrawArgs draw_args() const {
    cuda::PickDrawArgs args;
    args.rows = rows_;
    args.slots = at_.slots.view(call_, at_.launch);
    args.outcome = outcome_;
    args.faults = at_.faults.view(call_);
    args.logits = layout_.logits;
    args.vocab = at_.vocab;
    args.guesses = layout_.guesses;
    args.mask_id = at_.mask_id;
    args.scratch = layout_.scratch;
    args.max_picks = max_picks_;
    return args;
  }

  // Kept keys and values have whole units of elements, of which those behind head_dim are zeros.
  void clear_kept() const {
    for (std::int64_t i = 0; i < at_.nested.size(); ++i) {
      const NestedOp op = at_.nested.at(i);
      const std::size_t bytes = op_.kept_bytes(op);
      if (bytes == 0 || cuda::padded_dims(op.head_dim()) == op.head_dim()) continue;
      cuda::check(
          cudaMemsetAsync(layout_.kept[static_cast<std::size_t>(i)], 0, bytes, call_.stream),
          "cudaMemsetAsync");
    }
  }

  void pick_in_order() {
    for (std::int32_t place = 0; place < op_.places(); ++place) {
      run_program(place);
      head(place);
      draw_.place = place;
      cuda::pick_code(draw_, call_.stream);
    }
  }

  void pick_in_passes() {
    cuda::start_guesses(draw_, call_.stream);
    for (std::int32_t pass = 0; pass < at_.max_passes; ++pass) {
      draw_.pass = pass;
      cuda::fix_confident(draw_, call_.stream);
      run_program(-1);
      for (std::int32_t place = 0; place < op_.codebooks(); ++place) head(place);
      cuda::guess_codes(draw_, call_.stream);
    }
    cuda::finish_guesses(draw_, call_.stream);
  }

  // The nested Program for one place, or for all of them (-1).
  void run_program(std::int32_t place) const {
    gather(place);
    for (std::int64_t i = 0; i < at_.nested.size(); ++i) run_op(i, at_.nested.at(i), place);
  }

  void gather(std::int32_t place) const {
    const std::int64_t inner = at_.nested.width(0);
    cuda::PickInputArgs input;
    input.rows = rows_;
    input.outcome = outcome_;
    input.hidden = call_.input<const float>("hidden");
    input.code_tables = {call_.input<const void>("code_tables"),
                         static_cast<cuda::Element>(at_.weight_type), op_.logits_width(),
                         at_.width};
    input.fed = layout_.guesses.fed;
    input.out = at_.has_in_proj != 0 ? layout_.projected : activation(0);
    input.place = place;
    input.codebooks = at_.launch.codebooks;
    input.vocab = at_.vocab;
    input.dim = at_.width;
    input.max_picks = max_picks_;
    cuda::pick_inputs(input, call_.stream);
    if (at_.has_in_proj != 0) {
      cuda::LinearArgs project = product("in_proj", inner, at_.width);
      project.x = layout_.projected;
      project.out = activation(0);
      project.bias = call_.input<const float>("in_proj_bias");
      cuda::linear(project, call_.stream);
    }
    cuda::AddPositionsArgs positions;
    positions.num_rows = num_rows_;
    positions.x = activation(0);
    positions.positions = call_.input<const float>("positions");
    positions.width = inner;
    positions.place = place;
    positions.places = op_.places();
    positions.max_rows = max_rows_;
    cuda::add_positions(positions, call_.stream);
  }

  // A product over the rows of the nested Program, but for its tensors.
  cuda::LinearArgs product(const std::string& weight, std::int64_t outputs,
                           std::int64_t inputs) const {
    cuda::LinearArgs args;
    args.num_rows = num_rows_;
    args.x_stride = inputs;
    args.out_stride = outputs;
    args.weight = packed_weight(call_.input<const void>(weight), at_.weight_type, outputs, inputs);
    args.max_rows = max_rows_;
    return args;
  }

  void run_op(std::int64_t index, const NestedOp& op, std::int32_t place) const {
    switch (op.kind) {
      case NestedKind::norm:
        return norm(index, op);
      case NestedKind::linear:
        return linear(index, op);
      case NestedKind::gate:
        return gate(op);
      case NestedKind::attention:
        return attend(index, op, place);
    }
  }

  void norm(std::int64_t index, const NestedOp& op) const {
    cuda::NormArgs args;
    args.num_rows = num_rows_;
    args.x = activation(op.x);
    args.out = activation(op.out);
    args.weight = vector(index, "weight");
    args.bias = vector(index, "bias");
    args.width = at_.nested.width(op.x);
    args.epsilon = op.real;
    args.is_rms = op.is_rms();
    args.max_rows = max_rows_;
    cuda::norm(args, call_.stream);
  }

  void linear(std::int64_t index, const NestedOp& op) const {
    cuda::LinearArgs args =
        product(nested_weight(index, "weight"), at_.nested.width(op.out), at_.nested.width(op.x));
    args.x = activation(op.x);
    args.out = activation(op.out);
    args.bias = vector(index, "bias");
    if (op.addend() >= 0) args.addend = activation(op.addend());
    args.activate = static_cast<cuda::Activation>(op.activate());
    args.accumulates = op.accumulates();
    cuda::linear(args, call_.stream);
  }

  void gate(const NestedOp& op) const {
    cuda::GateArgs args;
    args.num_rows = num_rows_;
    args.x = activation(op.x);
    args.out = activation(op.out);
    args.width = at_.nested.width(op.out);
    args.activate = static_cast<cuda::Activation>(op.activate());
    args.max_rows = max_rows_;
    cuda::gate(args, call_.stream);
  }

  void attend(std::int64_t index, const NestedOp& op, std::int32_t place) const {
    cuda::LocalAttentionArgs args;
    args.num_groups = at_.launch.count(call_, cuda::Count::pick_rows);
    args.qkv = activation(op.x);
    args.out = activation(op.out);
    args.kept = layout_.kept[static_cast<std::size_t>(index)];
    args.place = place;
    args.places = op_.places();
    args.heads = op.heads();
    args.kv_heads = op.kv_heads();
    args.head_dim = op.head_dim();
    args.scale = score_scale(op.real, op.head_dim());
    args.is_causal = op.is_causal();
    args.rope = vector(index, "rope");
    args.rope_width = op.rope_width();
    args.max_groups = max_pick_rows_;
    cuda::local_attention(args, call_.stream);
  }

  // Head p of an autoregressive pick reads the rows of place p; of MaskGit, each group's row p + 1.
  void head(std::int32_t place) const {
    const std::int64_t outer = at_.nested.width(at_.nested.output);
    cuda::LinearArgs args = product("head" + std::to_string(place), at_.vocab, outer);
    args.num_rows = at_.launch.count(call_, cuda::Count::pick_rows);
    args.x = activation(at_.nested.output);
    if (is_maskgit()) {
      args.x += (place + 1) * outer;
      args.x_stride = op_.places() * outer;
    }
    args.out = layout_.logits + std::int64_t{place} * at_.vocab;
    args.out_stride = op_.logits_width();
    const auto* biases = call_.input<const float>("head_biases");
    if (biases != nullptr) args.bias = biases + std::int64_t{place} * at_.vocab;
    args.max_rows = max_pick_rows_;
    cuda::linear(args, call_.stream);
  }

  const LocalTransformer& op_;
  const LocalTransformerAttributes& at_;
  const Call& call_;
  Layout layout_;
  cuda::RowsView rows_;
  cuda::OutcomeView outcome_;
  cuda::PickDrawArgs draw_;
  const std::int32_t* num_rows_ = nullptr;
  std::int32_t max_picks_ = 0;
  std::int32_t max_pick_rows_ = 0;
  std::int32_t max_rows_ = 0;
};

void LocalTransformer::enqueue(const Call& call) const { Walk(*this, call).run(); }

}  // namespace ttsrt::plugins
