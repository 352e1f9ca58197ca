// The options of one request, converted at reset to numbers that every backend reads from the
// slot.
#pragma once

#include <cstdint>

#include "rules/inline.h"

namespace ttsrt::rules {

enum class PriorMode : std::int32_t { off, nemo, window };
enum class EosStreams : std::int32_t {
  argmax,
  either,
  sampled
};  // which of the two stacks of codes may end speech
enum class EosCodebooks : std::int32_t { any, all, zero };  // in which codebooks of a frame
enum class MaskGitSampling : std::int32_t { standard, causal, purity, purity_causal };

// The formula by which guidance mixes the logits c and u of the two branches; `scale` is
// SlotRules::cfg_scale.
enum class Guidance : std::int32_t {
  weighted_sum,  // scale * c + (1 - scale) * u
  extrapolate,   // c + scale * (c - u)
};

// The processors that a request may apply to the scores before the draw (rules/filter_chain.h).
enum class Processor : std::int32_t { none, repetition_penalty, temperature, top_k, top_p, min_p };

constexpr std::int32_t kMaxProcessors = 6;
constexpr std::int32_t kMaxSeenFirst = 4;
constexpr std::int32_t kMaxStopIds = 32;
constexpr std::int32_t kMaxForbidden = 16;
constexpr std::int32_t kMaxMaskGitSteps = 64;
constexpr std::int32_t kMaxBlockRows = 64;
constexpr std::int32_t kMaxBlockSteps = 64;

struct PriorRules {
  PriorMode mode = PriorMode::off;
  float epsilon = 0.1F;
  std::int32_t lookahead = 5;
  std::int32_t left = 1;
  std::int32_t right = 5;
  std::uint64_t estimate_layers = 0;  // bit l: decoder layer l
  std::uint64_t apply_layers = 0;
  std::int32_t start_step = 0;
  std::int32_t skip_after = 8;
  std::int32_t suppress_after = 10;  // 0: never
  bool suppress_upto = true;
  std::int32_t short_text = 5;
  std::int32_t end_margin = 3;
  bool count_end = true;
  bool track_finish = false;
  std::int32_t unfinished_grace = 5;
  std::int32_t force_after = 20;
  std::int32_t end_after = 0;  // 0: never
  // Of a text that is spoken in several rounds ("nemo").
  bool is_later = false;             // a round behind the first, with weights of its own
  std::int32_t start_focus = 1;      // below 0: before the window of a later round
  std::int32_t history = 0;          // rows of the window that are not new
  std::int32_t round_end_after = 0;  // steps near the end of the text that end the round; 0: none
};

struct SamplerRules {
  float temperature = 0.0F;  // 0: argmax
  std::int32_t top_k = 0;    // 0: all
  float top_p = 1.0F;
  float min_p = 0.0F;
  float repetition_penalty = 1.0F;  // above 0; for ids in the slot's seen sets (rules/seen.h)
  Processor order[kMaxProcessors] = {Processor::repetition_penalty, Processor::top_k,
                                     Processor::temperature, Processor::top_p, Processor::min_p};
  // Ids that are in the seen sets from the beginning, such as a start id.
  std::int32_t num_seen_first = 0;
  std::int32_t seen_first[kMaxSeenFirst] = {};
  bool forgets_first = false;  // from the second step on, the sets hold only drawn ids
  // For MaskGit's confidences, above 0: used if temperature is 0 or if ranks_apart is set.
  float confidence_temperature = 1.0F;
  bool ranks_apart = false;
  std::uint64_t seed = 0;
};

// What the analyzer of the alignment may do (rules/analyzer.h).
struct AnalyzerRules {
  bool acts = false;            // it forbids and forces the end of speech
  std::int32_t text_begin = 0;  // cache position of the first of the text's rows
};

struct MaskGitRules {
  std::int32_t steps = 3;
  float noise_scale = 0.0F;
  bool dynamic_cfg_scale = false;
  MaskGitSampling sampling = MaskGitSampling::standard;
  std::int32_t num_unmasked[kMaxMaskGitSteps] =
      {};  // codes already fixed at the start of each pass
};

// How steps decide the codes of a block together (rules/block_diffusion.h).
struct BlockRules {
  std::int32_t steps = 0;    // that decide a block, at most; 0: a step draws its codes at once
  float early = 0.0F;        // 0: as many places in each step as the schedule has
  float shift = 1.0F;        // of the schedule, above 0; below 1: late steps decide more places
  float noise = 0.0F;        // factor of the Gumbel noise that is added to scores
  std::int32_t mask_id = 0;  // stands for a code that is not decided yet
};

struct SlotRules {
  std::int32_t text_len = 0;
  std::int32_t context_len = 0;  // rows of the context memory ("memory" models), else 0
  Guidance guidance = Guidance::weighted_sum;
  float cfg_scale = 1.0F;
  float flow_scale = 0.0F;  // guidance of velocities: c + flow_scale (c - u)
  bool use_local_transformer = false;
  bool keep_scores = false;  // return the alignment scores
  SamplerRules sampler;
  PriorRules prior;
  AnalyzerRules analyzer;
  MaskGitRules maskgit;
  BlockRules block;
  EosStreams eos_streams = EosStreams::either;
  EosCodebooks eos_codebooks = EosCodebooks::any;
  std::int32_t eos_id = 0;
  std::int32_t num_stop_ids = 0;  // more ids that end speech like eos_id
  std::int32_t stop_ids[kMaxStopIds] = {};
  bool keeps_end = false;           // the frame that ends speech is kept, as the last
  std::int32_t first_end_step = 0;  // an id that ends speech may be drawn before, but ends nothing
  std::int32_t first_step = 0;      // of this round: the steps of the rounds before it
  std::int32_t codebooks = 0;       // C of one frame
  std::int32_t frame_stacking = 1;  // S
  std::int32_t min_frames = 0;
  std::int32_t minimum_id = -1;  // the id that min_frames forbids; -1: those that end speech
  std::int32_t num_forbidden = 0;
  std::int32_t forbidden[kMaxForbidden] = {};
  std::int32_t first_invalid = 0;     // ids from here on are never sampled; 0: there are none
  std::int32_t stop_after_equal = 0;  // so many equal stacks in a row end speech; 0: none do
};

enum class Verdict : std::int32_t { none, forbid_end, force_end };

// What the analyzer remembers of the steps before (rules/analyzer.h).
struct AnalyzerState {
  std::int32_t position = 0;  // in the text
  bool is_complete = false;   // whether the position has come to the end of the text
  float tail[3] = {};         // since then: the sum of each of the last columns
  float repeated = 0.0F;      // since then: the sum of the rows' largest scores of earlier text
  Verdict verdict = Verdict::none;  // on the end of speech in the step that runs
};

// The state of a slot that changes from step to step. Counts and codes are in separate arrays
// (slots.h of each backend).
struct SlotState {
  std::int32_t step = 0;          // decoder steps done, in all rounds; of blocks, the final ones
  std::int32_t pass = 0;          // steps done in this block
  bool is_decided = false;        // all codes of this block are; its next step keeps them
  std::int32_t focus = 1;         // text position in focus
  bool has_prior = false;         // whether the next step's cross-attention is weighted
  bool is_unfinished = false;     // end of speech is forbidden
  std::int32_t finish_count = 0;  // steps since the focus came near the end of the text; 0: not yet
  std::int32_t near_end = 0;      // "window": steps at the end position
  std::int32_t suppressed_upto = -1;  // positions 0..this get epsilon
  bool opens_round = false;           // the next step is the first of a later round
  std::int32_t focus_count = 0;       // later rounds: how often the focus was where it is
  std::int32_t equal_stacks = 0;      // how many of the last stacks of codes are equal
  AnalyzerState analyzer;
};

// The state in which a slot with these rules begins.
TTSRT_RULE SlotState start_state(const SlotRules& rules) {
  SlotState state;
  state.step = rules.first_step;
  state.focus = rules.prior.start_focus;
  state.has_prior = rules.prior.is_later;
  state.opens_round = rules.prior.is_later;
  return state;
}

}  // namespace ttsrt::rules
