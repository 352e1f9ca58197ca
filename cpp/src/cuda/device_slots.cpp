#include "cuda/device_slots.h"

#include <algorithm>

#include "core/check.h"
#include "cuda/cache_layout.h"
#include "cuda/check.h"
#include "rules/seen.h"

namespace ttsrt::cuda {
namespace {

CacheView layout_of(DType dtype, std::int32_t heads, std::int32_t head_dim) {
  return cache_layout(dtype == DType::int8 ? Element::int8 : element_of(dtype), heads, head_dim);
}

std::size_t product(std::int64_t a, std::int64_t b, std::int64_t c = 1) {
  return static_cast<std::size_t>(a * b * c);
}

}  // namespace

static_assert(kCacheBlock == ops::kBlockSize);

Element element_of(DType dtype) {
  if (dtype == DType::float32) return Element::float32;
  if (dtype == DType::bfloat16) return Element::bfloat16;
  TTSRT_CHECK(InternalError, dtype == DType::float16,
              "cuda backend: expected float32, bfloat16 or float16, got type ",
              static_cast<int>(dtype));
  return Element::float16;
}

DeviceSlots::DeviceSlots(const ops::StateSpec& spec, DeviceMemory::Mode mode)
    : spec_(spec),
      memory_(mode),
      outcome_memory_(mode),
      cache_(layout_of(spec.cache_dtype, spec.cache_heads, spec.cache_head_dim)),
      cross_(layout_of(spec.cache_dtype, spec.memory_heads, spec.memory_head_dim)) {
  TTSRT_CHECK(InternalError, spec.slots > 0, "state: expected at least one slot, got ", spec.slots);
  const std::int64_t slots = spec.slots;
  const std::size_t cache_bytes = product(spec.cache_layers, spec.num_blocks, cache_.block_bytes);
  cache_.data = memory_.take_bytes_of(cache_bytes, "keys and values");
  view_.schedule = memory_.take<float>(product(spec.all_schedule_rows(), spec.schedule_width),
                                       "rows of schedules");
  view_.schedule_width = spec.schedule_width;
  use_.kv_cache = memory_.bytes();
  cross_.data = memory_.take_bytes_of(
      product(slots, spec.memory_layers, memory_blocks() * cross_.block_bytes),
      "cross-attention memories");
  use_.cross_memory = memory_.bytes() - use_.kv_cache;
  view_.rules = memory_.take<rules::SlotRules>(product(slots, 1), "slots");
  view_.states = memory_.take<rules::SlotState>(product(slots, 1), "slots");
  view_.counts = memory_.take<std::int32_t>(product(slots, spec.max_text_len), "slots");
  view_.last_codes = memory_.take<std::int32_t>(product(slots, spec.codebooks), "slots");
  view_.seen = memory_.take<std::uint32_t>(
      product(slots, spec.codebooks, rules::seen_words(spec.seen_vocab)), "slots");
  view_.context_rows =
      memory_.take<float>(product(slots, spec.max_context_rows, spec.dim), "slots");
  view_.num_slots = spec.slots;
  view_.max_text_len = spec.max_text_len;
  view_.codebooks = spec.codebooks;
  view_.seen_vocab = spec.seen_vocab;
  view_.max_context_rows = spec.max_context_rows;
  view_.dim = spec.dim;
  for (const ops::StateSpec::Conv& conv : spec.convs) {
    float* data = memory_.take<float>(product(2 * slots, conv.kernel - 1, conv.width), "slots");
    histories_.push_back({data, conv.kernel, conv.width});
  }
  for (const ops::StateSpec::RowArray& array : spec.rows) {
    const std::int64_t width = array.has_branches ? 2 * array.width : array.width;
    float* data = memory_.take<float>(product(slots, array.rows, width), "slots");
    arrays_.push_back({data, array.rows, array.width, array.has_branches});
  }
  for (const ops::StateSpec::PastRows& past : spec.past) take_past(past);
  if (spec.max_drawn > 0) take_tokens();
  device_histories_ = memory_.take<HistoryView>(histories_.size(), "slots");
  use_.slots = memory_.bytes() - use_.kv_cache - use_.cross_memory;
  if (mode == DeviceMemory::Mode::count) return;
  // Elements behind head_dim stay zeros.
  if (cache_bytes > 0) check(cudaMemset(cache_.data, 0, cache_bytes), "cudaMemset");
  if (use_.cross_memory > 0) check(cudaMemset(cross_.data, 0, use_.cross_memory), "cudaMemset");
  if (!histories_.empty()) {
    check(cudaMemcpy(device_histories_, histories_.data(), histories_.size() * sizeof(HistoryView),
                     cudaMemcpyHostToDevice),
          "cudaMemcpy");
  }
}

// Narrow rows, which have whole units of columns, take no more than those of float32, unless they
// are a few columns wide.
void DeviceSlots::take_past(const ops::StateSpec::PastRows& past) {
  constexpr std::int64_t kAlignment = 16;
  const std::int64_t row_bytes =
      std::max(past.width * std::int64_t{sizeof(float)},
               ops::padded_to(past.width, kRateUnit) * std::int64_t{sizeof(std::uint16_t)});
  PastView view;
  view.half_bytes = ops::padded_to(past.rows * row_bytes, kAlignment);
  view.rows = past.rows;
  view.width = past.width;
  view.data = memory_.take_bytes_of(product(spec_.slots, 2, view.half_bytes), "slots");
  const std::size_t tags = product(spec_.slots, 2);
  view.tags = memory_.take<std::int32_t>(tags, "slots");
  past_.push_back(view);
  if (memory_.counts_only() || tags == 0) return;
  check(cudaMemset(view.tags, 0xFF, tags * sizeof(std::int32_t)), "cudaMemset");
  check(cudaMemset(view.data, 0, product(spec_.slots, 2, view.half_bytes)), "cudaMemset");
}

void DeviceSlots::take_tokens() {
  TokensView& view = view_.tokens;
  view.heads = memory_.take<TokenHead>(product(spec_.slots, 1), "slots");
  view.seen = memory_.take<std::int32_t>(product(spec_.slots, spec_.max_drawn), "slots");
  view.biases = memory_.take<rules::TokenBias>(product(spec_.slots, kMaxTokenBiases), "slots");
  view.drawn = memory_.take<std::int32_t>(product(spec_.slots, spec_.max_drawn), "slots");
  view.max_drawn = spec_.max_drawn;
}

CacheView DeviceSlots::cache(std::int32_t layer) const {
  CacheView view = cache_;
  if (view.data != nullptr) view.data += layer * cache_layer_bytes();
  return view;
}

CacheView DeviceSlots::schedule_blocks() const {
  CacheView view;
  view.data = reinterpret_cast<std::byte*>(view_.schedule);
  view.block_bytes = view_.schedule_width * ops::kBlockSize * std::int64_t{sizeof(float)};
  return view;
}

std::int64_t DeviceSlots::cache_layer_bytes() const {
  return std::int64_t{spec_.num_blocks} * cache_.block_bytes;
}

std::int64_t DeviceSlots::memory_blocks() const {
  return ops::blocks_for(spec_.max_text_len) + ops::blocks_for(spec_.max_context_memory);
}

MemoryView DeviceSlots::memory(std::int32_t layer, ops::Memory memory) const {
  MemoryView view;
  view.blocks = cross_;
  view.is_context = memory == ops::Memory::context;
  view.slot_bytes = spec_.memory_layers * memory_blocks() * cross_.block_bytes;
  const std::int64_t first = view.is_context ? ops::blocks_for(spec_.max_text_len) : 0;
  if (view.blocks.data != nullptr)
    view.blocks.data += (layer * memory_blocks() + first) * cross_.block_bytes;
  return view;
}

void DeviceSlots::make_room(std::int32_t max_draws) {
  if (max_draws <= max_draws_) return;
  max_draws_ = max_draws;
  const auto codes = product(max_draws, spec_.codebooks);
  outcome_.results = outcome_memory_.take<DrawResult>(product(max_draws, 1), "draws");
  outcome_.sampled = outcome_memory_.take<std::int32_t>(codes, "draws");
  outcome_.likeliest = outcome_memory_.take<std::int32_t>(codes, "draws");
  outcome_.scores = outcome_memory_.take<float>(product(max_draws, spec_.max_text_len), "draws");
  if (spec_.max_drawn > 0)
    outcome_.logprobs = outcome_memory_.take<DrawLogprobs>(product(max_draws, 1), "draws");
}

}  // namespace ttsrt::cuda
