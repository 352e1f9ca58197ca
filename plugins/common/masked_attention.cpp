#include "common/masked_attention.h"

#include "common/heads.h"
#include "cuda/launch.h"
#include "cuda/launch_whole.h"

namespace ttsrt::plugins {

MaskedAttention::MaskedAttention(MaskedAttentionAttributes attributes)
    : OpOf(std::move(attributes)) {
  check();
  const std::int64_t width = std::int64_t{at_.heads} * at_.head_dim;
  signature_.add_input({"qkv", Type::float32, {'R', qkv_width()}});
  at_.launch.add_to(signature_);
  at_.faults.add_to(signature_, at_.launch);
  const Type type = float_type(kName, "cache_type", at_.cache.cache_type);
  if (keeps()) {
    Port port{"cache", type, {}, true};
    at_.cache.add_block_extents(port, at_.kv_heads, at_.head_dim);
    signature_.add_input(std::move(port));
  }
  if (at_.rope_rows > 0)
    signature_.add_input({"rope", Type::float32, {at_.rope_rows, at_.rope_width}});
  if (at_.has_head_norms != 0) {
    signature_.add_input({"q_norm", Type::float32, {width}});
    signature_.add_input({"k_norm", Type::float32, {std::int64_t{at_.kv_heads} * at_.head_dim}});
  }
  if (score_heads() != 0) {
    at_.slots.add_to(signature_, at_.launch);
    add_scores(signature_, at_.launch, at_.slots);
  }
  signature_.add_output({"out", Type::float32, {'R', width}});
  add_token(signature_);
}

void MaskedAttention::check() const {
  at_.launch.check(kName);
  at_.slots.check(kName);
  check_heads(kName, at_.heads, at_.kv_heads, at_.head_dim);
  check_is_count(kName, "cache_blocks", 0, at_.cache.cache_blocks);
  check_is_one_of(kName, "is_causal", 0, 1, at_.is_causal);
  check_is_one_of(kName, "single_rows", 0, 1, at_.single_rows);
  check_is_count(kName, "rope_rows", 0, at_.rope_rows);
  if (at_.rope_rows > 0) check_rope(kName, at_.rope_width, at_.head_dim);
  TTSRT_CHECK(ConfigError, score_heads() == 0 || keeps(), kName,
              ": score_heads: expected a cache, of which the scores are, got cache_blocks 0");
  check_is_one_of(kName, "rope_heads", 0, at_.heads, at_.rope_heads);
  check_is_one_of(kName, "has_head_norms", 0, 1, at_.has_head_norms);
  if (!is_of_items()) return;
  TTSRT_CHECK(ConfigError, !keeps(), kName,
              ": rope_heads, has_head_norms: expected no cache, got cache_blocks ",
              at_.cache.cache_blocks);
  check_at_least(kName, "max_segments", 1, at_.launch.max_segments);
}

std::uint64_t MaskedAttention::score_heads() const {
  const auto low = static_cast<std::uint32_t>(at_.score_heads_low);
  const auto high = static_cast<std::uint32_t>(at_.score_heads_high);
  return std::uint64_t{high} << 32 | low;
}

std::size_t MaskedAttention::workspace_bytes() const {
  if (!is_of_items()) return 0;
  return static_cast<std::size_t>(at_.launch.max_rows * qkv_width()) * sizeof(float);
}

void MaskedAttention::enqueue_item(const Call& call) const {
  cuda::ItemAttentionArgs args;
  args.rows = at_.launch.view(call);
  args.qkv = call.input<const float>("qkv");
  args.prepared = call.workspace();
  args.out = call.output<float>("out");
  args.heads = at_.heads;
  args.kv_heads = at_.kv_heads;
  args.head_dim = at_.head_dim;
  args.scale = score_scale(at_.scale, at_.head_dim);
  args.is_causal = at_.is_causal != 0;
  args.rope = call.input<const float>("rope");
  args.rope_width = args.rope == nullptr ? 0 : at_.rope_width;
  args.rope_heads = at_.rope_heads;
  args.q_norm = call.input<const float>("q_norm");
  args.k_norm = call.input<const float>("k_norm");
  args.head_norm_epsilon = at_.head_norm_epsilon;
  args.max_rows = call.rows();
  args.max_tiles = at_.launch.tiles().most(call.rows());
  cuda::prepare_heads(args, call.stream);
  cuda::item_attention(args, call.stream);
}

void MaskedAttention::enqueue(const Call& call) const {
  if (is_of_items()) return enqueue_item(call);
  cuda::SelfAttentionArgs args;
  args.rows = at_.launch.view(call);
  args.slots = at_.slots.view(call, at_.launch);
  args.faults = at_.faults.view(call);
  if (keeps()) args.cache = at_.cache.view(call.input<void>("cache"), at_.kv_heads, at_.head_dim);
  args.qkv = call.input<const float>("qkv");
  args.out = call.output<float>("out");
  args.heads = at_.heads;
  args.kv_heads = at_.kv_heads;
  args.head_dim = at_.head_dim;
  args.scale = score_scale(at_.scale, at_.head_dim);
  args.is_causal = at_.is_causal != 0;
  args.has_single_rows = at_.single_rows != 0 && keeps();
  args.rope = call.input<const float>("rope");
  args.rope_width = args.rope == nullptr ? 0 : at_.rope_width;
  args.scores = call.input<float>("scores");
  args.score_heads = score_heads();
  args.score_share = at_.score_share;
  args.max_rows = call.rows();
  args.max_draws = at_.launch.most_draws(call.rows());
  cuda::self_attention(args, call.stream);
}

}  // namespace ttsrt::plugins
