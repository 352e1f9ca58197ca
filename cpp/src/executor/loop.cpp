#include "executor/loop.h"

#include <algorithm>

#include "core/check.h"
#include "executor/batch_builder.h"
#include "executor/commit.h"

namespace ttsrt::executor {

Loop::Loop(std::unique_ptr<model::Network> network, const LoopOptions& options)
    : network_(std::move(network)),
      options_(options),
      pool_(network_->info().num_blocks, network_->info().block_size),
      prefixes_(pool_),
      stats_(network_->info().slots, options.iter_stats_max_iterations, pool_) {
  const model::NetworkInfo& info = network_->info();
  for (std::int32_t slot = info.slots - 1; slot >= 0; --slot) free_slots_.push_back(slot);
  running_.reserve(static_cast<std::size_t>(info.slots));
  places_.reserve(static_cast<std::size_t>(info.slots));
  budget_.max_rows = info.facts.max_rows;
  budget_.seconds = options.prefill_slice_seconds;
  budget_.num_parts = info.num_parts;
  thread_ = std::thread([this] { run(); });
}

Loop::~Loop() { close(false); }

void Loop::submit(Pending pending) {
  const std::int32_t blocks = worst_case(pending.request);
  TTSRT_CHECK(CapacityError, blocks <= pool_.num_blocks(), "submit: the request may need ", blocks,
              " cache blocks, there are ", pool_.num_blocks());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    check_room();
    waiting_.push_back(std::move(pending));
    stats_.count_submitted(waiting_.size());
  }
  changed_.notify_one();
}

void Loop::check_accepts() {
  const std::lock_guard<std::mutex> lock(mutex_);
  check_room();
}

// The lock is held.
void Loop::check_room() {
  TTSRT_CHECK(DeviceError, device_failure_.empty(),
              "submit: the device failed before: ", device_failure_);
  TTSRT_CHECK(ClosedError, state_ == State::running, "submit: the executor is closed");
  const bool is_full = waiting_.size() >= static_cast<std::size_t>(options_.max_queue_size);
  if (is_full) stats_.count_refused();
  TTSRT_CHECK(CapacityError, !is_full, "submit: the queue is full: ", options_.max_queue_size,
              " requests wait (max_queue_size)");
}

void Loop::check_open(const char* call) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  TTSRT_CHECK(ClosedError, state_ == State::running, call, ": the executor is closed");
}

ExecutorStats Loop::stats() const {
  std::vector<StageTimes> stages = network_->stage_times();  // while the lock is free
  const std::lock_guard<std::mutex> lock(mutex_);
  ExecutorStats stats = stats_.snapshot();
  stats.stages = std::move(stages);
  stats.requests.reserve(stats.requests.size() + waiting_.size());
  for (const Pending& pending : waiting_) stats.requests.push_back({.id = pending.channel->id()});
  return stats;
}

void Loop::close(bool drain) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::closing) state_ = drain ? State::draining : State::closing;
  }
  changed_.notify_one();
  const std::lock_guard<std::mutex> lock(close_mutex_);
  if (thread_.joinable()) thread_.join();
}

bool Loop::wait_for_work() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock,
                [&] { return !running_.empty() || !waiting_.empty() || state_ != State::running; });
  return !running_.empty() || !waiting_.empty();
}

// What escapes a pass (out of memory, a broken promise) costs the requests in flight, not the
// process.
void Loop::run() {
  while (wait_for_work()) {
    try {
      drop_ended();
      take_in();
      if (!running_.empty()) step();
    } catch (const std::exception& problem) {
      fail_running(problem.what());
    }
  }
}

void Loop::count_ended(std::uint64_t id, FinishReason reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stats_.count_ended(id, reason, num_active());
}

std::int32_t Loop::num_active() const {
  return network_->info().slots - static_cast<std::int32_t>(free_slots_.size());
}

void Loop::reject(Pending& pending, FinishReason reason, const std::string& why) {
  count_ended(pending.channel->id(), reason);
  const std::shared_ptr<Channel> channel = pending.channel;
  try {
    Sequence never_ran(std::move(pending), -1, network_->info().facts, false);
    never_ran.started = Clock::now();
    finish(never_ran, reason, why, network_->info().facts);
  } catch (const std::exception&) {
    channel->abandon();
  }
}

// Takes waiting requests while there are slots and blocks: larger priority first, older first among
// equals.
void Loop::take_in() {
  for (;;) {
    std::optional<Pending> chosen;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (waiting_.empty() || free_slots_.empty()) return;
      auto best = waiting_.begin();
      for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
        if (at->request.priority > best->request.priority) best = at;
      }
      if (best->channel->is_cancelled() ||
          is_expired(best->request.deadline, best->submitted, Clock::now()))
        return;  // next step
      if (!reserves(best->request)) return;
      chosen = std::move(*best);
      waiting_.erase(best);
      stats_.count_queued(waiting_.size());
      stats_.count_started(chosen->channel->id(),
                           std::chrono::duration<double>(Clock::now() - chosen->submitted).count());
    }
    const std::shared_ptr<Channel> channel = chosen->channel;
    try {
      admit(std::move(*chosen));
    } catch (const std::exception& problem) {
      refuse(*channel, problem.what());
    }
  }
}

