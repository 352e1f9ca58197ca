// A running request: what it has done, what it holds, what it made.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "decode/prior_mirror.h"
#include "executor/channel.h"
#include "executor/kv_cache.h"
#include "executor/request_check.h"
#include "executor/scheduler.h"
#include "ttsrt/stats.h"

namespace ttsrt::executor {

using Clock = std::chrono::steady_clock;

// Whether a request's time, in seconds from its submission, is up.
inline bool is_expired(const std::optional<double>& deadline, Clock::time_point submitted,
                       Clock::time_point now) {
  return deadline && std::chrono::duration<double>(now - submitted).count() > *deadline;
}

// A request that waits for a slot.
struct Pending {
  PreparedRequest request;
  std::shared_ptr<Channel> channel;
  Clock::time_point submitted;
};

struct Sequence {
  Sequence(Pending&& pending, std::int32_t the_slot, const step::ModelFacts& facts, bool trace);

  PreparedRequest request;
  std::shared_ptr<Channel> channel;
  std::int32_t slot;

  // Progress. Decoder row i < context rows is context; row context + s feeds step s.
  bool is_admitted = false;  // the network has reset the slot
  bool is_text_done = false;
  bool is_context_done = false;
  std::int32_t conditional_done = 0;
  std::int32_t unconditional_done = 0;
  std::int32_t steps = 0;
  Prefix* prefix = nullptr;  // shared unconditional context, until it is forked
  bool is_forked = false;
  bool is_scheduled = false;        // the last launch carried it
  std::optional<FinishReason> end;  // its own, once it has come to it
  BlockTable conditional;
  BlockTable unconditional;

  // What it made: the BOS stack, then one stack per step, [1 + steps, C*S]; never reallocated.
  std::vector<std::int32_t> stacks;
  std::int32_t frames = 0;          // codec frames made so far
  std::int32_t frames_sent = 0;     // of them, in events
  std::vector<float> alignment;     // [steps, text_len]
  std::vector<std::int32_t> focus;  // [steps]
  std::vector<TraceEntry> trace;
  std::unique_ptr<decode::PriorMirror> mirror;  // under trace

  Clock::time_point submitted;
  Clock::time_point started;
  Clock::time_point first_frame;

  std::int32_t context_rows() const { return request.context.rows; }
  bool is_guided() const { return request.rules.is_guided; }
  // Rows that must be in the cache before the next decode row.
  std::int32_t prefill_target() const {
    return context_rows() + (request.rules.recomputes_prior ? steps : 0);
  }
  std::int32_t position() const { return context_rows() + steps; }  // of the next decode row
  SequenceView view() const;
  RequestStats stats(std::int32_t codebooks) const;
};

// Codes [frames, C] of frames [first, first + count) from stacks [steps, C*S].
Matrix<std::int32_t> unstack(const Sequence& sequence, std::int32_t codebooks,
                             std::int32_t frame_stacking, std::int32_t first, std::int32_t count);

}  // namespace ttsrt::executor
