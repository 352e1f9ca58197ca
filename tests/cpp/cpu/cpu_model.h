// A small decoder with all parts, as Programs: text encoder, prefill, decode, independent heads or
// a local transformer.
#pragma once

#include <deque>

#include "cpu_support.h"
#include "model/block.h"

namespace ttsrt::test {

struct ModelShape {
  DType dtype = DType::float32;
  bool has_local_transformer = false;
  bool maskgit = false;
  std::int32_t local_width = 24;         // differs from dim, so there is an in-projection
  WeightKind matrices = DType::float32;  // quantized, or as `dtype`
  std::int32_t local_layers = 2;
  bool local_norm_out = false;

  WeightKind panels() const { return matrices.is_quantized() ? matrices : WeightKind(dtype); }
};

class SmallModel {
 public:
  static constexpr std::int32_t kDim = 24;
  static constexpr std::int32_t kHeads = 3;
  static constexpr std::int32_t kCodebooks = 4;  // 2 codebooks, 2 stacked frames
  static constexpr std::int32_t kVocab = 37;
  static constexpr std::int32_t kTextVocab = 19;
  static constexpr std::int32_t kLayers = 2;
  static constexpr std::int32_t kMaxText = 24;

  explicit SmallModel(const ModelShape& shape) : shape_(shape) {
    audio_ = table(kCodebooks * kVocab, kDim);
    text_ = table(kTextVocab, kDim);
    positions_ = keep(make_dense(80, kDim, DType::float32, ++seed_));
    write_encoder();
    write_decoder(prefill, false);
    write_decoder(decode, true);
    if (shape.has_local_transformer) write_picks();
  }

  static ops::StateSpec state(DType cache_dtype, std::int32_t slots) {
    ops::StateSpec spec;
    spec.slots = slots;
    spec.cache_dtype = cache_dtype;
    spec.cache_layers = kLayers;
    spec.cache_heads = kHeads;
    spec.cache_head_dim = kDim / kHeads;
    spec.num_blocks = 10 * slots;
    spec.memory_layers = kLayers;
    spec.memory_heads = 2;
    spec.memory_head_dim = 10;
    spec.max_text_len = kMaxText;
    spec.dim = kDim;
    spec.convs = {{3, kDim}};
    spec.codebooks = kCodebooks;
    spec.seen_vocab = kVocab;
    return spec;
  }

  ops::Program encoder;
  ops::Program prefill;
  ops::Program decode;
  ops::Program picks;  // the local transformer alone, on given decoder outputs

 private:
  const ops::Weight& keep(TestWeight weight) {
    weights_.push_back(std::move(weight));
    return weights_.back().weight();
  }
  ops::Weight panel(std::int64_t rows, std::int64_t cols) {
    return keep(make_panel(rows, cols, shape_.panels(), ++seed_, 0.25F));
  }
  ops::Weight table(std::int64_t rows, std::int64_t cols) {
    return keep(make_dense(rows, cols, shape_.dtype, ++seed_));
  }
  ops::Weight norm(std::int64_t size) { return keep(make_norm(size, ++seed_)); }
  ops::Weight bias(std::int64_t size) { return keep(make_vector(size, ++seed_)); }

  void linear(ops::Program& program, ops::BufferId x, ops::BufferId out, std::int64_t rows,
              std::int64_t cols, bool accumulate = false,
              ops::Activate activate = ops::Activate::none) {
    program.ops.emplace_back(ops::Linear{x, out, panel(rows, cols), {}, activate, accumulate});
  }

  ops::BufferId start(ops::Program& program) {
    ops::EmbedRows embed;
    embed.out = program.add("x", kDim);
    embed.code_tables = audio_;
    embed.codebooks = kCodebooks;
    embed.vocab = kVocab;
    embed.id_tables = {text_};
    embed.position_tables = {positions_};
    program.ops.emplace_back(embed);
    return embed.out;
  }

  void attention(ops::Program& program, ops::BufferId x, std::int32_t layer, bool causal) {
    const ops::BufferId normed = program.add("normed", kDim);
    const ops::BufferId qkv = program.add("qkv", 3 * kDim);
    const ops::BufferId out = program.add("attended", kDim);
    program.ops.emplace_back(ops::Norm{x, normed, norm(kDim), 1e-5F});
    linear(program, normed, qkv, 3 * kDim, kDim);
    program.ops.emplace_back(ops::SelfAttention{qkv, out, kHeads, kDim / kHeads, layer, causal});
    linear(program, out, x, kDim, kDim, true);
  }

