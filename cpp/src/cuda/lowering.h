// Lowering turns the ops of a Program into launches of kernels, with every pointer and size fixed.
//
// A step is a launch of one or more kernels. Its arguments are kept by value; only the bounds of
// its grids differ from launch to launch, so a list of steps can be captured once per bound.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/bounds.h"
#include "cuda/device_memory.h"
#include "cuda/device_slots.h"
#include "cuda/device_weights.h"
#include "cuda/launch.h"
#include "cuda/launch_limits.h"
#include "cuda/launch_rate.h"
#include "cuda/launch_relative.h"
#include "cuda/launch_rows.h"
#include "cuda/launch_whole.h"
#include "ops/backend.h"
#include "ops/program.h"

namespace ttsrt::cuda {

struct Step {
  std::string label;  // "linear 2304 x 768 bfloat16"
  std::function<void(const Bounds&, cudaStream_t)> run;
  // Whether it may be captured for these bounds: where it says no, it has to run first. Null: yes.
  std::function<bool(const Bounds&)> can_capture = nullptr;
};

// What a lowered Program is made of.
struct Lowered {
  std::vector<Step> steps;
  std::vector<std::int32_t> part_steps;  // [parts] the first step of each part
  std::vector<float*> activations;       // [activations]
  float* cleared_scores = nullptr;       // cleared by the first kernel of a launch
  std::size_t activation_bytes = 0;
  std::size_t scratch_bytes = 0;           // that one step needs at most
  ops::BufferId emitted = ops::kNoBuffer;  // rows that come back to the host
  bool is_foreign = false;                 // kernels of others run, too, which are left as they are
  // Times of stages within steps, under profile; null: those of the steps.
  std::function<std::vector<StageTimes>()> stage_times = nullptr;
};

// The places that a Program's launches use.
struct Site {
  const DeviceSlots& slots;
  DeviceWeights& weights;
  DeviceMemory& memory;  // of the Executable
  RowsView rows;
  std::uint32_t* faults = nullptr;  // [max_rows]
  std::byte** scratch = nullptr;    // set once the size is known
};

// Turns Programs into steps in place of Lowering, where it takes them.
class Lowerer {
 public:
  virtual ~Lowerer() = default;
  virtual bool takes(const ops::Program& program) const = 0;
  // As Lowering::run(); a memory that counts only gets no launch. The Program stays where it is.
  virtual Lowered lower(const ops::Program& program, const ops::ProgramLimits& limits,
                        const Site& site) = 0;
  // Of weights that the steps of a Program that it takes keep beside Site::weights.
  virtual std::size_t weight_bytes(const ops::Program& program) const = 0;
};

// Where a Program's rows are: its activations, their widths, and how many rows a launch has.
struct RowBuffers {
  const ops::Program& program;
  const std::vector<float*>& buffers;  // [activations]
  const std::int32_t* num_rows = nullptr;

  float* buffer(ops::BufferId id) const {
    return id == ops::kNoBuffer ? nullptr : buffers[static_cast<std::size_t>(id)];
  }
  std::int64_t width_of(ops::BufferId id) const {
    return program.activations[static_cast<std::size_t>(id)].width;
  }
};

constexpr std::int64_t kQuadOutputs = 4;  // that whole products write at once

class Lowering {
 public:
  Lowering(const ops::Program& program, const ops::ProgramLimits& limits, const Site& site)
      : program_(program), limits_(limits), site_(site) {}

  Lowered run();

 private:
  friend class PickLowering;

