#include "ops/check.h"

#include <algorithm>
#include <variant>

#include "core/check.h"
#include "rules/seen.h"

namespace ttsrt::ops {
namespace {

void check_seen(const rules::SamplerRules& sampler, const StateSpec& spec) {
  TTSRT_CHECK(InternalError, sampler.repetition_penalty > 0.0F,
              "repetition_penalty: expected a number above 0, got ", sampler.repetition_penalty);
  if (!rules::counts_seen(sampler)) return;
  TTSRT_CHECK(InternalError, spec.seen_vocab > 0,
              "repetition_penalty: the state keeps no ids that were seen");
  TTSRT_CHECK(
      InternalError, sampler.num_seen_first >= 0 && sampler.num_seen_first <= rules::kMaxSeenFirst,
      "num_seen_first: expected at most ", rules::kMaxSeenFirst, ", got ", sampler.num_seen_first);
  for (std::int32_t i = 0; i < sampler.num_seen_first; ++i) {
    TTSRT_CHECK(
        InternalError, sampler.seen_first[i] >= 0 && sampler.seen_first[i] < spec.seen_vocab,
        "seen_first: expected ids below ", spec.seen_vocab, ", got ", sampler.seen_first[i]);
  }
}

void check_tokens(const step::TokenRules& tokens, const StateSpec& spec) {
  TTSRT_CHECK(InternalError, spec.max_drawn > 0 && spec.codebooks == 1,
              "token rules: the slots remember no drawn ids");
  TTSRT_CHECK(InternalError,
              tokens.repetition_penalty > 0.0F && tokens.num_logprobs >= -1 &&
                  tokens.num_logprobs <= rules::kMaxLogprobs,
              "token rules: a penalty of ", tokens.repetition_penalty, " and ", tokens.num_logprobs,
              " likeliest ids are out of range");
}

}  // namespace

void check_reset(const step::SlotReset& reset, const StateSpec& spec) {
  const rules::SlotRules& rules = reset.rules;
  TTSRT_CHECK(InternalError, reset.slot >= 0 && reset.slot < spec.slots, "reset: slot ", reset.slot,
              " of ", spec.slots);
  TTSRT_CHECK(InternalError, rules.text_len >= 0 && rules.text_len <= spec.max_text_len,
              "text_len: expected at most ", spec.max_text_len, ", got ", rules.text_len);
  TTSRT_CHECK(InternalError, rules.context_len >= 0 && rules.context_len <= spec.max_context_memory,
              "context_len: expected at most ", spec.max_context_memory, ", got ",
              rules.context_len);
  TTSRT_CHECK(
      InternalError, rules.num_forbidden >= 0 && rules.num_forbidden <= rules::kMaxForbidden,
      "num_forbidden: expected at most ", rules::kMaxForbidden, ", got ", rules.num_forbidden);
  TTSRT_CHECK(InternalError, rules.first_invalid >= 0 && rules.stop_after_equal >= 0,
              "first_invalid and stop_after_equal: expected at least 0, got ", rules.first_invalid,
              " and ", rules.stop_after_equal);
  TTSRT_CHECK(InternalError,
              rules.analyzer.text_begin >= 0 && (!rules.analyzer.acts || rules.text_len > 0),
              "analyzer: expected a text, got ", rules.text_len, " rows from ",
              rules.analyzer.text_begin, " on");
  TTSRT_CHECK(InternalError, rules.num_stop_ids >= 0 && rules.num_stop_ids <= rules::kMaxStopIds,
              "num_stop_ids: expected at most ", rules::kMaxStopIds, ", got ", rules.num_stop_ids);
  TTSRT_CHECK(
      InternalError, rules.maskgit.steps >= 1 && rules.maskgit.steps <= rules::kMaxMaskGitSteps,
      "maskgit.steps: expected 1 to ", rules::kMaxMaskGitSteps, ", got ", rules.maskgit.steps);
  TTSRT_CHECK(InternalError, rules.block.steps >= 0 && rules.block.steps <= rules::kMaxBlockSteps,
              "block.steps: expected at most ", rules::kMaxBlockSteps, ", got ", rules.block.steps);
  check_seen(rules.sampler, spec);
  if (reset.tokens != nullptr) check_tokens(*reset.tokens, spec);
}

void check_copy(const step::BlockCopy& copy, const StateSpec& spec) {
  TTSRT_CHECK(
      InternalError,
      copy.from >= 0 && copy.from < spec.num_blocks && copy.to >= 0 && copy.to < spec.num_blocks,
      "block copy: ", copy.from, " to ", copy.to, " of ", spec.num_blocks);
}

namespace {

constexpr std::int64_t kMostArrayRows = std::int64_t{1} << 30;

void check_embedding(const step::Segment& segment, const BatchNeeds::Embedding& needs) {
  using step::Input;
  const bool needs_codes = segment.input == Input::codes || segment.input == Input::last_codes ||
                           segment.input == Input::block_codes;
  TTSRT_CHECK(InternalError, !needs_codes || needs.has_codes, "segment: codes without code tables");
  const bool needs_ids = segment.input == Input::codes || segment.input == Input::ids;
  TTSRT_CHECK(InternalError, !needs_ids || segment.ids != nullptr, "segment: no ids");
  const bool is_on_device = needs.takes_device_vectors && segment.device_vectors != nullptr;
  TTSRT_CHECK(InternalError,
              segment.input != Input::vectors || segment.vectors != nullptr || is_on_device,
              "segment: no vectors");
  TTSRT_CHECK(
      InternalError,
      segment.input != Input::ids ||
          (segment.table >= 0 && static_cast<std::size_t>(segment.table) < needs.ids.size()),
      "segment: id table ", segment.table, " of ", needs.ids.size());
  if (segment.position_table < 0 || needs.positions.empty()) return;
  const auto table = static_cast<std::size_t>(segment.position_table);
  TTSRT_CHECK(InternalError, table < needs.positions.size(), "segment: position table ", table,
              " of ", needs.positions.size());
  const std::int64_t last = std::int64_t{segment.first_position} + segment.rows;
  TTSRT_CHECK(InternalError, segment.first_position >= 0 && last <= needs.positions[table],
              "segment: learned positions ", segment.first_position, " to ", last, " of ",
              needs.positions[table]);
}

void check_blocks(const step::Segment& segment, const StateSpec& spec) {
  const std::int64_t last = std::int64_t{segment.position} + segment.rows;
  TTSRT_CHECK(InternalError,
              segment.blocks != nullptr && last <= std::int64_t{segment.num_blocks} * kBlockSize,
              "segment: ", last, " positions in ", segment.num_blocks, " blocks");
  TTSRT_CHECK(InternalError, spec.max_positions == 0 || last <= spec.max_positions,
              "segment: position ", last, " of ", spec.max_positions);
  for (std::int32_t b = 0; b < segment.num_blocks; ++b) {
    TTSRT_CHECK(InternalError, segment.blocks[b] >= 0 && segment.blocks[b] < spec.num_blocks,
                "segment: block ", segment.blocks[b], " of ", spec.num_blocks);
  }
}

void check_segment(const step::Segment& segment, const step::RowBatch& batch,
                   const BatchNeeds& needs, const StateSpec& spec) {
  const bool is_given = segment.input == step::Input::ids || segment.input == step::Input::vectors;
  const bool is_gone =
      segment.slot == step::kNoSlot && (batch.first_part > 0 || (is_given && !needs.uses_cache));
  TTSRT_CHECK(InternalError, is_gone || (segment.slot >= 0 && segment.slot < spec.slots),
              "segment: slot ", segment.slot, " of ", spec.slots);
  for (const BatchNeeds::Embedding& embedding : needs.embeddings) {
    if (embedding.part >= batch.first_part && embedding.part < batch.last_part)
      check_embedding(segment, embedding);
  }
  for (const std::int32_t part : needs.code_parts) {
    const bool has_codes = segment.input == step::Input::codes && segment.ids != nullptr;
    TTSRT_CHECK(InternalError, has_codes || part < batch.first_part || part >= batch.last_part,
                "segment: no codes");
  }
  if (is_gone) return;
  TTSRT_CHECK(InternalError, !needs.keeps_past || segment.branch == step::Branch::conditional,
              "segment: past rows of an unconditional branch");
  if (needs.uses_cache) check_blocks(segment, spec);
  const std::int64_t schedule_rows =
      spec.schedule_rows > 0 ? spec.schedule_rows : spec.all_schedule_rows();
  TTSRT_CHECK(
      InternalError,
      !needs.reads_schedule || (segment.schedule_row >= 0 && segment.schedule_row < schedule_rows),
      "segment: schedule row ", segment.schedule_row, " of ", schedule_rows);
  TTSRT_CHECK(InternalError,
              !needs.keeps_schedule || segment.position + segment.rows <= spec.schedule_rows,
              "segment: ", segment.rows, " rows at position ", segment.position,
              " of a schedule of ", spec.schedule_rows);
  TTSRT_CHECK(
      InternalError,
      needs.array_rows < 0 || std::int64_t{segment.position} + segment.rows <= needs.array_rows,
      "segment: ", segment.rows, " rows at position ", segment.position, " of arrays of ",
      needs.array_rows);
  TTSRT_CHECK(InternalError, segment.settled_rows >= 0 && segment.settled_rows <= segment.rows,
              "segment: ", segment.settled_rows, " settled rows of ", segment.rows);
  TTSRT_CHECK(InternalError,
              segment.input != step::Input::block_codes || segment.rows <= spec.codebooks,
              "segment: ", segment.rows, " rows of a block of ", spec.codebooks);
  TTSRT_CHECK(
      InternalError,
      needs.memory_rows < 0 || std::int64_t{segment.position} + segment.rows <= needs.memory_rows,
      "segment: ", segment.rows, " rows at position ", segment.position,
      " of a cross-attention memory of ", needs.memory_rows);
  const bool is_kept = needs.keeps_rows || segment.input == step::Input::kept_rows;
  TTSRT_CHECK(InternalError,
              !is_kept || (segment.kept_offset >= 0 &&
                           segment.kept_offset + segment.rows <= spec.max_context_rows),
              "segment: ", segment.rows, " kept rows from ", segment.kept_offset, ", of ",
              spec.max_context_rows);
}

// `repeat`: how many rows of a launch read one row of an array.
void add_need(const Use& use, std::int32_t repeat, const StateSpec& spec, BatchNeeds& needs) {
  const bool is_schedule = use.part == Part::schedule;
  const bool is_kept = is_schedule && use.writes();
  needs.uses_cache |= use.part == Part::cache || (is_kept && spec.schedule_rows == 0);
  needs.keeps_schedule |= is_kept && spec.schedule_rows > 0;
  needs.reads_schedule |= is_schedule && use.reads();
  needs.keeps_past |= use.part == Part::past;
  if (use.part != Part::rows) return;
  const std::int64_t all =
      std::int64_t{spec.rows[static_cast<std::size_t>(use.index)].rows} * repeat;
  const auto rows = static_cast<std::int32_t>(std::min<std::int64_t>(all, kMostArrayRows));
  needs.array_rows = needs.array_rows < 0 ? rows : std::min(needs.array_rows, rows);
}

}  // namespace

BatchNeeds needs_of(const Program& program, const ProgramLimits& limits, const StateSpec& spec) {
  BatchNeeds needs;
  needs.name = program.name;
  needs.max_rows = limits.max_rows;
  needs.max_draws = limits.max_draws;
  needs.max_segments = limits.max_segments;
  const auto part_of = [&program](std::size_t op) {
    std::int32_t part = 0;
    for (const std::int32_t begin : program.part_begins)
      part += static_cast<std::size_t>(begin) <= op ? 1 : 0;
    return part;
  };
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const auto* load = std::get_if<LoadRows>(&program.ops[i]);
    for (const Use& use : uses_of(program.ops[i]))
      add_need(use, load != nullptr ? load->repeat : 1, spec, needs);
    needs.keeps_rows |= std::holds_alternative<StoreContext>(program.ops[i]) ||
                        std::holds_alternative<FlowStep>(program.ops[i]);
    if (const auto* store = std::get_if<StoreMemory>(&program.ops[i])) {
      const bool is_text = store->memory == Memory::text;
      const std::int32_t rows = is_text ? spec.max_text_len : spec.max_context_memory;
      needs.memory_rows = needs.memory_rows < 0 ? rows : std::min(needs.memory_rows, rows);
    }
    if (std::holds_alternative<DequantizeCodes>(program.ops[i]))
      needs.code_parts.push_back(part_of(i));
    const auto* embed = std::get_if<EmbedRows>(&program.ops[i]);
    if (embed == nullptr) continue;
    BatchNeeds::Embedding& embedding = needs.embeddings.emplace_back();
    embedding.part = part_of(i);
    embedding.has_codes = embed->code_tables.is_present();
    for (const Weight& table : embed->id_tables) embedding.ids.push_back(table.rows);
    if (!embed->adds_positions) continue;
    for (const Weight& table : embed->position_tables) embedding.positions.push_back(table.rows);
  }
  return needs;
}

