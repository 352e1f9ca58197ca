#include "cpu/stages/pick_stages.h"

#include <cstring>

#include "core/check.h"

namespace ttsrt::cpu {
namespace {

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

}  // namespace

PickNetwork::PickNetwork(StageList& list, const ops::PickCodes& op, std::int32_t max_groups,
                         std::int32_t places, const std::int32_t* rows)
    : op_(op) {
  local_.groups = &list.site.launch->pick_rows;
  local_.span.rows = places;
  rows_.rows = rows;
  rows_.max_rows = max_groups * places;
  rows_.owner = "local: ";
  rows_.output = op.network.output;
  const ops::Program& program = *op.network.program;
  for (const ops::Activation& activation : program.activations)
    rows_.activations.push_back(list.allocate(rows_.max_rows, activation.width));
  for (const ops::Op& nested : program.ops) {
    const auto* attention = std::get_if<ops::SelfAttention>(&nested);
    if (attention == nullptr) continue;
    LocalCache cache;
    cache.layout = BlockLayout::of(DType::float32, attention->heads, attention->head_dim);
    cache.group_blocks = static_cast<std::int32_t>(ops::blocks_for(op.places()));
    const std::int64_t blocks = std::int64_t{max_groups} * cache.group_blocks;
    list.buffers.emplace_back(static_cast<std::size_t>(blocks * cache.layout.block_bytes));
    cache.data = list.buffers.back().data();
    local_.caches.push_back(cache);
  }
}

void PickNetwork::lower(StageList& list, std::int32_t first_place, Stages& stages) {
  local_.span.first_place = first_place;
  rows_.local = &local_;
  Lowering(list, *op_.network.program, rows_, stages).run();
}

PickBuffers make_pick_buffers(StageList& list, const ops::PickCodes& op, const PickNetwork& network,
                              const Rows& kept, std::int32_t logits_rows) {
  PickBuffers buffers;
  buffers.x = network.input();
  buffers.output = network.output();
  buffers.kept = kept;
  if (PickFeeder::has_projection(op)) buffers.embedded = list.allocate(network.max_rows(), op.dim);
  buffers.logits = list.allocate(logits_rows, op.vocab);
  return buffers;
}

LinearSpec head_plan(const ops::PickCodes& op, std::int32_t place) {
  const float* biases = vector_of(op.head_biases, std::int64_t{op.codebooks} * op.vocab);
  LinearSpec head;
  head.owner = "local: ";
  head.weight = &op.head_weights[static_cast<std::size_t>(place)];
  head.bias = biases == nullptr ? nullptr : biases + std::int64_t{place} * op.vocab;
  return head;
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
  const void* from = table_row(op_.code_tables, std::int64_t{place} * op_.vocab + code);
  site_.kernels->mean_rows[static_cast<int>(element_of(op_.code_tables.dtype))](&from, 1, op_.dim,
                                                                                target(row));
  if (!has_projection(op_)) add_position(place + 1, buffers_.x.row(row));
}

void PickFeeder::add_position(std::int32_t place, float* x) const {
  const auto* learned =
      reinterpret_cast<const float*>(op_.positions.data) + std::int64_t{place} * buffers_.x.width;
  site_.kernels->add(learned, buffers_.x.width, x);
}

void add_clear_kept(StageList& list, const Rows& kept) {
  if (kept.data != nullptr)
    list.stages.push_back(std::make_unique<ClearKeptStage>(list.site, kept));
}

}  // namespace ttsrt::cpu