  void allocate();
  // Returns the input of the SplitRows that writes the buffer, if both may be the same memory, and
  // kNoBuffer otherwise.
  ops::BufferId shares_with(ops::BufferId buffer) const;
  void lower(const ops::EmbedRows& op);
  void lower(const ops::Norm& op);
  void lower(const ops::Linear& op);
  void lower(const ops::Gate& op);
  void lower(const ops::Unfold& op);
  void lower(const ops::SelfAttention& op);
  void lower(const ops::StoreMemory& op);
  void lower(const ops::CrossAttention& op);
  void lower(const ops::StoreContext& op);
  void lower(const ops::ClearScores& op);
  void lower(const ops::UpdatePrior& op);
  void lower(const ops::SampleCodes& op);
  void lower(const ops::PickCodes& op);
  void lower(const ops::FinishStep& op);
  void lower(const ops::ShiftBlock& op);
  void lower(const ops::GuessBlock& op);
  void lower(const ops::FinishBlock& op);
  void lower(const ops::LoadRows& op);
  void lower(const ops::SaveRows& op);
  void lower(const ops::StoreSchedule& op);
  void lower(const ops::ModulatedNorm& op);
  void lower(const ops::AddModulated& op);
  void lower(const ops::ClearFiller& op);
  void lower(const ops::StretchText& op);
  void lower(const ops::DepthwiseConv& op);
  void lower(const ops::GroupedConv& op);
  void lower(const ops::ResponseNorm& op);
  void lower(const ops::FlowStep& op);
  void lower(const ops::PolarSpectrum& op);
  void lower(const ops::OverlapAdd& op);
  void lower(const ops::EmitRows& op);
  void lower(const ops::DequantizeCodes& op);
  void lower(const ops::HalfSnake& op);
  void lower(const ops::TimeConv& op);
  void lower(const ops::Upsample& op);
  void lower(const ops::Clamp& op);
  void lower(const ops::SplitRows& op);
  void lower(const ops::QuantizeRows& op);
  void lower(const ops::ShiftRows& op);
  void lower(const ops::HarmonicSource& op);
  void lower(const ops::FadeIn& op);
  void lower(const ops::JoinColumns& op);
  void lower(const ops::ActivateRows& op);
  void lower(const ops::DistanceRows& op);
  void lower(const ops::RelativeAttention& op);
  // Throws ConfigError: the backend has no kernel for that.
  [[noreturn]] void refuse(const char* what) const;
  bool lower_item_attention(const ops::SelfAttention& op);  // false: it is another attention

  // Of ops with rates (rate_lowering.cpp).
  std::int32_t rate_of(ops::BufferId id) const;
  std::int32_t beyond_of(ops::BufferId id) const;
  PastView past(std::int32_t index) const;  // index -1: none
  SnakeView snake_of(const ops::HalfSnake& op);

  // Of narrow convolutions over time (rate_conv_lowering.cpp).
  NarrowConvArgs narrow_conv_args(const ops::TimeConv& op) const;  // without pointers
  bool convolves_causally(const ops::TimeConv& op) const;          // by narrow_conv()
  bool convolves_segments(const ops::TimeConv& op) const;          // by segment_conv()
  bool convolves_narrow(const ops::TimeConv& op) const;
  // Whether the op reads a buffer as narrow rows of a convolution, and not otherwise.
  bool convolves_narrow(const ops::Op& op, ops::BufferId buffer) const;
  NarrowRows leave_conv_rows(ops::BufferId buffer, std::size_t op, float*& out);
  NarrowRows conv_inputs(const ops::TimeConv& op);
  const ops::HalfSnake* snake_behind(ops::BufferId out) const;
  // Makes the half-snake behind an op part of it.
  template <typename Args>
  bool take_snake(ops::BufferId x, ops::BufferId out, bool accumulates, Args& args) {
    const ops::HalfSnake* snake = snake_behind(out);
    if (snake == nullptr || snake->out == x) return false;  // other blocks still read x
    const std::size_t next = op_ + 1;
    const Readers later = readers_of(out, next);
    const bool is_kept = snake->out != out && (later.wide || later.narrow);
    if (!is_kept && !accumulates) args.out = nullptr;
    forget_narrow_rows(program_.ops[next]);
    args.has_snake = true;
    args.snake = snake_of(*snake);
    args.snake_out = buffer(snake->out);
    args.snake_narrow = leave_conv_rows(snake->out, next, args.snake_out);
    next_is_taken_ = true;
    return true;
  }
  bool lower_narrow_conv(const ops::TimeConv& op);  // false: it is another convolution

  void add_item_attention(const ItemAttentionArgs& args, std::int64_t width, bool is_prepared);

  // Of Programs of many rows (whole_product_lowering.cpp): an activation as narrow rows, and who
  // reads it before it is overwritten.
  struct Narrow {
    NarrowRows rows;
    bool is_current = false;
    bool is_prepared = false;  // as prepare_heads() leaves queries, keys and values
  };
  struct Readers {
    bool wide = false;
    bool narrow = false;
  };
  void start_narrow_rows();
  void forget_narrow_rows(const ops::Op& op);
  bool multiplies_whole(const ops::Linear& op) const;
  Readers readers_of(ops::BufferId buffer, std::size_t op) const;
  NarrowRows narrow_rows_of(ops::BufferId buffer, Element element);
  NarrowRows leave_rows(ops::BufferId buffer, std::size_t op, float*& out);
  NarrowRows narrow_inputs(const ops::Linear& op);
  const ops::Op* next_of(ops::BufferId between) const;
  bool take_gate(const ops::Linear& op, WholeProductArgs& args);
  bool take_heads(const ops::Linear& op, WholeProductArgs& args);
  bool lower_whole_product(const ops::Linear& op);  // false: it is another product
  std::int32_t most_padded(std::int32_t rows, std::int32_t gap) const;
  PaddedRows padded_rows(std::int64_t width, Element element, std::int32_t gap);
  bool lower_whole_conv(const ops::GroupedConv& op);  // false: it is another convolution

