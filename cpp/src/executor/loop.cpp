#include "executor/loop.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/start_thread.h"
#include "executor/batch_builder.h"
#include "executor/commit.h"
#include "executor/rounds.h"
#include "executor/sequel.h"
#include "executor/timed_wait.h"
#include "executor/worst_case.h"

namespace ttsrt::executor {
namespace {

// How long a loop sleeps whose requests all wait for their text. Whoever adds some doesn't wake it.
constexpr double kTextSeconds = 0.002;

}  // namespace

Loop::Loop(std::unique_ptr<model::Network> network, const LoopOptions& options, Intake& intake,
           std::unique_ptr<DraftModel> draft)
    : network_(std::move(network)),
      options_(options),
      site_{network_->info().facts, network_->info().programs},
      intake_(intake),
      pool_(network_->info().num_blocks, network_->info().block_size),
      prefixes_(pool_),
      slots_(static_cast<std::size_t>(network_->info().slots)),
      ranking_(
          {network_->info().slots - network_->info().paused_slots, network_->info().paused_slots}),
      draft_(std::move(draft)),
      scheduler_(site_.programs, network_->info().slots),
      split_(site_.programs.size()),
      flights_(static_cast<std::size_t>(std::max(network_->info().pipeline_depth, 1))) {
  for (std::int32_t slot = network_->info().slots - 1; slot >= 0; --slot)
    free_slots_.push_back(slot);
  order_.reserve(slots_.size());
  guessed_.reserve(slots_.size());
  views_.reserve(slots_.size());
  for (SplitBatch& split : split_) split.members.reserve(slots_.size() * step::kMaxStops);
  budget_.max_rows = site_.facts.max_rows;
  budget_.seconds = options.prefill_slice_seconds;
  budget_.step_frames = site_.facts.frame_stacking;
  budget_.is_preemptible = network_->info().paused_slots > 0;
  budget_.row_seconds.assign(site_.programs.size(), 0.0);
  replica_ =
      intake_.add_replica(network_->info().device, network_->info().description, load(), pool_);
  thread_ = start_thread("executor", [this] { run(); });
}

// There is no timeout that could be refused. NOLINTNEXTLINE(bugprone-exception-escape)
Loop::~Loop() {
  intake_.close(false);
  join();
}

bool Loop::join(std::optional<double> timeout) {
  std::unique_lock<std::mutex> lock(close_mutex_);
  if (!wait_until(ended_, lock, timeout, [&] { return has_ended_; })) return false;
  if (thread_.joinable()) thread_.join();
  return true;
}

// What escapes a pass (out of memory, a broken promise) costs the requests in flight, not the
// process.
void Loop::run() {
  const std::optional<double> forever;
  while (intake_.wait_for_work(replica_, !order_.empty() && !is_stalled_,
                               is_stalled_ ? kTextSeconds : forever)) {
    try {
      pass();
    } catch (const std::exception& problem) {
      fail_running(problem.what());
    }
  }
  {
    const std::lock_guard<std::mutex> lock(close_mutex_);
    has_ended_ = true;
  }
  ended_.notify_all();
}

void Loop::pass() {
  end_cancelled();
  settle();
  take_in();
  is_stalled_ = false;
  if (order_.empty()) return;
  try {
    while (num_flights_ < flights_.size() && launch_next()) {
    }
    TTSRT_CHECK(InternalError, num_flights_ > 0 || !has_live_requests(),
                "the scheduler found nothing to run for ", order_.size(), " requests");
    is_stalled_ = num_flights_ == 0;
    if (num_flights_ > 0) collect_oldest();
    begin_rounds();
  } catch (const DeviceError& problem) {
    fail_device(problem.what());
  }
  settle();
}

std::int32_t Loop::num_active() const { return static_cast<std::int32_t>(order_.size()); }

// Whether there is one to launch, which is not one that waits for its text. Where those that ran
// have all failed, paused ones resume in the next pass.
bool Loop::has_live_requests() const {
  const std::vector<Ranking::Entry>& entries = ranking_.entries();
  return std::any_of(entries.begin(), entries.end(), [this](const Ranking::Entry& of) {
    const Sequence& sequence = *slots_[static_cast<std::size_t>(of.slot)];
    return !of.is_paused && !sequence.end.has_value() && !sequence.waits_for_text();
  });
}

// Takes waiting requests and resumes paused ones while there are places, the larger priority first.
void Loop::take_in() {
  for (;;) {
    if (take_waiting()) continue;
    const std::optional<Ranking::Entry> paused = ranking_.next_resumed();
    if (!paused.has_value()) return;
    ranking_.resume(paused->slot);
    intake_.count(replica_, load(),
                  [&](StatsBook& stats) { stats.count_paused(replica_, ranking_.num_paused()); });
  }
}

// Takes a request that waits if the intake has one for this replica: one that may go before those
// that are paused, and for which there is a place, or one of a lower priority that pauses for it,
// and blocks. Whether it has left the queue.
bool Loop::take_waiting() {
  const Load before = load();
  if (!before.has_room()) return false;
  const bool pauses = before.free_places == 0;
  std::optional<Pending> pending = intake_.take_next(replica_, before);
  if (!pending.has_value()) return false;
  const std::shared_ptr<Channel> channel = pending->channel;
  const Clock::time_point submitted = pending->submitted;
  try {
    const std::optional<Ranking::Entry> loser = ranking_.next_paused();
    start(std::move(*pending));
    if (pauses && loser.has_value()) pause(loser->slot);
  } catch (const std::exception& problem) {  // no memory for it
    Pending failed;
    failed.channel = channel;
    failed.submitted = submitted;
    end_pending(std::move(failed), FinishReason::error, problem.what());
  }
  return true;
}

// Leaves a request out of the plans from the next one on.
void Loop::pause(std::int32_t slot) {
  ranking_.pause(slot);
  intake_.count(replica_, load(), [&](StatsBook& stats) {
    stats.count_preempted();
    stats.count_paused(replica_, ranking_.num_paused());
  });
}

// What the intake must know to choose a replica.
Load Loop::load() const {
  if (has_failed_) return {};
  Load load;
  load.slots = static_cast<std::int32_t>(slots_.size());
  load.used_slots = num_active();
  load.free_places = ranking_.num_places();
  load.blocks = pool_.num_blocks();
  load.promised_blocks = promised_blocks();
  const std::optional<Ranking::Entry> rival =
      load.free_places > 0 ? ranking_.next_resumed() : ranking_.next_paused();
  if (rival.has_value()) load.rival = rival->priority;
  return load;
}

// Drops idle prefixes so that a request of so many blocks at worst, which fits, finds its blocks.
// Kept always: free blocks + idle prefixes >= what those that run may still take. So taking never
// fails.
void Loop::make_room(std::int32_t blocks) {
  std::int32_t held = prefixes_.used_blocks();  // by those that run; all prefixes have theirs
  for (const std::int32_t slot : order_) {
    const Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    held += sequence.tables[0].size() + sequence.tables[1].size();
    for (const step::Stop& stop : sequence.stops()) {
      if (sequence.is_forked[index_of(stop.branch)])
        held -= shared_blocks(stop, pool_.block_size());
    }
  }
  prefixes_.make_room(std::max(promised_blocks() + blocks - held, 0));
}

void Loop::start(Pending&& pending) {
  const std::int32_t blocks = pending.blocks;
  make_room(blocks);
  const std::int32_t slot = free_slots_.back();
  auto sequence = std::make_unique<Sequence>(std::move(pending), slot, site_, options_.trace);
  sequence->started = Clock::now();
  for (BlockTable& table : sequence->tables) {
    table = BlockTable(pool_);
    table.reserve(blocks * pool_.block_size());
  }
  for (std::size_t i = 0; i < sequence->prefixes.size(); ++i) {
    const std::optional<step::PrefixKey>& shared = sequence->stops()[i].shared;
    if (shared.has_value()) sequence->prefixes[i] = &prefixes_.acquire(*shared);
  }
  own_blocks_ += sequence->own_blocks();
  slots_[static_cast<std::size_t>(slot)] = std::move(sequence);
  order_.push_back(slot);
  ranking_.add(slot, slots_[static_cast<std::size_t>(slot)]->request.priority);
  free_slots_.pop_back();
}

// Plans and launches; false where there is nothing to launch before a launch is collected.
bool Loop::launch_next() {
  Flight& flight = flights_[(first_flight_ + num_flights_) % flights_.size()];
  flight.begin = Clock::now();
  try {
    if (!is_adopted_) adopt_thread();
    if (!plan(flight.plan)) return false;
    build_batch(flight.plan, slots_, site_, flight.batch);
    flight.ticket = network_->launch(flight.batch);
  } catch (const DeviceError&) {
    throw;
  } catch (const std::exception& problem) {  // costs the requests that were in it
    if (flight.plan.is_empty()) throw;
    fail_plan(flight.plan, problem.what());
    return true;
  }
  ++num_flights_;  // from here on collect_oldest() balances Sequence::flights, whatever throws
  book_launch(flight);
  return true;
}

bool Loop::plan(step::StepPlan& plan) {
  plan.clear(site_.programs.size());  // where guessing fails, nothing was launched
  guess();
  const std::optional<std::int32_t> urgent = urgent_priority();
  plan_from(urgent.value_or(std::numeric_limits<std::int32_t>::min()), plan);
  if (plan.is_empty() && urgent.has_value())  // it waits for a launch that isn't collected
    plan_from(std::numeric_limits<std::int32_t>::min(), plan);
  return !plan.is_empty();
}

// Plans for those that run with at least this priority.
void Loop::plan_from(std::int32_t priority, step::StepPlan& plan) {
  plan.clear(site_.programs.size());
  views_.clear();
  const auto active = static_cast<std::int32_t>(
      std::count_if(ranking_.entries().begin(), ranking_.entries().end(),
                    [](const Ranking::Entry& of) { return !of.is_paused; }));
  for (const Ranking::Entry& of : ranking_.entries()) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(of.slot)];
    const bool is_wanted = !of.is_paused && of.priority >= priority && !sequence.end.has_value();
    if (!is_wanted) continue;
    sequence.draft(active < sequence.request.speculation.speculate_below);
    views_.push_back(sequence.view());
  }
  scheduler_.plan(views_, split_, budget_, plan);
}