// Blocks a request may come to hold: both branches at full length, and the prefix they fork.
std::int32_t Loop::worst_case(const PreparedRequest& request) const {
  const std::int32_t branch = pool_.blocks_for(request.context.rows + request.rules.max_steps);
  return request.rules.is_guided ? 2 * branch + pool_.blocks_for(request.context.rows) : branch;
}

// Whether the worst case of a request fits beside the worst cases of those that run. Kept always:
// free blocks + idle prefixes >= what those that run may still take. So taking never fails.
bool Loop::reserves(const PreparedRequest& request) {
  std::int32_t promised = worst_case(request);
  std::int32_t held = 0;  // by those that run
  for (const auto& sequence : running_) {
    promised += worst_case(sequence->request);
    held += sequence->conditional.size() + sequence->unconditional.size();
  }
  if (promised > pool_.num_blocks()) return false;
  prefixes_.make_room(std::max(promised - held, 0));
  return true;
}

// A request that couldn't even be set up ends with what went wrong.
void Loop::refuse(Channel& channel, const std::string& why) {
  count_ended(channel.id(), FinishReason::error);
  Event last;
  last.is_last = true;
  last.finish_reason = FinishReason::error;
  last.codes.cols = network_->info().facts.codebooks;
  try {
    Result result;
    result.finish_reason = FinishReason::error;
    result.error = why;
    result.codes.cols = last.codes.cols;
    channel.finish(std::move(last), std::move(result));
  } catch (const std::exception&) {  // no memory for the result
    channel.abandon();
  }
}

void Loop::admit(Pending&& pending) {
  auto sequence = std::make_unique<Sequence>(std::move(pending), free_slots_.back(),
                                             network_->info().facts, options_.trace);
  const std::int32_t rows = sequence->context_rows();
  const std::int32_t positions = rows + sequence->request.rules.max_steps;
  sequence->started = Clock::now();
  sequence->conditional = BlockTable(pool_);
  sequence->unconditional = BlockTable(pool_);
  sequence->conditional.reserve(positions);
  sequence->unconditional.reserve(positions);
  if (sequence->is_guided() && rows > 0 && network_->info().facts.shares_unconditional)
    sequence->prefix = &prefixes_.acquire(rows);
  running_.push_back(std::move(sequence));
  free_slots_.pop_back();
}

// Ends a running sequence and leaves it null, whatever happens: a slot must not be freed twice. Its
// slot and blocks are free, and counted so, before its caller hears of it.
void Loop::end(std::unique_ptr<Sequence>& sequence, FinishReason reason, const std::string& why) {
  const std::unique_ptr<Sequence> ended = std::move(sequence);
  if (ended->prefix != nullptr) prefixes_.release(*ended->prefix);
  ended->conditional.clear();
  ended->unconditional.clear();
  free_slots_.push_back(ended->slot);
  count_ended(ended->channel->id(), reason);
  try {
    finish(*ended, reason, why, network_->info().facts);
  } catch (const std::exception&) {  // no memory for the result
    ended->channel->abandon();
  }
}

// Ends what was cancelled or ran out of time, waiting or running.
void Loop::drop_ended() {
  const Clock::time_point now = Clock::now();
  std::vector<Pending> ended;
  bool closes = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closes = state_ == State::closing;
    const auto is_over = [&](const Pending& of) {
      return closes || of.channel->is_cancelled() ||
             is_expired(of.request.deadline, of.submitted, now);
    };
    if (std::any_of(waiting_.begin(), waiting_.end(), is_over)) {
      ended.reserve(waiting_.size());  // before any of them moves
      const auto first = std::stable_partition(waiting_.begin(), waiting_.end(),
                                               [&](const Pending& of) { return !is_over(of); });
      std::move(first, waiting_.end(), std::back_inserter(ended));
      waiting_.erase(first, waiting_.end());
      stats_.count_queued(waiting_.size());
    }
  }
  for (Pending& pending : ended) {
    const bool is_cancelled = closes || pending.channel->is_cancelled();
    reject(pending, is_cancelled ? FinishReason::cancelled : FinishReason::deadline, "");
  }
  for (auto& sequence : running_) {
    const bool is_cancelled = closes || sequence->channel->is_cancelled();
    const bool is_late = is_expired(sequence->request.deadline, sequence->submitted, now);
    if (!is_cancelled && !is_late) continue;
    end(sequence, is_cancelled ? FinishReason::cancelled : FinishReason::deadline, "");
  }
  close_ranks();
}

