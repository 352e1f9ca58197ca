// What one request runs, as data: a list of stops, each some rows of one Program, and the rules of
// its slot. A family writes it (model/family.h); the executor walks it by counts and never asks
// which family it runs.
//
//   an encoder-decoder   encode -> prefill of both branches, one shared by length -> decode*
//   a prefix decoder     prefill of both branches over a shared voice -> decode*
//   block diffusion      the same -> the start row of both branches -> blocks*
//   flow matching        encode -> flow x k -> vocoder, window by window
//   codes to sound       decode* -> what follows the codes, once they are known (Sequel)
//   a codec              frames*, following decode while it goes on
//   a long text          the stops of its first chunk, then again for each: project -> prefill ->
//                        decode*, while the chunk behind it is encoded (Rounds); silence between
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/slot_rules.h"
#include "step/batch.h"

namespace ttsrt::step {

// How the rows of a Program may be spread over launches.
enum class Pace : std::int32_t {
  whole,     // all rows of an item in one launch, pausable between parts (encoders, flow, vocoders)
  chunked,   // any number of rows at a time, in order (prefill, codec frames)
  stepwise,  // one row or block per branch at a time, fed by the step before (decode)
};

constexpr std::int32_t kAllRows = 1 << 30;

// What the rows of a Program become, beside what it leaves in the slots.
enum class Emits : std::int32_t {
  nothing,
  spectrogram,
  samples,
  codes,
  encoded,  // rows of a text, for later rounds: they come back for stops that ask for them
  logits,   // of every id, by which the id behind each row is scored
};

// A Program as the executor sees it. Programs of one launch run in the order of their indices.
struct ProgramInfo {
  std::string name;  // "prefill"
  Pace pace = Pace::whole;
  std::int32_t num_parts = 1;        // a launch may stop between them (ops::Program::part_begins)
  std::int32_t max_rows = kAllRows;  // of one launch
  bool uses_cache = false;           // its rows need blocks of the paged cache
  bool reads_schedule = false;       // it reads rows in those of the conditional branch
  Emits emits = Emits::nothing;
};

// A run of rows with one origin. A prompt is a list of these, so that restarts of learned
// positions, repeated start rows and voice prefixes are data.
struct RowSource {
  Input input = Input::zeros;
  std::int32_t rows = 0;
  // Whole: these rows are of the other branch, and their positions begin again at the stop's.
  bool is_unconditional = false;
  std::int32_t table = 0;            // Input::ids: which of the Program's id tables
  std::int32_t position_table = -1;  // which learned positions are added; -1: none
  std::int32_t first_position = 0;   // of the first row in that table
  std::int32_t kept_offset = 0;      // Input::kept_rows: first row in the slot's kept rows
  std::int32_t ids_per_row = 1;      // Input::codes: as many as the Program has code tables
  // [rows * ids_per_row]; and one id more of rows whose Program emits logits, the last that is
  // scored.
  std::shared_ptr<const std::vector<std::int32_t>> ids;
  std::shared_ptr<const std::vector<float>> vectors;  // [rows * dim]
  std::shared_ptr<const float> device_vectors;        // or in the memory of the network's device:
  std::int64_t device_width = 0;  // [rows, device_width], not known to be finite
};

// What makes the start of a branch's prompt equal to another request's, which may then fork its
// cache rows instead of computing them. The rows at positions [0, rows) are shared.
struct PrefixKey {
  std::string content;  // whatever the family says makes two of them equal: branch, voice, kind
  std::int32_t rows = 0;

