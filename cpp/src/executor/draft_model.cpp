#include "executor/draft_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "decode/draft_rules.h"

namespace ttsrt::executor {
namespace {

// Rows of prefill under a time limit: the fewest, and the number before the time of a row was
// measured.
constexpr std::int32_t kMinChunk = 16;
constexpr std::int32_t kFirstChunk = 64;

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

DraftModel::DraftModel(std::unique_ptr<model::Network> network, std::int32_t vocab,
                       std::int32_t position_table)
    : network_(std::move(network)),
      vocab_(vocab),
      position_table_(position_table),
      pool_(network_->info().num_blocks, network_->info().block_size),
      slots_(at(network_->info().slots)) {
  const std::vector<step::ProgramInfo>& programs = network_->info().programs;
  for (std::size_t p = 0; p < programs.size(); ++p) {
    const step::ProgramInfo& program = programs[p];
    if (program.pace == step::Pace::stepwise) decode_ = static_cast<std::int32_t>(p);
    if (program.pace == step::Pace::chunked && program.emits == step::Emits::nothing)
      prefill_ = static_cast<std::int32_t>(p);
  }
  TTSRT_CHECK(InternalError, prefill_ >= 0 && decode_ >= 0,
              "draft model: expected Programs of prefill and of steps");
  members_.reserve(slots_.size());
  batch_.resets.reserve(slots_.size());
  batch_.clear(programs.size());
  for (Slot& slot : slots_) {
    slot.table = BlockTable(pool_);
    slot.table.reserve(network_->info().facts.max_seq_len);
  }
}

std::vector<StageTimes> DraftModel::stage_times() const {
  std::vector<StageTimes> all = network_->stage_times();
  for (StageTimes& times : all) times.program = "draft " + times.program;
  return all;
}

void DraftModel::guess(const std::vector<Sequence*>& sequences, double prefill_seconds) {
  const auto begin = std::chrono::steady_clock::now();
  choose(sequences);
  if (members_.empty()) return;
  const auto asked = static_cast<double>(members_.size());
  prefill(prefill_seconds);
  while (guess_once()) {
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  for (const Member& member : members_)
    member.drafting->finish_guesses(spent.count() / asked, !member.is_lacking);
}

void DraftModel::release(std::int32_t slot) {
  Slot& of = slots_[at(slot)];
  of.table.clear();
  of.rows = 0;
  of.checked = 0;
  of.is_reset = false;
  of.is_closed = false;
}

// Those of which at least one id may be guessed.
void DraftModel::choose(const std::vector<Sequence*>& sequences) {
  members_.clear();
  for (Sequence* sequence : sequences) {
    ModelDrafting& drafting = *sequence->guesses;
    Slot& slot = slots_[at(sequence->slot)];
    // Of rows that guesses have left, those whose guesses came true stay.
    slot.rows = std::min(slot.rows, drafting.num_ids() - 1);
    slot.table.truncate(slot.rows);
    const std::int32_t most = room_of(*sequence, slot);
    if (most > 0) {
      members_.push_back({&drafting, &slot, sequence, most, false, false, 0});
    } else {
      drafting.finish_guesses(0.0, false);
    }
  }
}

std::int32_t DraftModel::room_of(const Sequence& sequence, Slot& slot) const {
  const ModelDrafting& drafting = *sequence.guesses;
  for (; slot.checked < drafting.num_ids(); ++slot.checked)
    slot.is_closed = slot.is_closed || drafting.text()[slot.checked] >= vocab_;
  if (slot.is_closed) return 0;
  const std::int32_t positions = network_->info().facts.max_seq_len - drafting.num_ids() + 1;
  return std::min(drafting.wanted(sequence.steps_left() - 1), positions);
}

// Rows that are lacking, but for the last two of the text. Who lacks more behind it isn't guessed
// for.
void DraftModel::prefill(double seconds) {
  std::int32_t left = network_->info().facts.max_seq_len * static_cast<std::int32_t>(slots_.size());
  if (seconds > 0.0) {
    const double fitting = row_seconds_ > 0.0 ? seconds / row_seconds_ : kFirstChunk;
    left = std::max(static_cast<std::int32_t>(std::min<double>(fitting, left)), kMinChunk);
  }
  while (prefill_some(left)) {
  }
  for (Member& member : members_) {
    member.is_lacking = member.slot->rows < member.drafting->num_ids() - 2;
    member.is_done = member.is_done || member.is_lacking;
  }
}

// One launch of prefill, of at most so many rows; false where there is nothing for one.
bool DraftModel::prefill_some(std::int32_t& left) {
  batch_.clear(batch_.programs.size());
  batch_.resets.clear();
  const step::ProgramInfo& program = network_->info().programs[at(prefill_)];
  std::int32_t room = std::min({left, program.max_rows, network_->info().facts.max_rows});
  for (Member& member : members_) {
    member.added = 0;
    const std::int32_t lacking = member.drafting->num_ids() - 2 - member.slot->rows;
    if (lacking < 1 || room == 0 || member.is_done) continue;
    add(member, prefill_, std::min(lacking, room));
    room -= member.added;
  }
  const std::int32_t rows = batch_.programs[at(prefill_)].rows;
  if (rows == 0) return false;
  left -= rows;
  const step::StepOutput& output = run();
  close_faulty(output, prefill_);
  const double seconds = output.seconds.empty() ? 0.0 : output.seconds[at(prefill_)] / rows;
  row_seconds_ = row_seconds_ > 0.0 ? (3.0 * row_seconds_ + seconds) / 4.0 : seconds;
  return left > 0;
}

// One guess for each of those that want one; false where there are none.
bool DraftModel::guess_once() {
  batch_.clear(batch_.programs.size());
  batch_.resets.clear();
  step::RowBatch& rows = batch_.programs[at(decode_)];
  for (Member& member : members_) {
    member.added = 0;
    if (member.is_done) continue;
    const ModelDrafting& of = *member.drafting;
    add(member, decode_, of.num_ids() + of.num_guesses() - member.slot->rows);
    step::Draw draw;
    draw.slot = member.sequence->slot;
    draw.conditional_row = rows.rows - 1;
    draw.ahead = of.num_ids() + of.num_guesses() - of.num_prompt();
    draw.drafts = of.text() + of.num_prompt();
    draw.is_guess = true;
    rows.draws.push_back(draw);
  }
  if (rows.rows == 0) return false;
  const step::StepOutput& output = run();
  close_faulty(output, decode_);
  std::size_t draw = 0;
  for (Member& member : members_) {
    if (member.added > 0) take(member, output, draw++);
  }
  return true;
}

// Rows of the text, from the first one on that is lacking.
void DraftModel::add(Member& member, std::int32_t program, std::int32_t rows) {
  Slot& slot = *member.slot;
  const std::int32_t index = member.sequence->slot;
  if (!slot.is_reset) {
    const step::Itinerary& itinerary = member.sequence->request.itinerary;
    const decode::DraftRules rules = decode::draft_rules(
        itinerary.rules, itinerary.tokens.get(), network_->info().facts.codebook_vocab,
        member.drafting->rules().min_confidence > 0.0F);
    batch_.resets.push_back({index, rules.slot, false, rules.tokens});
    slot.is_reset = true;
  }
  step::RowBatch& into = batch_.programs[at(program)];
  slot.table.grow(slot.rows + rows);
  step::Segment segment;
  segment.slot = index;
  segment.first_row = into.rows;
  segment.rows = rows;
  segment.position = slot.rows;
  segment.input = step::Input::codes;
  segment.ids = member.drafting->text() + slot.rows;
  segment.position_table = position_table_;
  segment.first_position = slot.rows;
  segment.blocks = slot.table.data();
  segment.num_blocks = slot.table.size();
  into.segments.push_back(segment);
  into.rows += rows;
  slot.rows += rows;
  member.added = rows;
}

// A launch, from begin to end. Where it fails, nothing can be said of the slots that it named.
const step::StepOutput& DraftModel::run() {
  try {
    return network_->collect(network_->launch(batch_));
  } catch (...) {
    for (const Member& member : members_) {
      if (member.added == 0) continue;
      member.slot->rows = 0;
      member.slot->is_reset = false;
    }
    throw;
  }
}

// What isn't finite must not be read again: the requests that brought it go on without guesses.
void DraftModel::close_faulty(const step::StepOutput& output, std::int32_t program) {
  for (const step::Fault& fault : output.faults) {
    if (fault.program != program) continue;
    std::int32_t end = 0;
    for (Member& member : members_) {
      end += member.added;
      if (fault.row >= end) continue;
      if (!member.slot->is_closed) member.drafting->give_up();
      member.slot->is_closed = true;
      member.is_done = true;
      break;
    }
  }
}

// Takes what a draw gave as the next guess, if the model is sure of it.
void DraftModel::take(Member& member, const step::StepOutput& output, std::size_t draw) const {
  if (member.is_done) return;
  ModelDrafting& of = *member.drafting;
  const float least = of.rules().min_confidence;
  const bool is_sure =
      least <= 0.0F || std::exp(output.likeliest_logprobs[draw * rules::kMaxLogprobs]) >= least;
  const std::int32_t id = output.codes[draw];
  member.is_done = !is_sure || id >= vocab_ || !of.take(id) || of.num_guesses() == member.most;
}

}  // namespace ttsrt::executor