namespace {

// Draws of one slot that verify drafts follow each other, as their rows do, and draw one code each.
// Guesses stand by themselves.
void check_ahead(const step::RowBatch& batch, std::size_t index, const StateSpec& spec) {
  const step::Draw& draw = batch.draws[index];
  if (draw.ahead == 0 && !draw.is_guess) return;
  TTSRT_CHECK(InternalError,
              draw.ahead >= 0 && (draw.ahead == 0 || draw.drafts != nullptr) &&
                  draw.unconditional_row < 0 && draw.forced == nullptr && spec.codebooks == 1,
              "draw ", index, " of slot ", draw.slot, ": expected ", draw.ahead, " drafts");
  for (std::int32_t i = 0; i < draw.ahead; ++i)
    TTSRT_CHECK(InternalError, draw.drafts[i] >= 0, "draft ", draw.drafts[i],
                ": expected ids of 0 or more");
  if (draw.is_guess) return;
  const step::Draw* before = index > 0 ? &batch.draws[index - 1] : nullptr;
  TTSRT_CHECK(InternalError,
              before != nullptr && before->slot == draw.slot && before->ahead == draw.ahead - 1 &&
                  before->conditional_row == draw.conditional_row - 1 && !before->is_guess,
              "draw ", index, " of slot ", draw.slot, ": expected the draws of ", draw.ahead,
              " drafts before it");
}

}  // namespace