  bool operator==(const PrefixKey&) const = default;
};

// One of the repeats of a stop that integrates: the state becomes base + velocity * step_size.
struct Evaluation {
  float step_size = 0.0F;
  bool ends_step = true;  // the state is the base of the next step
};

// Rows of an item that run by themselves, those around them included that the kept ones see.
struct Window {
  std::int32_t first = 0;  // of the stop's rows
  std::int32_t rows = 0;
  std::int32_t first_emitted = 0;  // of these
  std::int32_t emitted_rows = 0;
};

// Rows of one Program. They stand in the branch's cache from `position` on.
struct Stop {
  std::int32_t program = 0;
  Branch branch = Branch::conditional;
  std::int32_t num_branches = 1;  // stepwise: 2 under guidance, the second unconditional
  std::int32_t position = 0;
  // Stepwise: the first source feeds the first step, with a row for each branch or one for both; of
  // three sources, the second feeds the unconditional branch of that step. The last one says which
  // learned positions later steps add, from its first_position + step on.
  std::vector<RowSource> rows;
  std::optional<PrefixKey> shared;  // chunked: these rows are a shared prefix
  // With `shared`: of these rows, the request forks the first so many; 0: all of them. A prefix may
  // be longer than a request needs, so that requests of several lengths share one.
  std::int32_t forked_rows = 0;
  // Whole: evaluations, one per launch. Stepwise: steps at most; the rules may end it before.
  std::int32_t repeats = 1;
  std::shared_ptr<const std::vector<Evaluation>> evaluations;  // [repeats], or null
  // Whole, instead: windows of its rows, one per launch, each of which emits [repeats]; or null.
  std::shared_ptr<const std::vector<Window>> windows;
  // With evaluations: behind the last one, the first so many positions become known values.
  std::int32_t settled_rows = 0;
  // Of the rows that the item emits, these become its result; 0: all of them.
  std::int32_t first_emitted = 0;
  std::int32_t emitted_rows = 0;
  // Stepwise: a step runs the rows of a block, and several steps decide its codes together; 0: a
  // step is one row per branch. Where the next step stands follows from what this one gave, so it
  // is planned once that is collected.
  std::int32_t block_rows = 0;
  std::int32_t block_frames = 0;      // with block_rows: rows of all blocks together, at most
  std::vector<std::int32_t> follows;  // earlier stops, of which every row must have run before
  // Chunked: a stepwise stop whose inputs so far are appended to these rows, all of which run again
  // before each of its steps (an attention prior that is recomputed). -1: none.
  std::int32_t replays = -1;
  // Chunked: a stepwise stop whose frames are these rows, each one frame of codes. -1: none.
  std::int32_t reads = -1;
  // With `reads`: row r may run once r + frames_ahead + 1 frames are committed, or all are: a codec
  // that follows decode while it goes on.
  std::int32_t frames_ahead = 0;
  // With `reads`: rows run once the first so many wait, then each so many more, or once there will
  // be no more. Of rows that a chunked stop brings, the first so many run alone; 0: they do not.
  std::int32_t first_chunk = 0;
  std::int32_t chunk = 1;
  bool applies_prior = false;  // chunked: cross-attention multiplies the slot's prior in
  // Of a Program that emits encoded rows: whether they come back, and whether they leave anything
  // in the slot.
  bool returns_rows = false;
  bool keeps_rows = true;
};

constexpr std::int32_t kMaxStops = 18;

// What a round brings that begins as a request does, with nothing of the rounds before it but the
// number of their steps: another voice, or a model that carries no state.
struct Beginning {
  // What takes the place of stops, by index: those in front of the steps, and the steps'.
  std::vector<std::pair<std::int32_t, Stop>> stops;
  rules::SlotRules rules;
};

// The part of a long text that one round speaks: a window of the text, whose first rows the round
// before has had, too.
struct Round {
  std::int32_t first = 0;    // id of the window, in the text of all rounds
  std::int32_t rows = 0;     // of the window
  std::int32_t history = 0;  // of those, the first so many are not new
  bool goes_on = false;      // whether its state goes on in another round
  // Null: the state of the round before goes on.
  std::shared_ptr<const Beginning> beginning = nullptr;
};

// A text that is spoken in several rounds, in one slot. Each round but the first begins where the
// steps of the one before have ended: the slot is reset, what keeps the context of the request and
// what follows its frames stay, and the stops in front of the steps run again. The text's window is
// encoded ahead, while the round before makes its steps; of what was encoded, the new rows are
// taken, and behind the rows that the round before had last, they become the round's text. In
// models without an encoder, the text stands in the stops that a round brings.
struct Rounds {
  // Two or more, with those that come later; or none: the stops run once.
  std::vector<Round> all;
  std::shared_ptr<const std::vector<std::int32_t>> ids;  // of the text of all rounds
  // With an encoder, else -1: the stop that encodes the first round's text and returns its rows,
  // and the one that encodes the window of the next round.
  std::int32_t text = -1;
  std::int32_t ahead = -1;
  std::int32_t project = 0;         // the Program of `text` in later rounds: it takes encoded rows
  std::vector<std::int32_t> again;  // stops in front of the steps that run again in each round
  std::int32_t steps = 0;           // of a round, at most
  std::int32_t frames = 0;          // of all rounds together, at most
  std::int32_t later = 0;           // rounds whose text is still to come, at most
  std::int32_t vocab = 0;           // of their ids
  std::int32_t max_rows = 0;        // of a window
  std::int32_t max_history = 0;     // of these, ids of the rounds before

  bool is_empty() const { return all.empty(); }
};

// Codes that the steps of a request have made so far, and of the rounds that are over, how many of
// them each made. A request without rounds is one.
struct CodesSoFar {
  const std::int32_t* ids = nullptr;  // [count]
  std::int32_t count = 0;
  const std::int32_t* round_codes = nullptr;  // [rounds]
  std::int32_t rounds = 0;
  bool are_all = false;
};

// What follows the codes of a request, as stops that can't be written before codes are known. They
// come in parts, one after the other: those of a part take the place of those of the part before,
// all of which have run. A family writes it; the loop that runs the request asks it, between two
// launches.
class Sequel {
 public:
  virtual ~Sequel() = default;
  // The stops of a part, the first of them at index `first_stop` of the itinerary; nothing where
  // that part needs more codes. None: there is no such part, and nothing follows any more.
  virtual std::optional<std::vector<Stop>> stops(std::int32_t part, std::int32_t first_stop,
                                                 const CodesSoFar& codes) const = 0;
};

struct Itinerary {
  std::vector<Stop> stops;                   // at most kMaxStops, at most one of them stepwise
  rules::SlotRules rules;                    // of the first round
  std::shared_ptr<const TokenRules> tokens;  // null: none
  std::int32_t text_len = 0;                 // columns of an alignment
  Rounds rounds;
  // Samples of silence in front of the sound of each round, and behind the last: one more than
  // there are rounds, of which a text without any is one. Empty: none.
  std::vector<std::int32_t> silences;
  // Of models whose steps each draw one id of a text: the ids before the first of them, in which
  // drafts are looked up. Null: its steps have no drafts.
  std::shared_ptr<const std::vector<std::int32_t>> draft_ids;
  // What comes behind these stops, or null.
  std::shared_ptr<const Sequel> sequel;
  // [steps, C*S] codes that replace the drawn ones; null: none.
  std::shared_ptr<const std::vector<std::int32_t>> forced_codes;

  bool is_guided() const { return rules.cfg_scale != 1.0F; }
};

}  // namespace ttsrt::step