  void feed_forward(ops::Program& program, ops::BufferId x, std::int32_t history) {
    const ops::BufferId normed = program.add("normed", kDim);
    const ops::BufferId unfolded = program.add("unfolded", 3 * kDim);
    const ops::BufferId hidden = program.add("hidden", 4 * kDim);
    program.ops.emplace_back(ops::Norm{x, normed, norm(kDim), 1e-5F});
    program.ops.emplace_back(ops::Unfold{normed, unfolded, 3, true, history});
    linear(program, unfolded, hidden, 4 * kDim, 3 * kDim, false, ops::Activate::gelu_tanh);
    linear(program, hidden, x, kDim, 4 * kDim, true);
  }

  void write_encoder() {
    const ops::BufferId x = start(encoder);
    attention(encoder, x, -1, false);
    feed_forward(encoder, x, -1);
    for (std::int32_t layer = 0; layer < kLayers; ++layer) {
      const ops::BufferId kv = encoder.add("kv", 40);
      linear(encoder, x, kv, 40, kDim);
      encoder.ops.emplace_back(ops::StoreMemory{kv, layer, ops::Memory::text});
    }
  }

  void cross(ops::Program& program, ops::BufferId x, ops::BufferId scores, std::int32_t layer) {
    const ops::BufferId normed = program.add("normed", kDim);
    const ops::BufferId q = program.add("q", 20);
    const ops::BufferId out = program.add("crossed", 20);
    program.ops.emplace_back(ops::Norm{x, normed, norm(kDim), 1e-5F});
    linear(program, normed, q, 20, kDim);
    program.ops.emplace_back(ops::CrossAttention{q, out, scores, 2, 10, layer, ops::Memory::text});
    linear(program, out, x, kDim, 20, true);
  }

  // Prefill and decode share their weights: both start from the same seed.
  void write_decoder(ops::Program& program, bool is_decode) {
    seed_ = 1000;
    const ops::BufferId x = start(program);
    const ops::BufferId scores =
        is_decode ? program.add("scores", kMaxText, ops::RowSpace::draws) : ops::kNoBuffer;
    if (is_decode) program.ops.emplace_back(ops::ClearScores{scores});
    for (std::int32_t layer = 0; layer < kLayers; ++layer) {
      attention(program, x, layer, true);
      cross(program, x, scores, layer);
      if (layer == 0) feed_forward(program, x, 0);
    }
    if (!is_decode) return;
    const ops::BufferId y = program.add("y", kDim);
    const ops::BufferId logits = program.add("logits", kCodebooks * kVocab);
    const ops::BufferId guided = program.add("guided", kCodebooks * kVocab, ops::RowSpace::draws);
    program.ops.emplace_back(ops::Norm{x, y, norm(kDim), 1e-5F});
    program.ops.emplace_back(ops::Linear{y, logits, panel(kCodebooks * kVocab, kDim),
                                         bias(kCodebooks * kVocab), ops::Activate::none, false});
    program.ops.emplace_back(ops::SampleCodes{logits, guided, kCodebooks, kVocab});
    if (shape_.has_local_transformer) program.ops.emplace_back(pick_codes(program, y));
    program.ops.emplace_back(ops::UpdatePrior{scores});
    program.ops.emplace_back(ops::FinishStep{kCodebooks, 2});
  }

  void write_picks() {
    picks.ops.emplace_back(pick_codes(picks, add_input(picks, kDim)));
    picks.ops.emplace_back(ops::FinishStep{kCodebooks, 2});
  }

  ops::PickCodes pick_codes(ops::Program& program, ops::BufferId hidden) {
    const std::int32_t width = shape_.local_width;
    ops::PickCodes op;
    op.hidden = hidden;
    op.pick_logits = program.add("pick_logits", kCodebooks * kVocab);
    op.maskgit = shape_.maskgit;
    op.codebooks = kCodebooks;
    op.vocab = kVocab;
    op.dim = kDim;
    op.mask_id = kVocab - 1;
    if (width != kDim) {
      op.in_proj = panel(width, kDim);
      op.in_proj_bias = bias(width);
    }
    op.positions = keep(make_dense(kCodebooks + 1, width, DType::float32, ++seed_));
    op.code_tables = audio_;
    op.network = local_transformer();
    for (std::int32_t i = 0; i < kCodebooks; ++i) op.head_weights.push_back(panel(kVocab, width));
    op.head_biases = bias(kCodebooks * kVocab);
    return op;
  }