void check_batch(const step::RowBatch& batch, const BatchNeeds& needs, const StateSpec& spec) {
  TTSRT_CHECK(InternalError,
              batch.rows <= needs.max_rows &&
                  batch.draws.size() <= static_cast<std::size_t>(needs.max_draws),
              needs.name, ": expected at most ", needs.max_rows, " rows and ", needs.max_draws,
              " draws, got ", batch.rows, " and ", batch.draws.size());
  TTSRT_CHECK(InternalError,
              needs.max_segments == 0 ||
                  batch.segments.size() <= static_cast<std::size_t>(needs.max_segments),
              needs.name, ": expected at most ", needs.max_segments, " segments, got ",
              batch.segments.size());
  std::int32_t next = 0;
  for (const step::Segment& segment : batch.segments) {
    TTSRT_CHECK(InternalError,
                segment.first_row == next && segment.rows > 0 && segment.position >= 0,
                "segment of ", segment.rows, " rows at position ", segment.position,
                ": expected first row ", next, ", got ", segment.first_row);
    next += segment.rows;
    check_segment(segment, batch, needs, spec);
  }
  TTSRT_CHECK(InternalError, next == batch.rows, "batch: expected ", batch.rows,
              " rows in segments, got ", next);
  for (std::size_t d = 0; d < batch.draws.size(); ++d) {
    const step::Draw& draw = batch.draws[d];
    check_ahead(batch, d, spec);
    TTSRT_CHECK(InternalError,
                draw.slot >= 0 && draw.slot < spec.slots && draw.conditional_row >= 0 &&
                    draw.rows >= 1 && draw.rows <= std::max(spec.codebooks, 1) &&
                    draw.conditional_row + draw.rows <= batch.rows &&
                    draw.unconditional_row >= -1 &&
                    draw.unconditional_row + draw.rows <= batch.rows,
                "draw of slot ", draw.slot, ": expected ", draw.rows, " of ", batch.rows,
                " rows, got first rows ", draw.conditional_row, " and ", draw.unconditional_row);
  }
}

}  // namespace ttsrt::ops
