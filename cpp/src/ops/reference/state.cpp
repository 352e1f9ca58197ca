#include "ops/reference/state.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "core/half.h"
#include "rules/seen.h"

namespace ttsrt::ops::reference {
namespace {

std::size_t count_of(std::int64_t a, std::int64_t b, std::int64_t c = 1, std::int64_t d = 1) {
  return static_cast<std::size_t>(a * b * c * d);
}

Slot make_slot(const StateSpec& spec) {
  const std::int64_t memory_width = std::int64_t{2} * spec.memory_heads * spec.memory_head_dim;
  Slot slot;
  slot.counts.assign(count_of(spec.max_text_len, 1), 0);
  slot.last_codes.assign(count_of(spec.codebooks, 1), 0);
  slot.seen.assign(count_of(spec.codebooks, rules::seen_words(spec.seen_vocab)), 0);
  slot.drawn.assign(count_of(spec.max_drawn, 1), 0);
  slot.text_memory.assign(count_of(spec.memory_layers, spec.max_text_len, memory_width), NAN);
  slot.context_memory.assign(count_of(spec.memory_layers, spec.max_context_memory, memory_width),
                             NAN);
  slot.context_rows.assign(count_of(spec.max_context_rows, spec.dim), NAN);
  for (auto& histories : slot.histories) {
    for (const StateSpec::Conv& conv : spec.convs)
      histories.emplace_back(count_of(conv.kernel - 1, conv.width), 0.0F);
  }
  for (const StateSpec::PastRows& past : spec.past)
    slot.past.emplace_back(count_of(past.rows, past.width), 0.0F);
  for (const StateSpec::RowArray& array : spec.rows)
    slot.arrays.emplace_back(count_of(array.has_branches ? 2 : 1, array.rows, array.width), NAN);
  return slot;
}

std::size_t bytes_of(const Slot& slot) {
  std::size_t values = slot.counts.size() + slot.last_codes.size() + slot.seen.size() +
                       slot.drawn.size() + slot.text_memory.size() + slot.context_memory.size() +
                       slot.context_rows.size();
  for (const auto& histories : slot.histories) {
    for (const auto& history : histories) values += history.size();
  }
  for (const auto& past : slot.past) values += past.size();
  for (const auto& array : slot.arrays) values += array.size();
  return sizeof(Slot) + values * 4;
}

// Rounds one head's key or value to multiples of largest magnitude / 127. A value that is not
// finite makes all of them NaN.
void keep_int8(const float* x, std::int32_t count, float* kept) {
  const auto magnitude = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
  const bool is_finite = std::all_of(x, x + count, [](float v) { return std::isfinite(v); });
  const float scale = std::fabs(*std::max_element(x, x + count, magnitude)) / 127.0F;
  for (std::int32_t d = 0; d < count; ++d) {
    const float whole =
        scale > 0.0F ? std::clamp(std::nearbyint(x[d] / scale), -127.0F, 127.0F) : 0.0F;
    kept[d] = is_finite ? whole * scale : NAN;
  }
}

}  // namespace

State::State(const StateSpec& spec) : spec_(spec) {
  TTSRT_CHECK(InternalError, spec.slots > 0, "state: expected at least one slot, got ", spec.slots);
  for (std::int32_t i = 0; i < spec.slots; ++i) slots_.push_back(make_slot(spec));
  const std::int64_t width = std::int64_t{2} * spec.cache_heads * spec.cache_head_dim;
  cache_.assign(count_of(spec.cache_layers, spec.num_blocks, kBlockSize, width), NAN);
  schedule_.assign(count_of(spec.all_schedule_rows(), spec.schedule_width), NAN);
}

MemoryUse State::memory_use(const StateSpec& spec) {
  const std::int64_t memory_width = std::int64_t{2} * spec.memory_heads * spec.memory_head_dim;
  const auto slots = static_cast<std::size_t>(spec.slots);
  std::size_t values = count_of(spec.max_text_len + spec.codebooks + spec.max_drawn, 1);
  values += count_of(spec.max_context_rows, spec.dim);
  for (const StateSpec::Conv& conv : spec.convs) values += count_of(2, conv.kernel - 1, conv.width);
  for (const StateSpec::PastRows& past : spec.past) values += count_of(past.rows, past.width);
  for (const StateSpec::RowArray& array : spec.rows)
    values += count_of(array.has_branches ? 2 : 1, array.rows, array.width);
  MemoryUse use;
  const std::int64_t cached =
      std::int64_t{2} * spec.cache_layers * spec.cache_heads * spec.cache_head_dim;
  use.kv_cache = sizeof(float) * (count_of(spec.num_blocks, kBlockSize, cached) +
                                  count_of(spec.all_schedule_rows(), spec.schedule_width));
  use.cross_memory =
      slots * sizeof(float) *
      count_of(spec.memory_layers, spec.max_text_len + spec.max_context_memory, memory_width);
  use.slots = slots * (sizeof(Slot) + values * sizeof(float));
  return use;
}

std::size_t State::bytes() const {
  std::size_t bytes = (cache_.size() + schedule_.size()) * sizeof(float);
  for (const Slot& slot : slots_) bytes += bytes_of(slot);
  return bytes;
}

Slot& State::slot(std::int32_t index) {
  TTSRT_CHECK(InternalError, index >= 0 && index < spec_.slots, "slot ", index, " of ",
              spec_.slots);
  return slots_[static_cast<std::size_t>(index)];
}

std::uint32_t* State::seen(Slot& slot, std::int32_t place) const {
  if (!rules::counts_seen(slot.rules.sampler)) return nullptr;
  return slot.seen.data() + std::int64_t{place} * rules::seen_words(spec_.seen_vocab);
}

void State::reset_slot(const step::SlotReset& reset) {
  Slot& taken = slot(reset.slot);
  Slot fresh = make_slot(spec_);
  if (reset.is_next_round) {
    fresh.context_rows = std::move(taken.context_rows);
    fresh.context_memory = std::move(taken.context_memory);
    fresh.past = std::move(taken.past);
  }
  taken = std::move(fresh);
  taken.rules = reset.rules;
  taken.tokens = reset.tokens;
  taken.state = rules::start_state(reset.rules);
  if (reset.rules.block.steps > 0)
    std::fill(taken.last_codes.begin(), taken.last_codes.end(), reset.rules.block.mask_id);
  for (std::int32_t place = 0; place < spec_.codebooks; ++place) {
    if (std::uint32_t* set = seen(taken, place))
      rules::start_seen(taken.rules.sampler, set, spec_.seen_vocab);
  }
}

void State::copy_block(const step::BlockCopy& copy) {
  for (std::int32_t layer = 0; layer < spec_.cache_layers; ++layer) {
    const float* from = cache_row(layer, copy.from, 0, 0);
    const std::int64_t count =
        std::int64_t{kBlockSize} * 2 * spec_.cache_heads * spec_.cache_head_dim;
    std::copy(from, from + count, cache_row(layer, copy.to, 0, 0));
  }
  if (spec_.schedule_rows > 0) return;
  const std::int64_t count = std::int64_t{kBlockSize} * spec_.schedule_width;
  const auto from = schedule_.begin() + copy.from * count;
  std::copy(from, from + count, schedule_.begin() + copy.to * count);
}

float* State::array_row(Slot& slot, std::int32_t array, step::Branch branch, std::int64_t row) {
  const StateSpec::RowArray& of = spec_.rows.at(static_cast<std::size_t>(array));
  TTSRT_CHECK(InternalError, row >= 0 && row < of.rows, "array of rows ", array, ": row ", row,
              " of ", of.rows);
  if (!of.has_branches && branch == step::Branch::unconditional) return nullptr;
  const std::int64_t first = branch == step::Branch::unconditional ? of.rows : 0;
  return slot.arrays[static_cast<std::size_t>(array)].data() + (first + row) * of.width;
}

float* State::schedule_row(std::int64_t row) {
  TTSRT_CHECK(InternalError, row >= 0 && row < spec_.all_schedule_rows(), "schedule row ", row,
              " of ", spec_.all_schedule_rows());
  return schedule_.data() + row * spec_.schedule_width;
}

void State::start_outcome(std::size_t draws) {
  const std::size_t codes = draws * static_cast<std::size_t>(spec_.codebooks);
  outcome.sampled.assign(codes, -1);
  outcome.likeliest.assign(codes, -1);
  outcome.scores.assign(draws * static_cast<std::size_t>(spec_.max_text_len), 0.0F);
  outcome.keeps_scores = false;
  if (spec_.max_drawn > 0) {
    outcome.logprobs.assign(draws, 0.0F);
    outcome.likeliest_ids.assign(draws * rules::kMaxLogprobs, 0);
    outcome.likeliest_logprobs.assign(draws * rules::kMaxLogprobs, 0.0F);
  }
  outcome.tells_logprobs = false;
  outcome.draws.clear();
}

float* State::cache_row(std::int32_t layer, std::int32_t block, std::int32_t offset,
                        std::int32_t part) {
  TTSRT_CHECK(InternalError, layer >= 0 && layer < spec_.cache_layers, "cache layer ", layer,
              " of ", spec_.cache_layers);
  TTSRT_CHECK(InternalError, block >= 0 && block < spec_.num_blocks, "cache block ", block, " of ",
              spec_.num_blocks);
  const std::int64_t position =
      (std::int64_t{layer} * spec_.num_blocks + block) * kBlockSize + offset;
  return cache_.data() + (position * 2 + part) * spec_.cache_heads * spec_.cache_head_dim;
}

float* State::memory_row(Slot& slot, Memory memory, std::int32_t layer, std::int32_t row,
                         std::int32_t part) {
  const bool is_text = memory == Memory::text;
  const std::int32_t max_rows = is_text ? spec_.max_text_len : spec_.max_context_memory;
  TTSRT_CHECK(InternalError, layer >= 0 && layer < spec_.memory_layers, "memory layer ", layer,
              " of ", spec_.memory_layers);
  TTSRT_CHECK(InternalError, row >= 0 && row < max_rows, "memory row ", row, " of ", max_rows);
  const std::int64_t position = std::int64_t{layer} * max_rows + row;
  std::vector<float>& values = is_text ? slot.text_memory : slot.context_memory;
  return values.data() + (position * 2 + part) * spec_.memory_heads * spec_.memory_head_dim;
}

void State::keep(const float* row, std::int32_t heads, std::int32_t head_dim, float* kept) const {
  if (spec_.cache_dtype == DType::int8) {
    for (std::int32_t head = 0; head < heads; ++head)
      keep_int8(row + head * head_dim, head_dim, kept + head * head_dim);
    return;
  }
  for (std::int32_t i = 0; i < heads * head_dim; ++i) {
    const bool is_bfloat16 = spec_.cache_dtype == DType::bfloat16;
    const bool is_float16 = spec_.cache_dtype == DType::float16;
    kept[i] = is_bfloat16  ? from_bfloat16(to_bfloat16(row[i]))
              : is_float16 ? from_float16(to_float16(row[i]))
                           : row[i];
  }
}

}  // namespace ttsrt::ops::reference