  // Of flows and of encoders that know distances (relative_lowering.cpp).
  bool lower_whole_norm(const ops::Norm& op);  // false: it is another norm
  RowEnd end_of(const ops::ActivateRows& op) const;
  Element element_of_distances(const ops::RelativeAttention& op) const;

  void add(std::string label, std::function<void(const Bounds&, cudaStream_t)> run);
  // Adds the launch of an op over rows.
  template <typename Args>
  void add_rows(std::string label, const Args& args, void (*launch)(const Args&, cudaStream_t)) {
    add(std::move(label), [args = args, launch](const Bounds& bounds, cudaStream_t stream) mutable {
      args.max_rows = bounds.rows;
      launch(args, stream);
    });
  }
  // The arguments of an op over draws, with what all such ops take.
  template <typename Args>
  Args draw_args() const;
  // Adds the launch of such an op.
  template <typename Args>
  void add_draws(std::string label, Args args, void (*launch)(const Args&, cudaStream_t));
  void need_draw_scratch(std::int32_t places, std::int32_t vocab);  // for so many draws of each
  void need_scratch(std::size_t bytes);
  void share_head_scores(std::int32_t heads);
  bool is_first_use(ops::BufferId id) const;  // no op before the one being lowered uses it
  ItemTiles item_tiles() const { return item_tiles_of(limits_); }
  RowBuffers row_buffers() const { return {program_, lowered_.activations, count(Count::rows)}; }
  float* buffer(ops::BufferId id) const { return row_buffers().buffer(id); }
  std::int64_t width_of(ops::BufferId id) const { return row_buffers().width_of(id); }
  FaultsView faults() const;  // of the op that is lowered
  const std::int32_t* count(Count which) const {
    return site_.rows.counts == nullptr ? nullptr
                                        : site_.rows.counts + static_cast<std::int32_t>(which);
  }

  const ops::Program& program_;
  const ops::ProgramLimits& limits_;
  Site site_;
  Lowered lowered_;
  std::size_t op_ = 0;
  float* head_scores_ = nullptr;  // of all cross-attentions: [draws, heads, max_text_len]
  std::uint32_t* heads_done_ = nullptr;
  std::int32_t scored_heads_ = 0;
  bool uses_whole_products_ = false;
  bool uses_narrow_convs_ = false;
  bool next_is_taken_ = false;  // the next op is part of the one that is lowered
  std::vector<Narrow> narrow_;  // [activations]
  PaddedRows padded_;
};

// The arguments of ops that a nested Program has, too; bounds and scratch memory come per launch.
NormArgs norm_args(const ops::Norm& op, const RowBuffers& rows, DeviceWeights& weights);
LinearArgs linear_args(const ops::Linear& op, const RowBuffers& rows, DeviceWeights& weights);
GateArgs gate_args(const ops::Gate& op, const RowBuffers& rows);

Activation activation_of(ops::Activate activate);
std::string label_of(const ops::Weight& weight);  // "linear 2304 x 768 bfloat16"
// "convolution 432 x 432 x 11 bfloat16 at rate 8"
std::string label_of_conv(const ops::TimeConv& op, std::int64_t width, std::int32_t rate);
float attention_scale(float scale, std::int32_t head_dim);

// What the arguments of every launcher of attention take from its op; `rope` is that of the op.
template <typename Args>
void set_heads(const ops::SelfAttention& op, const float* rope, Args& args) {
  args.heads = op.heads;
  args.kv_heads = op.num_kv_heads();
  args.head_dim = op.head_dim;
  args.scale = attention_scale(op.scale, op.head_dim);
  args.is_causal = op.causal;
  args.rope = rope;
  args.rope_width = static_cast<std::int32_t>(op.rope.cols);
}
// Throw ConfigError for sizes that the kernels don't take.
void check_head_dim(const ops::Program& program, std::int32_t head_dim);
void check_vocab(const ops::Program& program, std::int32_t vocab);

}  // namespace ttsrt::cuda
