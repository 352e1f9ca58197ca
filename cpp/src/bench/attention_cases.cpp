// Benchmarks of decode rows that attend to a paged cache, and to a text.
#include <algorithm>

#include "bench/op_case.h"
#include "bench/op_options.h"

namespace ttsrt::bench {
namespace {

constexpr std::int32_t kFilledRows =
    64;  // rows of a sequence that are computed; the rest are copies of blocks
constexpr std::int32_t kMaxLayers =
    64;  // of cross-attention, because rules have a bit per layer in 64 bits

std::int64_t width_of(const CaseOptions& options) {
  return std::int64_t{options.heads} * options.head_dim;
}

// Requests have different lengths, from half of `length` to all of it.
std::int32_t length_of(const CaseOptions& options, std::int32_t row) {
  const std::int64_t less = std::int64_t{options.length} * row / (std::int64_t{2} * options.rows);
  return options.length - static_cast<std::int32_t>(less);
}

// Counts the keys and values of all rows, and the bytes and operations of an attention op.
void count_attention(const CaseOptions& options, std::int64_t row_width, std::int32_t most,
                     OpCase& made) {
  std::int64_t positions = 0;
  for (std::int32_t row = 0; row < options.rows; ++row) positions += length_of(options, row);
  const DType dtype = cache_dtype(options);
  const std::int64_t scale = dtype == DType::int8 ? std::int64_t{sizeof(float)} : 0;
  const std::int64_t head = options.head_dim * static_cast<std::int64_t>(size_of(dtype)) + scale;
  const std::int64_t kept = 2 * positions * options.heads * head;
  check_bytes("rows, length, heads and head_dim", static_cast<double>(kept));
  made.bytes = kept + options.rows * row_width * std::int64_t{sizeof(float)};
  check_bytes("rows, heads and head_dim", static_cast<double>(made.bytes));
  made.operations = 4 * positions * width_of(options);
  made.num_ops =
      repeats_of(options, static_cast<double>(kept), static_cast<double>(made.operations), most);
}

// Returns the block tables of all rows. Rows get blocks in turns, so that no request's blocks are
// adjacent.
std::vector<std::vector<std::int32_t>> deal_blocks(const CaseOptions& options,
                                                   std::int32_t& num_blocks) {
  std::vector<std::vector<std::int32_t>> tables(static_cast<std::size_t>(options.rows));
  num_blocks = 0;
  for (std::int32_t b = 0; b < ops::blocks_for(options.length); ++b) {
    for (std::int32_t row = 0; row < options.rows; ++row) {
      if (b < ops::blocks_for(length_of(options, row)))
        tables[static_cast<std::size_t>(row)].push_back(num_blocks++);
    }
  }
  return tables;
}

// Fills the first blocks of the first request and copies them to all other blocks, in all layers.
void fill_cache(const CaseOptions& options, const std::vector<std::vector<std::int32_t>>& tables,
                OpCase& made) {
  const std::int64_t width = width_of(options);
  const std::vector<std::int32_t>& first = tables[0];
  Fill fill;
  ops::EmbedRows embed;
  embed.out = fill.program.add("input", 3 * width);
  fill.program.ops.emplace_back(embed);
  const ops::BufferId out = fill.program.add("out", width);
  for (std::int32_t layer = 0; layer < made.state.cache_layers; ++layer) {
    fill.program.ops.emplace_back(
        ops::SelfAttention{embed.out, out, options.heads, options.head_dim, layer, true});
  }
  step::Segment segment;
  segment.rows = std::min(options.length, kFilledRows);
  segment.input = step::Input::vectors;
  segment.vectors = made.arrays.random(segment.rows * 3 * width);
  segment.blocks = made.arrays.keep(first);
  segment.num_blocks = static_cast<std::int32_t>(first.size());
  step::RowBatch batch;
  batch.rows = segment.rows;
  batch.segments.push_back(segment);
  fill.batches.push_back(std::move(batch));
  const std::int32_t whole = std::max(segment.rows / ops::kBlockSize, 1);
  for (std::size_t row = 0; row < tables.size(); ++row) {
    for (std::int32_t b = 0; b < static_cast<std::int32_t>(tables[row].size()); ++b) {
      if (row == 0 && b < ops::blocks_for(segment.rows)) continue;
      made.copies.push_back(
          {first[static_cast<std::size_t>(b % whole)], tables[row][static_cast<std::size_t>(b)]});
    }
  }
  made.fills.push_back(std::move(fill));
}

// Fills keys and values of every request's text, in all layers.
void fill_memory(const CaseOptions& options, OpCase& made) {
  const std::int64_t width = width_of(options);
  Fill fill;
  ops::EmbedRows embed;
  embed.out = fill.program.add("input", 2 * width);
  fill.program.ops.emplace_back(embed);
  for (std::int32_t layer = 0; layer < made.state.memory_layers; ++layer)
    fill.program.ops.emplace_back(ops::StoreMemory{embed.out, layer, ops::Memory::text});
  const float* vectors = made.arrays.random(options.length * 2 * width);
  for (std::int32_t slot = 0; slot < options.rows; ++slot) {
    step::Segment segment;
    segment.slot = slot;
    segment.rows = length_of(options, slot);
    segment.input = step::Input::vectors;
    segment.vectors = vectors;
    step::RowBatch batch;
    batch.rows = segment.rows;
    batch.segments.push_back(segment);
    fill.batches.push_back(std::move(batch));
  }
  made.fills.push_back(std::move(fill));
}

// Returns a request whose prior is estimated and applied in every layer.
step::SlotReset with_prior(std::int32_t slot, std::int32_t text_len, std::int32_t layers) {
  step::SlotReset reset;
  reset.slot = slot;
  reset.rules.text_len = text_len;
  rules::PriorRules& prior = reset.rules.prior;
  prior.mode = rules::PriorMode::nemo;
  prior.estimate_layers = ~std::uint64_t{0} >> (64 - layers);
  prior.apply_layers = prior.estimate_layers;
  return reset;
}

}  // namespace

std::unique_ptr<OpCase> make_self_attention(const CaseOptions& options) {
  const std::int64_t width = width_of(options);
  auto made = std::make_unique<OpCase>();
  count_attention(options, 4 * width, 256, *made);
  ops::StateSpec& state = made->state;
  state.slots = options.rows;
  state.cache_dtype = cache_dtype(options);
  state.cache_layers = options.resident ? 1 : made->num_ops;
  state.cache_heads = options.heads;
  state.cache_head_dim = options.head_dim;
  state.max_positions = options.length;
  const auto tables = deal_blocks(options, state.num_blocks);
  const ops::BufferId qkv = add_input(*made, options.rows, 3 * width, 1);
  for (step::Segment& segment : made->batch.segments) {
    const auto& table = tables[static_cast<std::size_t>(segment.slot)];
    segment.position = length_of(options, segment.slot) - 1;
    segment.blocks = made->arrays.keep(table);
    segment.num_blocks = static_cast<std::int32_t>(table.size());
  }
  fill_cache(options, tables, *made);
  made->result = made->program.add("out", width);
  for (std::int32_t i = 0; i < made->num_ops; ++i) {
    const std::int32_t layer = options.resident ? 0 : i;
    made->program.ops.emplace_back(
        ops::SelfAttention{qkv, made->result, options.heads, options.head_dim, layer, true});
  }
  return made;
}

std::unique_ptr<OpCase> make_cross_attention(const CaseOptions& options) {
  const std::int64_t width = width_of(options);
  auto made = std::make_unique<OpCase>();
  count_attention(options, 2 * width, kMaxLayers, *made);
  ops::StateSpec& state = made->state;
  state.slots = options.rows;
  state.cache_dtype = cache_dtype(options);
  state.memory_layers = options.resident ? 1 : made->num_ops;
  state.memory_heads = options.heads;
  state.memory_head_dim = options.head_dim;
  state.max_text_len = options.length;
  const ops::BufferId q = add_input(*made, options.rows, width, 1);
  for (step::Segment& segment : made->batch.segments) {
    segment.apply_prior = true;
    made->batch.draws.push_back({segment.slot, segment.first_row, -1});
    const std::int32_t text_len = length_of(options, segment.slot);
    made->resets.push_back(with_prior(segment.slot, text_len, state.memory_layers));
  }
  fill_memory(options, *made);
  const ops::BufferId scores = made->program.add("scores", options.length, ops::RowSpace::draws);
  made->program.ops.emplace_back(ops::ClearScores{scores});
  made->result = made->program.add("out", width);
  for (std::int32_t i = 0; i < made->num_ops; ++i) {
    const std::int32_t layer = options.resident ? 0 : i;
    made->program.ops.emplace_back(ops::CrossAttention{q, made->result, scores, options.heads,
                                                       options.head_dim, layer, ops::Memory::text});
  }
  made->program.ops.emplace_back(ops::UpdatePrior{scores});
  return made;
}

}  // namespace ttsrt::bench