// Under preemption, the largest priority of those that have not been launched for their first step:
// lower priorities stay out of the launches until then, so that the first frame takes as long as in
// an idle executor.
std::optional<std::int32_t> Loop::urgent_priority() const {
  if (network_->info().paused_slots == 0) return std::nullopt;
  for (const Ranking::Entry& of : ranking_.entries()) {
    const Sequence& sequence = *slots_[static_cast<std::size_t>(of.slot)];
    if (of.is_paused || sequence.end.has_value()) continue;
    if (sequence.stepwise >= 0 && sequence.planned_steps() == 0) return of.priority;
  }
  return std::nullopt;
}

// What is launched counts as done for the plans to come.
void Loop::book_launch(const Flight& flight) {
  for (const std::int32_t slot : order_)
    slots_[static_cast<std::size_t>(slot)]->is_scheduled = false;
  for (const step::PlanItem& item : flight.plan.items) {
    if (item.slot == step::kNoSlot) continue;
    Sequence& sequence = *slots_[static_cast<std::size_t>(item.slot)];
    sequence.is_scheduled = true;
    ++sequence.flights;  // once for each item, as collect_oldest() counts down
    if (flight.plan.pauses_in(item.program)) continue;
    StopProgress& progress = sequence.progress_of(item.stop);
    if (Prefix* prefix = sequence.prefix_of(item.stop)) {
      prefix->planned = std::max(prefix->planned, item.first + item.rows);
    } else if (site_.program(sequence.stop(item.stop)).pace == step::Pace::chunked) {
      progress.planned_rows = item.first + item.rows;
    } else {
      ++progress.planned_repeats;
      if (item.stop == sequence.stepwise) ++sequence.open_steps;
    }
  }
  book_split(flight.plan);
}

