#include "cpu/stages/pick_stages.h"

#include <cstring>

#include "core/check.h"
#include "cpu/stages/attention_stages.h"

namespace ttsrt::cpu {
namespace {

// A unit is one head of one group: its thread stores the new keys and values and attends with each
// new row.
class PickAttentionStage : public Stage {
 public:
  PickAttentionStage(const Site& site, const ops::PickCodes& op, const PickBuffers& buffers,
                     std::size_t layer, const PickSpan& span)
      : site_(site),
        buffers_(buffers),
        cache_(buffers.caches[layer]),
        span_(span),
        heads_(op.heads) {}

  std::string label() const override { return "local: attention"; }
  bool is_needed() const override { return site_.launch->pick_rows > 0; }

  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(buffers_.group_blocks) * kLanes * sizeof(float);
  }

  void run(const Worker& worker) override {
    const Range units = share_of(std::int64_t{site_.launch->pick_rows} * heads_, worker);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit)
      attend(unit / heads_, unit % heads_, worker);
  }

 private:
  void attend(std::int64_t group, std::int64_t head, const Worker& worker) const {
    const BlockLayout& layout = buffers_.layout;
    const AttentionKernels& kernels = site_.kernels->attention[static_cast<int>(layout.element)];
    std::byte* first =
        cache_ + group * buffers_.group_blocks * layout.block_bytes + head * layout.head_bytes;
    const std::int64_t width = buffers_.attended.width;
    const std::int64_t at = head * layout.head_dim;
    for (std::int32_t i = 0; i < span_.rows; ++i) {
      const float* key = buffers_.qkv.row(group * span_.rows + i) + width + at;
      const std::int32_t place = span_.first_place + i;
      std::byte* keys = first + place / kLanes * layout.block_bytes;
      kernels.store(key, key + width, keys, keys + layout.value_offset(), place % kLanes,
                    layout.head_dim);
    }
    AttendArgs args = attend_over(layout, span_.first_place + span_.rows,
                                  reinterpret_cast<float*>(worker.scratch));
    args.cache = reinterpret_cast<const unsigned char*>(first);
    for (std::int32_t i = 0; i < span_.rows; ++i) {
      args.query = buffers_.qkv.row(group * span_.rows + i) + at;
      args.out = buffers_.attended.row(group * span_.rows + i) + at;
      kernels.attend(args);
    }
  }

  Site site_;
  PickBuffers buffers_;
  std::byte* cache_;
  PickSpan span_;
  std::int32_t heads_;
};

class ClearKeptStage : public Stage {
 public:
  ClearKeptStage(const Site& site, const Rows& kept) : site_(site), kept_(kept) {}

  std::string label() const override { return "local: clear kept logits"; }
  void run(const Worker& worker) override {
    const Range rows = share_of(site_.launch->rows, worker);
    std::fill(kept_.row(rows.begin), kept_.row(rows.end), 0.0F);
  }

 private:
  Site site_;
  Rows kept_;
};

NormArgs norm_of(const ops::Weight& weight, std::int64_t width) {
  ops::Norm norm;
  norm.weight = weight;
  return norm_args(norm, width);
}

}  // namespace

PickBuffers make_pick_buffers(Plan& plan, const ops::PickCodes& op, std::int32_t groups,
                              std::int32_t rows, std::int32_t logits_rows) {
  PickBuffers buffers;
  buffers.x = plan.allocate(rows, op.width);
  if (PickFeeder::has_projection(op)) buffers.embedded = plan.allocate(rows, op.dim);
  buffers.qkv = plan.allocate(rows, std::int64_t{3} * op.width);
  buffers.attended = plan.allocate(rows, op.width);
  buffers.hidden = plan.allocate(rows, op.ffn_dim);
  buffers.logits = plan.allocate(logits_rows, op.vocab);
  buffers.layout = BlockLayout::of(DType::float32, op.heads, op.width / op.heads);
  buffers.group_blocks = (op.codebooks + kLanes) / kLanes;  // codebooks + 1 places
  for (std::size_t layer = 0; layer < op.layers.size(); ++layer) {
    const std::int64_t blocks = std::int64_t{groups} * buffers.group_blocks;
    plan.buffers.emplace_back(static_cast<std::size_t>(blocks * buffers.layout.block_bytes));
    buffers.caches.push_back(plan.buffers.back().data());
  }
  return buffers;
}

PickFeeder::PickFeeder(const Site& site, const ops::PickCodes& op, const Rows& hidden,
                       const PickBuffers& buffers)
    : site_(site), op_(op), hidden_(hidden), buffers_(buffers) {}

float* PickFeeder::target(std::int64_t row) const {
  return has_projection(op_) ? buffers_.embedded.row(row) : buffers_.x.row(row);
}

