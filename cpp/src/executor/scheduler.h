// What runs next: from counts to a plan. The scheduler knows no tensor, no device and no request.
//
// Policy: Programs are planned in the order they run in. Every request that can take a step takes
// one. Whole and chunked Programs get the rows that are left, first request first, and, while
// others wait for their next step, about a slice of time: a whole Program stops between two parts,
// a chunked one between two rows, and both go on with the next launch. A whole Program's batch is
// closed from its first part to its last: requests that arrive meanwhile wait for the next one.
//
// Chunked rows that become samples go to the stream that is heard out soonest, first to those that
// nobody has heard yet. They get the time that is left, but never fewer rows than the steps of the
// launch make: otherwise streams would run dry while decoding runs ahead of what is heard.
//
// Where each further request makes a step notably longer, streams yield to those of no lower
// priority that need sound sooner: with a fifth of a second left before their listeners to those
// that nobody has heard yet, with half a second to those that have less than that fifth. Who yields
// stays out of the launch, which then may take until half of the least of what they have left is
// played. Where the caller makes the sound of codes, the listener is taken to begin with the first
// frame.
//
// Drafts of steps get the rows that the steps leave, first those that are likeliest to come true.
//
// Counts are of what was launched, not of what came back: launches run in order, so a row may be
// planned as soon as the rows it needs are.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "step/itinerary.h"
#include "step/plan.h"

namespace ttsrt::executor {

// One stop of a running request as counts.
struct StopView {
  std::int32_t program = 0;
  std::int32_t first = 0;     // rows that are launched
  std::int32_t rows = 0;      // rows that may be launched by now, those included
  bool is_complete = false;   // all of its rows and repeats are launched
  bool can_go_on = true;      // false: it waits for a launch that isn't collected
  bool is_final = true;       // false: `rows` will grow, or all of them run again after this
  std::uint32_t follows = 0;  // bit i: stop i must be complete before
  std::uint64_t prefix = 0;   // of a shared prefix, its identity; 0: the rows are its own
  // Of rows that become samples: seconds of sound that are launched and not yet played by one who
  // began to listen with the first of them; kUnheard: there were none. Of steps that make codes of
  // speech and leave the sound to the caller: the same of their frames. kNobody: of others.
  static constexpr double kUnheard = -1e30;
  static constexpr double kNobody = 1e30;
  double lead = kUnheard;
  // Of steps: drafts that the next one may check, and how likely one of them comes true.
  std::int32_t drafts = 0;
  double gain = 0.0;
};

struct SequenceView {
  std::int32_t slot = 0;
  std::int32_t priority = 0;
  std::int32_t num_stops = 0;
  std::array<StopView, step::kMaxStops> stops;
};

// The batch of a whole Program that stopped between two parts.
struct SplitBatch {
  struct Member {
    std::int32_t slot = 0;  // or kNoSlot
    std::int32_t stop = 0;
    std::int32_t rows = 0;
  };
  std::vector<Member> members;  // in the order of their rows
  std::int32_t next_part = 0;

  bool is_empty() const { return members.empty(); }
};

// What one launch may take.
struct StepBudget {
  std::int32_t max_rows = 0;     // of one Program
  double seconds = 0.0;          // for whole and chunked rows while others step; 0: no limit
  std::int32_t step_frames = 1;  // that a step makes
  // The time is limited even if nobody steps, and a batch of a whole Program takes no more rows
  // than all of its parts can run in that time: a request of a larger priority may arrive meanwhile
  // and waits for the launch, and for that batch if it needs the same Program.
  bool is_preemptible = false;
  std::vector<double> row_seconds;  // [programs] of a row in one part; 0: not known yet
  // What each further request adds to a step, as a share of the time of a step of one; 0: not
  // known.
  double step_share = 0.0;
};

class Scheduler {
 public:
  Scheduler(const std::vector<step::ProgramInfo>& programs, std::int32_t max_sequences);

  // `sequences`: larger priority first, then older ones. `split`: of every Program.
  void plan(const std::vector<SequenceView>& sequences, const std::vector<SplitBatch>& split,
            const StepBudget& budget, step::StepPlan& plan);

 private:
  // In which Program of this launch each stop of a sequence becomes complete.
  using Completion = std::array<std::int32_t, step::kMaxStops>;
  // Rows of a stop that become samples.
  struct Stream {
    std::size_t sequence = 0;  // index in what is planned
    std::int32_t stop = 0;
  };

  // A step of the plan that has drafts.
  struct Drafted {
    std::size_t item = 0;
    std::int32_t drafts = 0;
    double gain = 0.0;
  };

  void choose_yielding();
  void plan_programs(const std::vector<SplitBatch>& split);
  void start();
  // Seconds that a stream is ahead of its listener; nothing where nobody listens, or no sound is to
  // come.
  std::optional<double> lead_of(const SequenceView& sequence) const;
  bool is_ready(std::size_t sequence, const StopView& stop, std::int32_t program) const;
  void plan_whole(std::int32_t program, const SplitBatch& split);
  void choose(std::int32_t program);
  std::int32_t last_part(std::int32_t program, std::int32_t next, std::int32_t rows);
  void plan_chunked(std::int32_t program);
  void plan_sound(std::int32_t program);
  std::int32_t sound_rows(std::int32_t program) const;
  void plan_stepwise(std::int32_t program);
  void plan_drafts(std::int32_t program);
  std::int32_t max_rows(std::int32_t program) const;
  std::int32_t chunk_rows(std::int32_t program) const;
  std::int32_t& prefix_rows(const StopView& stop);
  void complete(std::int32_t slot, std::int32_t stop, std::int32_t program);

  const std::vector<step::ProgramInfo> programs_;
  // Of the plan that is being made.
  const std::vector<SequenceView>* sequences_ = nullptr;
  const StepBudget* budget_ = nullptr;
  step::StepPlan* plan_ = nullptr;
  bool is_limited_ = false;  // a request could step, and would wait
  double seconds_left_ = 0.0;
  std::vector<bool> yields_;                 // [sequences]
  double least_lead_ = 0.0;                  // of those that yield; 0: nobody does
  std::vector<Completion> completion_;       // [sequences]
  std::vector<SplitBatch::Member> members_;  // of a whole Program
  std::vector<Stream> streams_;              // whose rows become samples
  std::vector<Drafted> drafted_;             // steps that have drafts
  std::vector<std::pair<std::uint64_t, std::int32_t>> prefix_rows_;  // planned of each prefix
};

}  // namespace ttsrt::executor
