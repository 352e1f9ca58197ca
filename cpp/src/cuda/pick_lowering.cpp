// PickCodes as launches: the inputs of a place, the nested Program over the rows of all picks, the
// heads, and the draw, place after place; or, of MaskGit, pass after pass over all places.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "core/check.h"
#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/lowering.h"
#include "cuda/place_lowering.h"
#include "ops/nested.h"

namespace ttsrt::cuda {
namespace {

// One launch over the rows of picks; `place` is -1 for all places together.
using PickStep = std::function<void(const Bounds&, std::int32_t place, cudaStream_t)>;

}  // namespace

// Lowers the parts of one PickCodes. The steps are kept in one list, which the op's single step of
// the Program walks once per place or pass.
class PickLowering {
 public:
  PickLowering(Lowering& parent, const ops::PickCodes& op)
      : parent_(parent),
        op_(op),
        rows_(2 * std::max(parent.limits_.max_draws, 1)),
        places_(op.places()),
        nested_rows_(op.maskgit ? std::int64_t{rows_} * places_ : rows_) {}

  void run() {
    check_vocab(parent_.program_, op_.vocab);
    const auto& activations = op_.network.program->activations;
    for (const ops::Activation& activation : activations)
      buffers_.push_back(take<float>(nested_rows_ * activation.width));
    logits_ = take<float>(std::int64_t{rows_} * logits_width());
    add_input();
    for (const ops::Op& op : op_.network.program->ops) {
      std::visit([this](const auto& record) { lower(record); }, op);
    }
    add_heads();
    prepare_draw();
    const std::optional<PlacesArgs> in_one_launch = places();
    parent_.add(in_one_launch.has_value() ? "picks, few rows in one launch" : "picks",
                finished(in_one_launch));
  }

 private:
  template <typename T>
  T* take(std::int64_t count) {
    return parent_.site_.memory.take<T>(static_cast<std::size_t>(count), "activations");
  }
  float* take_zeros(std::int64_t count) {
    auto* at = take<float>(count);
    if (at != nullptr)
      check(cudaMemset(at, 0, static_cast<std::size_t>(count) * sizeof(float)), "cudaMemset");
    return at;
  }
  float* buffer(ops::BufferId id) const { return buffers_[static_cast<std::size_t>(id)]; }
  std::int64_t width_of(ops::BufferId id) const { return ops::width_of(op_.network, id); }
  std::int64_t logits_width() const { return std::int64_t{op_.codebooks} * op_.vocab; }
  RowBuffers row_buffers() const { return {*op_.network.program, buffers_, num_rows()}; }
  const std::int32_t* num_rows() const {
    return parent_.count(op_.maskgit ? Count::pick_places : Count::pick_rows);
  }

  void add_linear(LinearArgs args) {
    parent_.need_scratch(
        linear_scratch_bytes(args.weight, static_cast<std::int32_t>(nested_rows_)));
    steps_.push_back([of = shape(), args, scratch = parent_.site_.scratch](
                         const Bounds& bounds, std::int32_t, cudaStream_t stream) mutable {
      args.scratch = *scratch;
      args.max_rows = of.bound(bounds);
      linear(args, stream);
    });
  }

  struct Shape {
    bool maskgit;
    std::int32_t places;
    std::int32_t bound(const Bounds& bounds) const {
      return maskgit ? bounds.pick_rows() * places : bounds.pick_rows();
    }
  };
  Shape shape() const { return {op_.maskgit, places_}; }

