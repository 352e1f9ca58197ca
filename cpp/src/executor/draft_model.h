// A second, smaller network that guesses the ids of requests (decode/speculation_options.h: mode
// "draft"). It belongs to a replica and runs on the thread of its loop, before a step is planned:
// a launch for each guess, for all requests together that have none for their next step.
//
// Its slots are those of the loop, and its cache books are its own. A slot there never draws: each
// guess is a draw as behind all ids of the text so far (step::Draw::is_guess), by the rules and the
// random number that the request's own draw will have. So all that a rejected guess leaves are rows
// in the cache, which the next ones overwrite.
//
// Rows that it lacks are made up for: one together with the next guess, as after a round in which
// all guesses came true; more of them, as of a prompt, by prefill, for a slice of time in each
// pass; the request makes steps without guesses meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "executor/kv_cache.h"
#include "executor/sequence.h"
#include "model/network.h"
#include "step/batch.h"
#include "step/output.h"

namespace ttsrt::executor {

class DraftModel {
 public:
  // `vocab`: ids that both networks have. `position_table`: that rows of ids add; -1: none.
  DraftModel(std::unique_ptr<model::Network> network, std::int32_t vocab,
             std::int32_t position_table);

  const model::NetworkInfo& info() const { return network_->info(); }
  std::vector<StageTimes> stage_times() const;
  void adopt_thread() { network_->adopt_thread(); }

  // Guesses for the next step of these, each of which wants_guesses(). Prefill takes about so many
  // seconds; 0: as many as it needs. What the network throws leaves a slot without rows.
  void guess(const std::vector<Sequence*>& sequences, double prefill_seconds);
  // Forgets the request in a slot.
  void release(std::int32_t slot);

 private:
  struct Slot {
    BlockTable table;
    std::int32_t rows = 0;     // of the text, in the cache
    std::int32_t checked = 0;  // ids of the text that are known to be in the vocabulary
    bool is_reset = false;
    bool is_closed = false;  // nothing is guessed for it any more
  };

  // A request that is guessed for.
  struct Member {
    ModelDrafting* drafting = nullptr;
    Slot* slot = nullptr;
    const Sequence* sequence = nullptr;
    std::int32_t most = 0;    // guesses
    bool is_done = false;     // has them all, or gets no more
    bool is_lacking = false;  // rows of prefill
    std::int32_t added = 0;   // rows in the launch
  };

  void choose(const std::vector<Sequence*>& sequences);
  std::int32_t room_of(const Sequence& sequence, Slot& slot) const;
  void prefill(double seconds);
  bool prefill_some(std::int32_t& left);
  bool guess_once();
  void add(Member& member, std::int32_t program, std::int32_t rows);
  const step::StepOutput& run();
  void close_faulty(const step::StepOutput& output, std::int32_t program);
  void take(Member& member, const step::StepOutput& output, std::size_t draw) const;

  const std::unique_ptr<model::Network> network_;
  const std::int32_t vocab_;
  const std::int32_t position_table_;
  std::int32_t prefill_ = -1;  // Programs
  std::int32_t decode_ = -1;
  BlockPool pool_;
  std::vector<Slot> slots_;
  std::vector<Member> members_;
  step::StepBatch batch_;
  double row_seconds_ = 0.0;  // of prefill; 0: not known yet
};

}  // namespace ttsrt::executor