void PickFeeder::feed_hidden(std::int32_t group, std::int64_t row) const {
  const std::int32_t source = site_.launch->pick_source[static_cast<std::size_t>(group)];
  std::memcpy(target(row), hidden_.row(source), static_cast<std::size_t>(op_.dim) * sizeof(float));
  if (!has_projection(op_)) add_position(0, buffers_.x.row(row));
}

void PickFeeder::feed_code(std::int32_t place, std::int32_t code, std::int64_t row) const {
  TTSRT_CHECK(InternalError, code >= 0 && code < op_.vocab, "code ", code, " of table ", place,
              ": expected below ", op_.vocab);
  const void* from = table_row(op_.audio_tables, std::int64_t{place} * op_.vocab + code);
  site_.kernels->mean_rows[static_cast<int>(element_of(op_.audio_tables.dtype))](&from, 1, op_.dim,
                                                                                 target(row));
  if (!has_projection(op_)) add_position(place + 1, buffers_.x.row(row));
}

void PickFeeder::add_position(std::int32_t place, float* x) const {
  const auto* learned =
      reinterpret_cast<const float*>(op_.positions.data) + std::int64_t{place} * op_.width;
  site_.kernels->add(learned, op_.width, x);
}

void add_pick_layers(Plan& plan, const ops::PickCodes& op, const PickBuffers& buffers,
                     const PickSpan& span, const std::int32_t* rows, std::int32_t max_rows,
                     Stages& stages) {
  LinearPlan base;
  base.owner = "local: ";
  base.rows = rows;
  base.max_rows = max_rows;
  for (std::size_t l = 0; l < op.layers.size(); ++l) {
    const ops::LocalLayer& layer = op.layers[l];
    LinearPlan qkv = base;
    qkv.x = buffers.x;
    qkv.out = buffers.qkv;
    qkv.weight = &layer.self_qkv;
    qkv.norm = norm_of(layer.self_norm, op.width);
    plan.add_product(qkv, stages);
    stages.push_back(std::make_unique<PickAttentionStage>(plan.site, op, buffers, l, span));
    LinearPlan out = base;
    out.x = buffers.attended;
    out.out = buffers.x;
    out.weight = &layer.self_out;
    out.accumulate = true;
    plan.add_product(out, stages);
    LinearPlan ffn_in = base;
    ffn_in.x = buffers.x;
    ffn_in.out = buffers.hidden;
    ffn_in.weight = &layer.ffn_in;
    ffn_in.norm = norm_of(layer.ffn_norm, op.width);
    ffn_in.activation = Activation::gelu;
    plan.add_product(ffn_in, stages);
    LinearPlan ffn_out = base;
    ffn_out.x = buffers.hidden;
    ffn_out.out = buffers.x;
    ffn_out.weight = &layer.ffn_out;
    ffn_out.accumulate = true;
    plan.add_product(ffn_out, stages);
  }
}

void add_clear_kept(Plan& plan, const Rows& kept) {
  if (kept.data != nullptr)
    plan.stages.push_back(std::make_unique<ClearKeptStage>(plan.site, kept));
}

void check_pick_codes(const Site& site, const ops::PickCodes& op, const Rows& hidden) {
  TTSRT_CHECK(InternalError, op.codebooks == site.slots->spec().codebooks, "codes: expected ",
              site.slots->spec().codebooks, " tables as the slots have, got ", op.codebooks);
  TTSRT_CHECK(InternalError, hidden.width == op.dim, "pick codes: expected width ", op.dim,
              ", got ", hidden.width);
  TTSRT_CHECK(InternalError, op.heads > 0 && op.width % op.heads == 0, "pick codes: ", op.heads,
              " heads of width ", op.width);
  TTSRT_CHECK(InternalError, PickFeeder::has_projection(op) || op.width == op.dim,
              "pick codes: width ", op.width, " differs from ", op.dim,
              " without an in-projection");
  TTSRT_CHECK(InternalError,
              op.positions.dtype == DType::float32 && op.positions.cols == op.width &&
                  op.positions.rows >= op.codebooks + (op.maskgit ? 1 : 0),
              op.positions.name, ": expected float32 of width ", op.width, " for ", op.codebooks,
              " codes");
  TTSRT_CHECK(InternalError,
              op.audio_tables.cols == op.dim &&
                  op.audio_tables.rows >= std::int64_t{op.codebooks} * op.vocab,
              op.audio_tables.name, ": expected ", op.codebooks, " tables of [", op.vocab, ", ",
              op.dim, "]");
  TTSRT_CHECK(InternalError, op.head_weights.size() == static_cast<std::size_t>(op.codebooks),
              "pick codes: expected ", op.codebooks, " heads, got ", op.head_weights.size());
}

}  // namespace ttsrt::cpu