// Whole Programs that stopped between two parts go on from there.
void Loop::book_split(const step::StepPlan& plan) {
  for (std::size_t program = 0; program < split_.size(); ++program) {
    SplitBatch& split = split_[program];
    split.members.clear();
    split.next_part = 0;
    if (!plan.programs[program].pauses) continue;
    split.next_part = plan.programs[program].last;
    for (const step::PlanItem& item : plan.items) {
      if (static_cast<std::size_t>(item.program) == program)
        split.members.push_back({item.slot, item.stop, item.rows});
    }
  }
}

// Throws DeviceError if the network can't bind this thread, for example because its cores were
// taken away.
void Loop::adopt_thread() {
  try {
    network_->adopt_thread();
    if (draft_ != nullptr) draft_->adopt_thread();
  } catch (const std::exception& problem) {
    throw DeviceError(problem.what());
  }
  is_adopted_ = true;
}

void Loop::collect_oldest() {
  Flight& flight = flights_[first_flight_];
  first_flight_ = (first_flight_ + 1) % flights_.size();
  --num_flights_;
  for (const step::PlanItem& item : flight.plan.items) {
    if (item.slot == step::kNoSlot) continue;
    Sequence& sequence = *slots_[static_cast<std::size_t>(item.slot)];
    --sequence.flights;
    if (item.stop == sequence.stepwise) --sequence.open_steps;
  }
  std::int64_t frames = 0;
  double device_seconds = 0.0;
  std::int32_t num_threads = 0;
  try {
    const step::StepOutput& output = network_->collect(flight.ticket);
    end_faulty(flight.plan, output);
    frames = commit(flight.plan, flight.batch, output, slots_, site_);
    speed_.learn(flight.plan, flight.batch, output, site_, budget_);
    device_seconds = std::accumulate(output.seconds.begin(), output.seconds.end(), 0.0);
    num_threads = output.num_threads;
  } catch (const DeviceError&) {
    throw;
  } catch (const std::exception& problem) {
    break_prefixes(flight.plan, problem.what());
    fail_plan(flight.plan, problem.what());
  }
  publish(flight, frames, device_seconds, num_threads);
  last_commit_ = Clock::now();
}

