#include "common/local_transformer.h"

namespace ttsrt::plugins {
namespace {

constexpr std::size_t kAlignment = 256;

// Hands out pieces of the workspace, or only counts them.
class Cutter {
 public:
  explicit Cutter(std::byte* base) : base_(base) {}

  template <class T>
  T* cut(std::int64_t count) {
    std::byte* at = base_ == nullptr ? nullptr : base_ + used_;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(at);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

}  // namespace

LocalTransformer::LocalTransformer(LocalTransformerAttributes attributes)
    : OpOf(std::move(attributes)) {
  check();
  signature_.add_input({"hidden", Type::float32, {'R', at_.width}});
  at_.launch.add_to(signature_);
  at_.slots.add_to(signature_, at_.launch);
  add_outcome(signature_, at_.launch, at_.slots);
  at_.faults.add_to(signature_, at_.launch);
  add_weights();
  add_nested_weights();
  if (at_.keep_logits != 0)
    signature_.add_output({"pick_logits", Type::float32, {'R', logits_width()}});
  add_token(signature_);
}

void LocalTransformer::check() const {
  at_.launch.check(kName);
  at_.slots.check(kName);
  check_at_least(kName, "max_draws", 1, at_.launch.max_draws);
  check_at_least(kName, "codebooks", 1, at_.launch.codebooks);
  check_is_one_of(kName, "is_maskgit", 0, 1, at_.is_maskgit);
  if (at_.is_maskgit != 0)
    check_is_one_of(kName, "max_passes", 1, rules::kMaxMaskGitSteps, at_.max_passes);
  check_is_one_of(kName, "vocab", 1, cuda::kMaxDrawnVocab, at_.vocab);
  check_is_count(kName, "width", 1, at_.width);
  for (const std::int32_t flag :
       {at_.has_in_proj, at_.has_in_proj_bias, at_.has_head_biases, at_.keep_logits})
    check_is_one_of(kName, "has_in_proj, has_in_proj_bias, has_head_biases or keep_logits", 0, 1,
                    flag);
  at_.nested.check(kName, at_.is_maskgit == 0);
  TTSRT_CHECK(ConfigError, at_.has_in_proj != 0 || at_.nested.width(0) == at_.width, kName,
              ": nested_widths: expected ", at_.width, " columns of activation 0 without in_proj, ",
              "got ", at_.nested.width(0));
}

void LocalTransformer::add_weights() {
  const Type type = float_type(kName, "weight_type", at_.weight_type);
  const std::int64_t inner = at_.nested.width(0);
  signature_.add_input({"code_tables", type, {logits_width(), at_.width}});
  signature_.add_input({"positions", Type::float32, {places(), inner}});
  if (at_.has_in_proj != 0) {
    signature_.add_input(packed_port("in_proj", kName, at_.weight_type, inner, at_.width));
    if (at_.has_in_proj_bias != 0) signature_.add_input({"in_proj_bias", Type::float32, {inner}});
  }
  const std::int64_t outer = at_.nested.width(at_.nested.output);
  for (std::int64_t place = 0; place < codebooks(); ++place) {
    signature_.add_input(
        packed_port("head" + std::to_string(place), kName, at_.weight_type, at_.vocab, outer));
  }
  if (at_.has_head_biases != 0)
    signature_.add_input({"head_biases", Type::float32, {logits_width()}});
}

void LocalTransformer::add_nested_weights() {
  const auto add_vector = [this](std::int64_t op, const char* name, std::int64_t width) {
    signature_.add_input({nested_weight(op, name), Type::float32, {width}});
  };
  for (std::int64_t i = 0; i < at_.nested.size(); ++i) {
    const NestedOp op = at_.nested.at(i);
    const std::int64_t x = at_.nested.width(op.x);
    const std::int64_t out = at_.nested.width(op.out);
    if (op.kind == NestedKind::norm) {
      add_vector(i, "weight", x);
      if (op.norm_has_bias()) add_vector(i, "bias", x);
    } else if (op.kind == NestedKind::linear) {
      signature_.add_input(packed_port(nested_weight(i, "weight"), kName, at_.weight_type, out, x));
      if (op.linear_has_bias()) add_vector(i, "bias", out);
    } else if (op.kind == NestedKind::attention && op.rope_width() > 0) {
      signature_.add_input({nested_weight(i, "rope"), Type::float32, {places(), op.rope_width()}});
    }
  }
}

std::size_t LocalTransformer::kept_bytes(const NestedOp& op) const {
  if (op.kind != NestedKind::attention || at_.is_maskgit != 0) return 0;
  return static_cast<std::size_t>(most_pick_rows() * places() * 2 * op.kv_heads() *
                                  cuda::padded_dims(op.head_dim())) *
         sizeof(float);
}

LocalTransformer::Layout LocalTransformer::layout(std::byte* workspace) const {
  const std::int64_t rows = most_pick_rows() * (at_.is_maskgit != 0 ? places() : 1);
  Cutter cutter(workspace);
  Layout layout;
  if (at_.has_in_proj != 0) layout.projected = cutter.cut<float>(rows * at_.width);
  for (const std::int32_t width : at_.nested.widths)
    layout.activations.push_back(cutter.cut<float>(rows * width));
  for (std::int64_t i = 0; i < at_.nested.size(); ++i) {
    const std::size_t bytes = kept_bytes(at_.nested.at(i));
    layout.kept.push_back(
        bytes == 0 ? nullptr : cutter.cut<float>(static_cast<std::int64_t>(bytes / sizeof(float))));
  }
  layout.logits = cutter.cut<float>(most_pick_rows() * logits_width());
  if (at_.is_maskgit != 0) {
    const std::int64_t codes = most_pick_rows() * codebooks();
    layout.guesses.fed = cutter.cut<std::int32_t>(codes);
    layout.guesses.guessed = cutter.cut<std::int32_t>(codes);
    layout.guesses.confidences = cutter.cut<float>(codes);
    layout.guesses.is_fixed = cutter.cut<std::uint8_t>(codes);
  }
  layout.scratch = cutter.cut<std::byte>(static_cast<std::int64_t>(
      cuda::draw_scratch_bytes(at_.launch.draws() * codebooks(), at_.vocab)));
  layout.bytes = cutter.used();
  return layout;
}

}  // namespace ttsrt::plugins