  void add_input() {
    const bool projects = op_.in_proj.is_present();
    PickInputArgs args;
    args.rows = parent_.site_.rows;
    args.hidden = parent_.buffer(op_.hidden);
    args.code_tables = parent_.site_.weights.table(op_.code_tables);
    args.codebooks = op_.codebooks;
    args.vocab = op_.vocab;
    args.dim = op_.dim;
    args.out = projects ? take<float>(nested_rows_ * op_.dim) : buffer(op_.network.input);
    if (op_.maskgit) {
      fed_ = take<std::int32_t>(std::int64_t{rows_} * op_.codebooks);
      args.fed = fed_;
    }
    parts_.input = args;
    steps_.push_back([args, outcome = parent_.site_.slots.outcome()](
                         const Bounds& bounds, std::int32_t place, cudaStream_t stream) mutable {
      args.outcome = *outcome;
      args.place = place;
      args.max_picks = bounds.picks;
      pick_inputs(args, stream);
    });
    if (projects) {
      LinearArgs linear;
      linear.num_rows = num_rows();
      linear.x = args.out;
      linear.x_stride = op_.dim;
      linear.out = buffer(op_.network.input);
      linear.out_stride = width_of(op_.network.input);
      linear.bias = parent_.site_.weights.vector(op_.in_proj_bias);
      linear.weight = parent_.site_.weights.product(op_.in_proj);
      add_linear(linear);
    }
    AddPositionsArgs positions;
    positions.num_rows = num_rows();
    positions.x = buffer(op_.network.input);
    positions.positions = parent_.site_.weights.vector(op_.positions);
    positions.width = width_of(op_.network.input);
    positions.places = places_;
    parts_.positions = positions.positions;
    steps_.push_back([positions, of = shape()](const Bounds& bounds, std::int32_t place,
                                               cudaStream_t stream) mutable {
      positions.place = place;
      positions.max_rows = of.bound(bounds);
      add_positions(positions, stream);
    });
  }

  void lower(const ops::Norm& op) {
    NormArgs args = norm_args(op, row_buffers(), parent_.site_.weights);
    parts_.norms.push_back(args);
    steps_.push_back(
        [args, of = shape()](const Bounds& bounds, std::int32_t, cudaStream_t stream) mutable {
          args.max_rows = of.bound(bounds);
          norm(args, stream);
        });
  }

  void lower(const ops::Linear& op) {
    parts_.products.push_back(linear_args(op, row_buffers(), parent_.site_.weights));
    add_linear(parts_.products.back());
  }

  void lower(const ops::Gate& op) {
    GateArgs args = gate_args(op, row_buffers());
    steps_.push_back(
        [args, of = shape()](const Bounds& bounds, std::int32_t, cudaStream_t stream) mutable {
          args.max_rows = of.bound(bounds);
          gate(args, stream);
        });
  }

  void lower(const ops::SelfAttention& op) {
    check_head_dim(parent_.program_, op.head_dim);
    LocalAttentionArgs args;
    args.num_groups = parent_.count(Count::pick_rows);
    args.qkv = buffer(op.qkv);
    args.out = buffer(op.out);
    args.places = places_;
    set_heads(op, parent_.site_.weights.vector(op.rope), args);
    if (!op_.maskgit) {
      args.kept = take_zeros(std::int64_t{rows_} * places_ * 2 * op.num_kv_heads() *
                             padded_dims(op.head_dim));
    }
    parts_.attentions.push_back(args);
    steps_.push_back([args](const Bounds& bounds, std::int32_t place, cudaStream_t stream) mutable {
      args.place = place;
      args.max_groups = bounds.pick_rows();
      local_attention(args, stream);
    });
  }

  template <typename Other>
  void lower(const Other&) {
    throw InternalError("picks: a nested Program with an op that isn't allowed there");
  }

  // Head p of an autoregressive pick reads the rows of place p; of MaskGit, each group's row p + 1.
  void add_heads() {
    const std::int64_t width = width_of(op_.network.output);
    const float* biases = parent_.site_.weights.vector(op_.head_biases);
    for (std::int32_t p = 0; p < op_.codebooks; ++p) {
      LinearArgs args;
      args.num_rows = parent_.count(Count::pick_rows);
      args.x = buffer(op_.network.output);
      args.x_stride = width;
      if (op_.maskgit) {
        args.x_stride = places_ * width;
        if (args.x != nullptr) args.x += (p + 1) * width;
      }
      args.out = logits_ == nullptr ? nullptr : logits_ + std::int64_t{p} * op_.vocab;
      args.out_stride = logits_width();
      args.weight = parent_.site_.weights.product(op_.head_weights[static_cast<std::size_t>(p)]);
      args.bias = biases == nullptr ? nullptr : biases + std::int64_t{p} * op_.vocab;
      parent_.need_scratch(linear_scratch_bytes(args.weight, rows_));
      heads_.push_back(args);
    }
  }

  void prepare_draw() {
    draw_.rows = parent_.site_.rows;
    draw_.slots = parent_.site_.slots.view();
    draw_.faults = parent_.faults();
    draw_.logits = logits_;
    draw_.vocab = op_.vocab;
    draw_.mask_id = op_.mask_id;
    if (op_.maskgit) {
      const std::int64_t codes = std::int64_t{rows_} * op_.codebooks;
      draw_.guesses = {fed_, take<std::int32_t>(codes), take<float>(codes),
                       take<std::uint8_t>(codes)};
    }
    parent_.need_draw_scratch(op_.codebooks, op_.vocab);
  }

