#include "cpu/stages/local_attention.h"

#include "core/check.h"
#include "cpu/stages/attention_stages.h"

namespace ttsrt::cpu {
namespace {

class LocalAttentionStage : public Stage {
 public:
  LocalAttentionStage(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                      const Rows& out, const LocalRows& local, const LocalCache& cache)
      : site_(site),
        op_(op),
        qkv_(qkv),
        out_(out),
        groups_(local.groups),
        span_(local.span),
        cache_(cache),
        kernels_(&site.kernels->attention[static_cast<int>(cache.layout.element)]) {}

  std::string label() const override { return "local: attention"; }
  bool is_needed() const override { return *groups_ > 0; }

  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(cache_.group_blocks) * kLanes * sizeof(float);
  }

  // A unit is one head of one group.
  void run(const Worker& worker) override {
    const Range units = share_of(std::int64_t{*groups_} * op_.heads, worker);
    auto* weights = reinterpret_cast<float*>(worker.scratch);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
      const std::int64_t group = unit / op_.heads;
      const std::int64_t head = unit % op_.heads;
      store(group, head);
      attend(group, head, weights);
    }
  }

 private:
  // The blocks of a head of a group.
  std::byte* blocks(std::int64_t group, std::int64_t head) const {
    return cache_.data + group * cache_.group_blocks * cache_.layout.block_bytes +
           head * cache_.layout.head_bytes;
  }

  void store(std::int64_t group, std::int64_t head) const {
    const BlockLayout& layout = cache_.layout;
    for (std::int32_t i = 0; i < span_.rows; ++i) {
      const float* key = qkv_.row(group * span_.rows + i) + out_.width + head * op_.head_dim;
      const std::int32_t place = span_.first_place + i;
      std::byte* keys = blocks(group, head) + place / kLanes * layout.block_bytes;
      kernels_->store(key, key + out_.width, keys, keys + layout.value_offset(), place % kLanes,
                      op_.head_dim);
    }
  }

  void attend(std::int64_t group, std::int64_t head, float* weights) const {
    AttendArgs args = attend_over(cache_.layout, span_.first_place + span_.rows, weights);
    args.cache = reinterpret_cast<const unsigned char*>(blocks(group, head));
    for (std::int32_t i = 0; i < span_.rows; ++i) {
      if (op_.causal) args.length = span_.first_place + i + 1;
      args.query = qkv_.row(group * span_.rows + i) + head * op_.head_dim;
      args.out = out_.row(group * span_.rows + i) + head * op_.head_dim;
      if (op_.scale > 0.0F) args.scale = op_.scale;
      kernels_->attend(args);
    }
  }

  Site site_;
  ops::SelfAttention op_;
  Rows qkv_;
  Rows out_;
  const std::int32_t* groups_;
  PlaceSpan span_;
  LocalCache cache_;
  const AttentionKernels* kernels_;
};

}  // namespace

void add_local_attention(const Site& site, const ops::SelfAttention& op, const Rows& qkv,
                         const Rows& out, const LocalRows& local, const LocalCache& cache,
                         Stages& stages) {
  TTSRT_CHECK(InternalError,
              qkv.width == 3 * out.width && out.width == std::int64_t{op.heads} * op.head_dim,
              "self-attention: expected width ", op.heads * op.head_dim, ", got ", out.width);
  TTSRT_CHECK(InternalError,
              local.span.first_place + local.span.rows <= cache.group_blocks * kLanes,
              "self-attention: ", local.span.first_place + local.span.rows, " places in ",
              cache.group_blocks, " blocks");
  stages.push_back(std::make_unique<LocalAttentionStage>(site, op, qkv, out, local, cache));
}

}  // namespace ttsrt::cpu