  ops::NestedProgram local_transformer() {
    model::StackConfig config;
    config.layers = shape_.local_layers;
    config.dim = shape_.local_width;
    config.ffn_dim = 4 * config.dim;
    config.heads = 2;
    config.is_causal = !shape_.maskgit;
    const std::int64_t width = config.dim;
    model::StackWeights weights;
    for (std::int32_t l = 0; l < config.layers; ++l) {
      model::LayerWeights layer;
      layer.self_norm = norm(width);
      layer.self_qkv = panel(3 * width, width);
      layer.self_out = panel(width, width);
      layer.ffn_norm = norm(width);
      layer.ffn_in = panel(4 * width, width);
      layer.ffn_out = panel(width, 4 * width);
      weights.layers.push_back(layer);
    }
    if (shape_.local_norm_out) weights.norm_out = norm(width);
    return model::write_nested("local_transformer", config, weights);
  }

  ModelShape shape_;
  std::deque<TestWeight> weights_;
  std::uint64_t seed_ = 0;
  ops::Weight audio_, text_, positions_;
};

// A request of the small model: text of `text_len`, a context of zeros, one or two branches.
struct SmallRequest {
  std::int32_t slot = 0;
  std::int32_t text_len = 10;
  std::int32_t context = 5;
  bool is_guided = true;
  rules::SlotRules rules;
  std::vector<std::int32_t> blocks[2];
  std::int32_t position = 0;

  // Blocks are scattered: block b of a branch is a step of 7 through the pool.
  static SmallRequest make(std::int32_t slot, std::int32_t slots) {
    SmallRequest request;
    request.slot = slot;
    request.rules.text_len = request.text_len + slot;
    request.text_len = request.rules.text_len;
    request.context = 3 + 7 * slot;
    request.rules.cfg_scale = 2.5F;
    request.rules.eos_id = SmallModel::kVocab - 3;
    request.rules.codebooks = 2;
    request.rules.frame_stacking = 2;
    request.rules.num_forbidden = 1;
    request.rules.forbidden[0] = SmallModel::kVocab - 1;
    request.rules.sampler.seed = 77 + static_cast<std::uint64_t>(slot);
    for (std::int32_t branch = 0; branch < 2; ++branch) {
      for (std::int32_t b = 0; b < 5; ++b)
        request.blocks[branch].push_back(((slot * 2 + branch) * 5 + b) * 7 % (10 * slots));
    }
    return request;
  }

  std::vector<std::int32_t> text_ids() const {
    std::vector<std::int32_t> ids;
    for (std::int32_t i = 0; i < text_len; ++i)
      ids.push_back((i * 5 + slot) % SmallModel::kTextVocab);
    return ids;
  }

  std::int32_t branches() const { return is_guided ? 2 : 1; }

  void add_text(TestBatch& batch) const {
    batch.add_ids(slot, text_len, step::Input::ids, text_ids()).position_table = 0;
  }

  void add_context(TestBatch& batch) const {
    for (std::int32_t branch = 0; branch < branches(); ++branch) {
      auto& segment =
          branch == 0 ? batch.add_vectors(
                            slot, context,
                            random_vector(static_cast<std::size_t>(context * SmallModel::kDim), 5))
                      : batch.add(slot, context, step::Input::zeros);
      segment.branch = branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
      segment.position_table = 0;
      batch.set_blocks(blocks[branch]);
    }
  }

  void add_step(TestBatch& batch, std::int32_t step) const {
    const std::int32_t first = batch.batch.rows;
    for (std::int32_t branch = 0; branch < branches(); ++branch) {
      auto& segment = step == 0 ? batch.add_ids(slot, 1, step::Input::codes, {1, 2, 3, 4})
                                : batch.add(slot, 1, step::Input::last_codes);
      segment.branch = branch == 0 ? step::Branch::conditional : step::Branch::unconditional;
      segment.position = segment.first_position = context + step;
      segment.position_table = 0;
      segment.apply_prior = step > 0;
      batch.set_blocks(blocks[branch]);
    }
    batch.add_draw(slot, first, is_guided ? first + 1 : -1);
  }
};

}  // namespace ttsrt::test
