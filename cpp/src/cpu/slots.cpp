#include "cpu/slots.h"

#include <algorithm>
#include <cstring>

#include "rules/seen.h"

namespace ttsrt::cpu {
namespace {

std::size_t product(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<std::size_t>(a * b * c);
}

}  // namespace

Element element_of(DType dtype) {
  if (dtype == DType::float32) return Element::float32;
  if (dtype == DType::bfloat16) return Element::bfloat16;
  TTSRT_CHECK(InternalError, dtype == DType::float16,
              "cpu backend: expected float32, bfloat16 or float16, got type ",
              static_cast<int>(dtype));
  return Element::float16;
}

BlockLayout BlockLayout::of(DType dtype, std::int32_t heads, std::int32_t head_dim) {
  BlockLayout layout;
  const bool has_scales = dtype == DType::int8;
  layout.element = has_scales ? Element::int8 : element_of(dtype);
  layout.heads = heads;
  layout.head_dim = head_dim;
  layout.head_bytes =
      std::int64_t{ops::kBlockSize} * (head_dim * static_cast<std::int64_t>(size_of(dtype)) +
                                       (has_scales ? std::int64_t{sizeof(float)} : 0));
  layout.block_bytes = layout.head_bytes * heads * 2;
  return layout;
}

Slots::Slots(const ops::StateSpec& spec)
    : rules(static_cast<std::size_t>(spec.slots)),
      tokens(static_cast<std::size_t>(spec.slots)),
      states(static_cast<std::size_t>(spec.slots)),
      spec_(spec),
      cache_layout_(BlockLayout::of(spec.cache_dtype, spec.cache_heads, spec.cache_head_dim)),
      memory_layout_(BlockLayout::of(spec.cache_dtype, spec.memory_heads, spec.memory_head_dim)),
      cache_(product(spec.cache_layers, spec.num_blocks, cache_layout_.block_bytes)),
      memory_(
          product(spec.slots, spec.memory_layers, memory_blocks() * memory_layout_.block_bytes)),
      context_(product(spec.slots, spec.max_context_rows, spec.dim * std::int64_t{sizeof(float)})),
      counts_(product(spec.slots, spec.max_text_len + 2, sizeof(std::int32_t))),
      last_codes_(product(spec.slots, std::max(spec.codebooks, 1), sizeof(std::int32_t))),
      seen_(
          product(spec.slots, spec.codebooks,
                  ttsrt::rules::seen_words(spec.seen_vocab) * std::int64_t{sizeof(std::uint32_t)})),
      drawn_(product(spec.slots, spec.max_drawn, sizeof(std::int32_t))),
      schedule_(
          product(1, spec.all_schedule_rows(), spec.schedule_width * std::int64_t{sizeof(float)})) {
  for (const auto& conv : spec.convs) {
    convs_.emplace_back(product(std::int64_t{2} * spec.slots, conv.kernel - 1,
                                conv.width * std::int64_t{sizeof(float)}));
  }
  for (const auto& past : spec.past) {
    pasts_.emplace_back(product(spec.slots, past.rows, past.width * std::int64_t{sizeof(float)}));
  }
  for (const auto& array : spec.rows) {
    arrays_.emplace_back(product(std::int64_t{array.has_branches ? 2 : 1} * spec.slots, array.rows,
                                 array.width * std::int64_t{sizeof(float)}));
  }
}

ops::MemoryUse Slots::memory_use(const ops::StateSpec& spec) {
  const auto cache = BlockLayout::of(spec.cache_dtype, spec.cache_heads, spec.cache_head_dim);
  const auto memory = BlockLayout::of(spec.cache_dtype, spec.memory_heads, spec.memory_head_dim);
  const std::int64_t memory_blocks =
      ops::blocks_for(spec.max_text_len) + ops::blocks_for(spec.max_context_memory);
  std::int64_t numbers = std::int64_t{spec.max_context_rows} * spec.dim + spec.max_text_len + 2 +
                         std::max(spec.codebooks, 1) + spec.max_drawn;
  for (const auto& conv : spec.convs) numbers += std::int64_t{2} * (conv.kernel - 1) * conv.width;
  for (const auto& past : spec.past) numbers += std::int64_t{past.rows} * past.width;
  for (const auto& array : spec.rows)
    numbers += std::int64_t{array.has_branches ? 2 : 1} * array.rows * array.width;
  ops::MemoryUse use;
  use.kv_cache =
      product(spec.cache_layers, spec.num_blocks, cache.block_bytes) +
      product(1, spec.all_schedule_rows(), spec.schedule_width * std::int64_t{sizeof(float)});
  use.cross_memory = product(spec.slots, spec.memory_layers, memory_blocks * memory.block_bytes);
  use.slots = static_cast<std::size_t>(spec.slots) *
              (static_cast<std::size_t>(numbers) * sizeof(std::int32_t) + sizeof(rules::SlotRules) +
               sizeof(rules::SlotState));
  return use;
}

std::size_t Slots::bytes() const {
  std::size_t total = cache_.bytes() + memory_.bytes() + context_.bytes() + counts_.bytes() +
                      last_codes_.bytes() + seen_.bytes() + drawn_.bytes() + schedule_.bytes();
  for (const auto& array : arrays_) total += array.bytes();
  for (const auto& past : pasts_) total += past.bytes();
  for (const auto& conv : convs_) total += conv.bytes();
  return total + rules.size() * sizeof(rules[0]) + states.size() * sizeof(states[0]);
}

void Slots::reset(const step::SlotReset& reset) {
  const auto slot = static_cast<std::size_t>(reset.slot);
  rules[slot] = reset.rules;
  tokens[slot] = reset.tokens;
  states[slot] = ttsrt::rules::start_state(reset.rules);
  std::fill_n(counts(reset.slot), spec_.max_text_len + 2, 0);
  std::fill_n(last_codes(reset.slot), spec_.codebooks,
              reset.rules.block.steps > 0 ? reset.rules.block.mask_id : 0);
  for (std::int32_t place = 0; place < spec_.codebooks; ++place) {
    if (std::uint32_t* set = seen(reset.slot, place))
      ttsrt::rules::start_seen(reset.rules.sampler, set, spec_.seen_vocab);
  }
  for (std::size_t c = 0; c < convs_.size(); ++c) {
    const std::int64_t count = std::int64_t{2} * (spec_.convs[c].kernel - 1) * spec_.convs[c].width;
    std::fill_n(conv_history(static_cast<std::int32_t>(c), reset.slot, step::Branch::conditional),
                count, 0.0F);
  }
}

void Slots::make_room(std::int32_t max_draws) {
  const auto draws = std::max(static_cast<std::size_t>(max_draws), outcome.outputs.size());
  outcome.sampled.resize(draws * static_cast<std::size_t>(spec_.codebooks));
  outcome.likeliest.resize(outcome.sampled.size());
  outcome.scores.resize(draws * static_cast<std::size_t>(spec_.max_text_len));
  outcome.outputs.resize(draws);
  if (spec_.max_drawn == 0) return;
  outcome.logprobs.resize(draws);
  outcome.likeliest_ids.resize(draws * ttsrt::rules::kMaxLogprobs);
  outcome.likeliest_logprobs.resize(outcome.likeliest_ids.size());
}

void Slots::start_outcome(std::int32_t draws) {
  outcome.draws = draws;
  outcome.finished = 0;
  std::fill_n(outcome.sampled.begin(), draws * spec_.codebooks, -1);
  std::fill_n(outcome.likeliest.begin(), draws * spec_.codebooks, -1);
  std::fill_n(outcome.scores.begin(), draws * spec_.max_text_len, 0.0F);
}

void Slots::copy_block(const step::BlockCopy& copy) {
  for (std::int32_t layer = 0; layer < spec_.cache_layers; ++layer) {
    std::byte* base = cache(layer);
    std::memcpy(base + copy.to * cache_layout_.block_bytes,
                base + copy.from * cache_layout_.block_bytes,
                static_cast<std::size_t>(cache_layout_.block_bytes));
  }
  if (spec_.schedule_rows > 0) return;
  const std::int64_t count = std::int64_t{ops::kBlockSize} * spec_.schedule_width;
  const float* from = schedule_.as<float>() + copy.from * count;
  std::copy(from, from + count, schedule_.as<float>() + copy.to * count);
}

float* Slots::array_row(std::int32_t array, std::int32_t slot, step::Branch branch,
                        std::int64_t row) const {
  const auto& shape = spec_.rows[static_cast<std::size_t>(array)];
  if (!shape.has_branches && branch == step::Branch::unconditional) return nullptr;
  std::int64_t place = slot;
  if (shape.has_branches) place = 2 * place + (branch == step::Branch::conditional ? 0 : 1);
  return arrays_[static_cast<std::size_t>(array)].as<float>() +
         (place * shape.rows + row) * shape.width;
}

float* Slots::schedule_row(std::int64_t row) const {
  return schedule_.as<float>() + row * spec_.schedule_width;
}

std::byte* Slots::cache(std::int32_t layer) const {
  return cache_.data() + std::int64_t{layer} * spec_.num_blocks * cache_layout_.block_bytes;
}

std::int64_t Slots::memory_blocks() const {
  return ops::blocks_for(spec_.max_text_len) + ops::blocks_for(spec_.max_context_memory);
}

std::byte* Slots::memory(std::int32_t slot, std::int32_t layer, ops::Memory memory) const {
  const std::int64_t first = memory == ops::Memory::text ? 0 : ops::blocks_for(spec_.max_text_len);
  const std::int64_t layers = std::int64_t{slot} * spec_.memory_layers + layer;
  return memory_.data() + (layers * memory_blocks() + first) * memory_layout_.block_bytes;
}

float* Slots::context_row(std::int32_t slot, std::int32_t row) const {
  return context_.as<float>() + (std::int64_t{slot} * spec_.max_context_rows + row) * spec_.dim;
}

float* Slots::conv_history(std::int32_t conv, std::int32_t slot, step::Branch branch) const {
  const auto& shape = spec_.convs[static_cast<std::size_t>(conv)];
  const std::int64_t place = std::int64_t{slot} * 2 + (branch == step::Branch::conditional ? 0 : 1);
  return convs_[static_cast<std::size_t>(conv)].as<float>() +
         place * (shape.kernel - 1) * shape.width;
}

float* Slots::past(std::int32_t past, std::int32_t slot) const {
  const auto& shape = spec_.past[static_cast<std::size_t>(past)];
  return pasts_[static_cast<std::size_t>(past)].as<float>() +
         std::int64_t{slot} * shape.rows * shape.width;
}

std::int32_t* Slots::counts(std::int32_t slot) const {
  return counts_.as<std::int32_t>() + std::int64_t{slot} * (spec_.max_text_len + 2);
}

std::int32_t* Slots::last_codes(std::int32_t slot) const {
  return last_codes_.as<std::int32_t>() + std::int64_t{slot} * std::max(spec_.codebooks, 1);
}

std::uint32_t* Slots::seen(std::int32_t slot, std::int32_t place) const {
  if (!ttsrt::rules::counts_seen(rules[static_cast<std::size_t>(slot)].sampler)) return nullptr;
  const std::int64_t set = std::int64_t{slot} * spec_.codebooks + place;
  return seen_.as<std::uint32_t>() + set * ttsrt::rules::seen_words(spec_.seen_vocab);
}

std::int32_t* Slots::drawn(std::int32_t slot) const {
  return drawn_.as<std::int32_t>() + std::int64_t{slot} * spec_.max_drawn;
}

std::int32_t Slots::memory_rows(ops::Memory memory) const {
  return memory == ops::Memory::text ? spec_.max_text_len : spec_.max_context_memory;
}

}  // namespace ttsrt::cpu
