#include "common/memories.h"

#include "cuda/launch.h"

namespace ttsrt::plugins {

StoreMemory::StoreMemory(StoreMemoryAttributes attributes) : OpOf(std::move(attributes)) {
  at_.launch.check(kName);
  at_.memory.check(kName);
  const std::int64_t width = std::int64_t{at_.memory.heads} * at_.memory.head_dim;
  signature_.add_input({"kv", Type::float32, {'R', 2 * width}});
  at_.launch.add_to(signature_);
  at_.faults.add_to(signature_, at_.launch);
  at_.memory.add_to(signature_, kName, true);
  add_token(signature_);
}

void StoreMemory::enqueue(const Call& call) const {
  cuda::StoreMemoryArgs args;
  args.rows = at_.launch.view(call);
  args.memory = at_.memory.view(call);
  args.faults = at_.faults.view(call);
  args.kv = call.input<const float>("kv");
  args.max_rows = call.rows();
  cuda::store_memory(args, call.stream);
}

CrossAttentionPrior::CrossAttentionPrior(CrossAttentionPriorAttributes attributes)
    : OpOf(std::move(attributes)) {
  at_.launch.check(kName);
  at_.slots.check(kName);
  at_.memory.check(kName);
  check_is_one_of(kName, "has_scores", 0, 1, at_.has_scores);
  check_is_one_of(kName, "kept_memory", 0, 1, at_.kept_memory);
  const std::int64_t width = std::int64_t{at_.memory.heads} * at_.memory.head_dim;
  const std::int64_t draws = at_.launch.draws();
  signature_.add_input({"q", Type::float32, {'R', width}});
  at_.launch.add_to(signature_);
  at_.slots.add_to(signature_, at_.launch);
  at_.memory.add_to(signature_, kName, false);
  if (at_.has_scores != 0) {
    add_scores(signature_, at_.launch, at_.slots);
    signature_.add_input(
        {"head_scores", Type::float32, {draws, at_.memory.heads, at_.slots.text_extent()}, true});
    signature_.add_input({"heads_done", Type::int32, {draws}, true});
  }
  signature_.add_output({"out", Type::float32, {'R', width}});
  add_token(signature_);
}

void CrossAttentionPrior::enqueue(const Call& call) const {
  cuda::CrossAttentionArgs args;
  args.rows = at_.launch.view(call);
  args.slots = at_.slots.view(call, at_.launch);
  args.memory = at_.memory.view(call);
  args.q = call.input<const float>("q");
  args.out = call.output<float>("out");
  args.scores = call.input<float>("scores");
  args.head_scores = call.input<float>("head_scores");
  args.heads_done = call.input<std::uint32_t>("heads_done");
  args.has_kept_memory = at_.kept_memory != 0;
  args.heads = at_.memory.heads;
  args.head_dim = at_.memory.head_dim;
  args.layer = at_.memory.layer;
  args.max_rows = call.rows();
  cuda::cross_attention(args, call.stream);
}

}  // namespace ttsrt::plugins
