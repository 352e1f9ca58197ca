#include "common/bound.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "cuda/cache_layout.h"
#include "rules/seen.h"

namespace ttsrt::plugins {
namespace {

using cuda::Element;

// No product of two attributes overflows.
constexpr std::int64_t kMostOfAnything = 1 << 24;

constexpr const char* kElements[] = {"float32", "bfloat16", "float16", "int8"};
constexpr std::int64_t kRuleWords = sizeof(rules::SlotRules) / sizeof(std::int32_t);
constexpr std::int64_t kStateWords = sizeof(rules::SlotState) / sizeof(std::int32_t);
constexpr std::int64_t kResultWords = sizeof(cuda::DrawResult) / sizeof(std::int32_t);
static_assert(sizeof(rules::SlotRules) % sizeof(std::int32_t) == 0);
static_assert(sizeof(rules::SlotState) % sizeof(std::int32_t) == 0);

std::int64_t at_least_one(std::int64_t extent) { return std::max(extent, std::int64_t{1}); }

std::uint32_t word_of(std::int32_t attribute) {
  return attribute < 0 ? cuda::kNoFault : static_cast<std::uint32_t>(attribute);
}

}  // namespace

void check_at_least(const char* plugin, const char* field, std::int64_t least, std::int64_t value) {
  TTSRT_CHECK(ConfigError, value >= least, plugin, ": ", field, ": expected at least ", least,
              ", got ", value);
}

void check_at_most(const char* plugin, const char* field, std::int64_t most, std::int64_t value) {
  TTSRT_CHECK(ConfigError, value <= most, plugin, ": ", field, ": expected at most ", most,
              ", got ", value);
}

void check_is_count(const char* plugin, const char* field, std::int64_t least, std::int64_t value) {
  check_at_least(plugin, field, least, value);
  check_at_most(plugin, field, kMostOfAnything, value);
}

void check_is_one_of(const char* plugin, const char* field, std::int64_t first, std::int64_t last,
                     std::int64_t value) {
  TTSRT_CHECK(ConfigError, value >= first && value <= last, plugin, ": ", field, ": expected ",
              first, " to ", last, ", got ", value);
}

Type float_type(const char* plugin, const char* field, std::int32_t element) {
  check_is_one_of(plugin, field, 0, std::size(kElements) - 1, element);
  const auto type = static_cast<Element>(element);
  TTSRT_CHECK(ConfigError, type == Element::float32 || type == Element::float16, plugin, ": ",
              field, ": expected float32 or float16, got ", kElements[element],
              ", which the plugins do not take");
  return type == Element::float32 ? Type::float32 : Type::float16;
}

void LaunchAttributes::check(const char* plugin) const {
  check_is_count(plugin, "max_rows", 1, max_rows);
  check_is_count(plugin, "max_draws", 0, max_draws);
  check_is_count(plugin, "max_blocks", 0, max_blocks);
  check_is_count(plugin, "codebooks", 0, codebooks);
  check_is_count(plugin, "code_width", 0, code_width);
  check_is_count(plugin, "max_segments", 0, max_segments);
  check_at_most(plugin, "the tables of a launch", std::numeric_limits<std::int32_t>::max(),
                layout().numbers());
}

cuda::RowsLayout LaunchAttributes::layout() const {
  cuda::RowsLayout layout;
  layout.max_rows = max_rows;
  layout.max_draws = max_draws;
  layout.max_blocks = max_blocks;
  layout.codebooks = codebooks;
  layout.code_width = code_width;
  layout.has_items = max_segments > 0;
  layout.max_tiles = layout.has_items ? tiles().most(max_rows) : 0;
  return layout;
}

void LaunchAttributes::add_to(Signature& signature) const {
  signature.add_input({"launch", Type::int32, {layout().numbers()}});
}

cuda::RowsView LaunchAttributes::view(const Call& call) const {
  return layout().view(call.input<const std::int32_t>("launch"),
                       call.input<const float>("vectors"));
}

const std::int32_t* LaunchAttributes::count(const Call& call, cuda::Count which) const {
  return call.input<const std::int32_t>("launch") + static_cast<std::int32_t>(which);
}

void FaultAttributes::add_to(Signature& signature, const LaunchAttributes& launch) const {
  signature.add_input({"faults", Type::int32, {launch.max_rows}, true});
}

cuda::FaultsView FaultAttributes::view(const Call& call) const {
  return {call.input<std::uint32_t>("faults"), word_of(not_finite), word_of(no_choice)};
}

void SlotAttributes::check(const char* plugin) const {
  check_is_count(plugin, "slots", 1, slots);
  check_is_count(plugin, "max_text_len", 0, max_text_len);
  check_is_count(plugin, "seen_vocab", 0, seen_vocab);
  check_is_count(plugin, "max_context_rows", 0, max_context_rows);
  check_is_count(plugin, "dim", 0, dim);
}

void SlotAttributes::add_to(Signature& signature, const LaunchAttributes& launch) const {
  const std::int64_t codebooks = launch.codebooks;
  const std::int64_t seen = codebooks * rules::seen_words(seen_vocab);
  const std::int64_t context = std::int64_t{max_context_rows} * dim;
  signature.add_input({"slot_rules", Type::int32, {slots, kRuleWords}, true});
  signature.add_input({"slot_states", Type::int32, {slots, kStateWords}, true});
  signature.add_input({"visit_counts", Type::int32, {slots, text_extent()}, true});
  signature.add_input({"last_codes", Type::int32, {slots, at_least_one(codebooks)}, true});
  signature.add_input({"seen_codes", Type::int32, {slots, at_least_one(seen)}, true});
  signature.add_input({"context_rows", Type::float32, {slots, at_least_one(context)}, true});
}

cuda::SlotsView SlotAttributes::view(const Call& call, const LaunchAttributes& launch) const {
  cuda::SlotsView view;
  view.rules = call.input<rules::SlotRules>("slot_rules");
  view.states = call.input<rules::SlotState>("slot_states");
  view.counts = call.input<std::int32_t>("visit_counts");
  view.last_codes = call.input<std::int32_t>("last_codes");
  view.seen = call.input<std::uint32_t>("seen_codes");
  view.context_rows = call.input<float>("context_rows");
  view.num_slots = slots;
  view.max_text_len = max_text_len;
  view.codebooks = launch.codebooks;
  view.seen_vocab = seen_vocab;
  view.max_context_rows = max_context_rows;
  view.dim = dim;
  return view;
}

void add_outcome(Signature& signature, const LaunchAttributes& launch,
                 const SlotAttributes& slots) {
  const std::int64_t draws = launch.draws();
  const std::int64_t codebooks = at_least_one(launch.codebooks);
  signature.add_input({"sampled", Type::int32, {draws, codebooks}, true});
  signature.add_input({"likeliest", Type::int32, {draws, codebooks}, true});
  signature.add_input({"alignment", Type::float32, {draws, slots.text_extent()}, true});
  signature.add_input({"results", Type::int32, {draws, kResultWords}, true});
}

cuda::OutcomeView outcome_of(const Call& call) {
  cuda::OutcomeView view;
  view.sampled = call.input<std::int32_t>("sampled");
  view.likeliest = call.input<std::int32_t>("likeliest");
  view.scores = call.input<float>("alignment");
  view.results = call.input<cuda::DrawResult>("results");
  return view;
}

void add_scores(Signature& signature, const LaunchAttributes& launch, const SlotAttributes& slots) {
  signature.add_input({"scores", Type::float32, {launch.draws(), slots.text_extent()}, true});
}

cuda::CacheView CacheAttributes::view(void* data, std::int32_t heads, std::int32_t head_dim) const {
  cuda::CacheView view = cuda::cache_layout(static_cast<Element>(cache_type), heads, head_dim);
  view.data = static_cast<std::byte*>(data);
  return view;
}

void CacheAttributes::add_block_extents(Port& port, std::int32_t heads,
                                        std::int32_t head_dim) const {
  for (const std::int32_t extent :
       {cache_blocks, heads, 2, cuda::kCacheBlock, cuda::padded_dims(head_dim)})
    port.shape.push_back(extent);
}

void MemoryAttributes::check(const char* plugin) const {
  check_is_count(plugin, "cache_blocks", 1, blocks.cache_blocks);
  check_is_count(plugin, "layers", 1, layers);
  check_is_one_of(plugin, "layer", 0, layers - 1, layer);
  check_is_one_of(plugin, "first_block", 0, blocks.cache_blocks - 1, first_block);
  check_is_one_of(plugin, "is_context", 0, 1, is_context);
  check_is_count(plugin, "heads", 1, heads);
  check_is_one_of(plugin, "head_dim", 1, cuda::kMaxHeadDim, head_dim);
}

void MemoryAttributes::add_to(Signature& signature, const char* plugin, bool is_written) const {
  Port port;
  port.name = "memory";
  port.type = float_type(plugin, "cache_type", blocks.cache_type);
  port.shape = {'S', layers};
  blocks.add_block_extents(port, heads, head_dim);
  port.is_written = is_written;
  signature.add_input(std::move(port));
}

cuda::MemoryView MemoryAttributes::view(const Call& call) const {
  cuda::MemoryView view;
  view.blocks = blocks.view(call.input<void>("memory"), heads, head_dim);
  const std::int64_t layer_bytes = blocks.cache_blocks * view.blocks.block_bytes;
  view.slot_bytes = layers * layer_bytes;
  view.blocks.data += layer * layer_bytes + first_block * view.blocks.block_bytes;
  view.is_context = is_context != 0;
  return view;
}

void add_token(Signature& signature) {
  signature.add_input({"token", Type::int32, {std::int64_t{1}}});
  signature.add_output({"token", Type::int32, {std::int64_t{1}}});
}

void add_rows(Signature& signature) { signature.add_input({"rows", Type::int32, {'R'}}); }

}  // namespace ttsrt::plugins