void Loop::step() {
  const Clock::time_point begin = Clock::now();
  const step::ModelFacts& facts = network_->info().facts;
  std::int64_t frames = 0;
  try {
    if (!is_adopted_) adopt();
    plan();
    build_batch(plan_, running_, facts, batch_);
    const step::StepOutput& output = network_->collect(network_->launch(batch_));
    frames = commit(plan_, batch_, output, running_, facts);
    keep_paused();
    learn_row_seconds(output);
  } catch (const DeviceError& problem) {
    fail_all(problem.what());
  } catch (const std::exception& problem) {
    fail_planned(problem.what());
  }
  publish(frames, std::chrono::duration<double>(Clock::now() - begin).count());
  for (auto& sequence : running_) {
    if (sequence->end.has_value()) end(sequence, *sequence->end, "");
  }
  close_ranks();
}

// The cores that were there when the executor opened may be gone: then the device is.
void Loop::adopt() {
  try {
    network_->adopt_thread();
  } catch (const std::exception& problem) {
    throw DeviceError(problem.what());
  }
  is_adopted_ = true;
}

void Loop::plan() {
  plan_ = {};
  views_.clear();
  for (const auto& sequence : running_) {
    views_.push_back(sequence->view());
    sequence->is_scheduled = false;
  }
  plan_ = plan_step(views_, paused_, budget_);
  TTSRT_CHECK(InternalError, !plan_.is_empty(), "the scheduler found nothing to run for ",
              running_.size(), " requests");
  for (const step::PlanItem& item : plan_.items) {
    if (item.sequence != step::kNobody)
      running_[static_cast<std::size_t>(item.sequence)]->is_scheduled = true;
  }
}

// Encoders that stopped between two layers go on from there.
void Loop::keep_paused() {
  for (std::size_t c = 0; c < paused_.size(); ++c) {
    PausedBatch& paused = paused_[c];
    paused = {};
    if (!plan_.pauses[c]) continue;
    paused.next_part = plan_.parts[c].last;
    for (const step::PlanItem& item : plan_.items) {
      if (static_cast<std::size_t>(item.row_class) == c)
        paused.members.push_back({item.sequence, item.rows});
    }
  }
}

// What a row takes in one part of each class's Program, smoothed: the machine's speed changes.
void Loop::learn_row_seconds(const step::StepOutput& output) {
  constexpr double kNewest = 0.25;
  for (std::size_t c = 0; c < output.seconds.size(); ++c) {
    const step::RowBatch& rows = batch_.classes[c];
    if (rows.rows == 0 || output.seconds[c] <= 0.0) continue;
    const std::int32_t parts = std::min(rows.last_part, budget_.num_parts[c]) - rows.first_part;
    const double seen = output.seconds[c] / rows.rows / std::max(parts, 1);
    double& known = budget_.row_seconds[c];
    known = known > 0.0 ? known + kNewest * (seen - known) : seen;
  }
}

// Forgets those that ended; who stays moves up, in paused batches too.
void Loop::close_ranks() {
  std::int32_t next = 0;
  places_.assign(running_.size(), step::kNobody);  // reserved: this runs where memory is short, too
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (running_[i] != nullptr) places_[i] = next++;
  }
  std::erase(running_, nullptr);
  for (PausedBatch& paused : paused_) {
    bool is_wanted = false;
    for (PausedBatch::Member& member : paused.members) {
      if (member.sequence != step::kNobody)
        member.sequence = places_[static_cast<std::size_t>(member.sequence)];
      is_wanted |= member.sequence != step::kNobody;
    }
    if (!is_wanted) paused = {};
  }
}

// A failed launch costs the requests that were in it; the executor goes on.
void Loop::fail_planned(const std::string& why) {
  for (const step::PlanItem& item : plan_.items) {
    if (item.sequence == step::kNobody) continue;
    auto& sequence = running_[static_cast<std::size_t>(item.sequence)];
    if (sequence != nullptr) end(sequence, FinishReason::error, why);
  }
  if (plan_.is_empty()) fail_running(why);  // nobody's launch in particular
  close_ranks();
  prefixes_.forget_progress();
}

void Loop::fail_running(const std::string& why) {
  for (auto& sequence : running_) {
    if (sequence != nullptr) end(sequence, FinishReason::error, why);
  }
  close_ranks();
  prefixes_.forget_progress();
}

// The device is gone: nothing can run here any more.
void Loop::fail_all(const std::string& why) {
  std::deque<Pending> waiting;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    device_failure_ = why;
    waiting.swap(waiting_);
    stats_.count_queued(0);
  }
  fail_running(why);
  for (Pending& pending : waiting) reject(pending, FinishReason::error, why);
}

void Loop::publish(std::int64_t frames, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stats_.publish(plan_, num_active(), running_, network_->info().facts.codebooks, frames, seconds);
}

}  // namespace ttsrt::executor