// Begins the next round of each request whose last round has no launch in flight, and the next part
// of what follows its codes.
void Loop::begin_rounds() {
  for (const std::int32_t slot : order_) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    if (sequence.end.has_value()) continue;
    try {
      if (const TextFeed* feed = sequence.channel->feed()) {
        take_text(sequence);
        const std::optional<std::string> failure = feed->failure();
        if (failure.has_value() && sequence.request.itinerary.rounds.later > 0)
          mark(sequence, FinishReason::error, *failure);
        if (sequence.end.has_value() || end_if_complete(sequence)) continue;
      }
      if (begin_part(sequence) && end_if_complete(sequence)) continue;
      if (!can_begin_round(sequence)) continue;
      begin_round(sequence, site_.facts);
      if (sequence.has_new_silence) sequence.channel->push(next_event(sequence, site_.facts));
    } catch (const std::exception& problem) {  // no memory for it
      mark(sequence, FinishReason::error, problem.what());
    }
  }
}

void Loop::publish(const Flight& flight, std::int64_t frames, double device_seconds,
                   std::int32_t num_threads) {
  const Clock::time_point begin = std::max(flight.begin, last_commit_);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  SpeculationStats speculation;
  for (const std::int32_t slot : order_) {
    Sequence& sequence = *slots_[static_cast<std::size_t>(slot)];
    if (sequence.drafting != nullptr) sequence.drafting->tell(speculation);
  }
  const Iteration iteration{flight.plan, site_,          slots_,      order_,     frames,
                            seconds,     device_seconds, num_threads, speculation};
  intake_.count([&](StatsBook& stats) { stats.publish(replica_, iteration); });
}

}  // namespace ttsrt::executor