  std::optional<PlacesArgs> places() {
    parts_.heads = heads_;
    parts_.head_biases = parent_.site_.weights.vector(op_.head_biases);
    parts_.draw = draw_;
    parts_.keeps_logits = op_.pick_logits != ops::kNoBuffer;
    return lower_places(op_, parts_, parent_.site_.memory);
  }

  // What one launch of all picks needs, by value.
  struct Walk {
    std::vector<PickStep> steps;
    std::vector<LinearArgs> heads;
    PickDrawArgs draw;
    std::optional<PlacesArgs> places;  // if few rows may run in one launch
    const OutcomeView* outcome = nullptr;
    std::byte** scratch = nullptr;
    float* kept = nullptr;  // raw logits by rows of the launch, or none
    std::int64_t width = 0;

    void head(std::int32_t place, const Bounds& bounds, cudaStream_t stream) {
      LinearArgs args = heads[static_cast<std::size_t>(place)];
      args.scratch = *scratch;
      args.max_rows = bounds.pick_rows();
      linear(args, stream);
    }

    void prepare(const Bounds& bounds) {
      draw.outcome = *outcome;
      draw.scratch = *scratch;
      draw.max_picks = bounds.picks;
    }

    // Rows are as many as a launch has at most, which chooses between two ways to the same bits.
    void pick_in_order(const Bounds& bounds, cudaStream_t stream) {
      if (places.has_value() && bounds.pick_rows() <= most_place_rows(places->width)) {
        places->input.outcome = draw.outcome;
        places->draw = draw;
        return pick_places(*places, stream);
      }
      const auto places = static_cast<std::int32_t>(heads.size());
      for (std::int32_t place = 0; place < places; ++place) {
        for (const PickStep& step : steps) step(bounds, place, stream);
        head(place, bounds, stream);
        draw.place = place;
        pick_code(draw, stream);
      }
    }

    void pick_in_passes(const Bounds& bounds, cudaStream_t stream) {
      const auto places = static_cast<std::int32_t>(heads.size());
      start_guesses(draw, stream);
      for (std::int32_t pass = 0; pass < bounds.passes; ++pass) {
        draw.pass = pass;
        fix_confident(draw, stream);
        for (const PickStep& step : steps) step(bounds, -1, stream);
        for (std::int32_t place = 0; place < places; ++place) head(place, bounds, stream);
        guess_codes(draw, stream);
      }
      finish_guesses(draw, stream);
    }
  };

  std::function<void(const Bounds&, cudaStream_t)> finished(
      const std::optional<PlacesArgs>& places) {
    auto walk = std::make_shared<Walk>();
    walk->places = places;
    walk->steps = std::move(steps_);
    walk->heads = std::move(heads_);
    walk->draw = draw_;
    walk->outcome = parent_.site_.slots.outcome();
    walk->scratch = parent_.site_.scratch;
    walk->kept = parent_.buffer(op_.pick_logits);
    walk->width = logits_width();
    return [walk, is_maskgit = op_.maskgit](const Bounds& bounds, cudaStream_t stream) {
      if (bounds.picks > 0) {
        walk->prepare(bounds);
        if (is_maskgit) {
          walk->pick_in_passes(bounds, stream);
        } else {
          walk->pick_in_order(bounds, stream);
        }
      }
      if (walk->kept == nullptr) return;
      keep_pick_logits(walk->draw.rows, walk->draw.logits, walk->kept, walk->width, bounds.rows,
                       bounds.pick_rows(), stream);
    };
  }

  Lowering& parent_;
  const ops::PickCodes& op_;
  std::int32_t rows_;            // pick rows at most: two branches of every draw
  std::int32_t places_;          // of a group
  std::int64_t nested_rows_;     // rows of the nested Program at most
  std::vector<float*> buffers_;  // of the nested Program
  float* logits_ = nullptr;      // [pick_rows, codebooks * vocab]
  std::int32_t* fed_ = nullptr;
  std::vector<PickStep> steps_;
  std::vector<LinearArgs> heads_;
  PickDrawArgs draw_;
  PlaceParts parts_;
};

void Lowering::lower(const ops::PickCodes& op) { PickLowering(*this, op).run(); }

}  // namespace ttsrt::cuda
