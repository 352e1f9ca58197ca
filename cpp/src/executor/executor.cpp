// The public Executor: composes voices, checks and the replicas.
#include "ttsrt/executor.h"

#include <algorithm>
#include <atomic>

#include "backends.h"
#include "core/check.h"
#include "core/process.h"
#include "executor/courier.h"
#include "executor/drafting.h"
#include "executor/replicas.h"
#include "executor/request_check.h"
#include "executor/request_text.h"
#include "executor/voices.h"

namespace ttsrt {
namespace {

constexpr double kMaxSlice = 3600.0;  // seconds
constexpr std::int32_t kMaxIterations = 1 << 14;

void check_options(const ExecutorOptions& options) {
  TTSRT_CHECK(
      ConfigError,
      options.iter_stats_max_iterations >= 0 && options.iter_stats_max_iterations <= kMaxIterations,
      "iter_stats_max_iterations: expected 0 to ", kMaxIterations, ", got ",
      options.iter_stats_max_iterations);
  TTSRT_CHECK(ConfigError,
              options.prefill_slice_seconds >= 0.0 &&  // not true of NaN
                  options.prefill_slice_seconds <= kMaxSlice,
              "prefill_slice_seconds: expected 0 (no limit) to ", kMaxSlice, ", got ",
              options.prefill_slice_seconds);
  TTSRT_CHECK(ConfigError, options.max_queue_size >= 1 && options.max_queue_size <= (1 << 20),
              "max_queue_size: expected 1 to ", 1 << 20, ", got ", options.max_queue_size);
}

executor::LoopOptions loop_options(const ExecutorOptions& options) {
  return {.max_queue_size = options.max_queue_size,
          // A trace shows each stage whole, however slow the machine is.
          .prefill_slice_seconds = options.trace ? 0.0 : options.prefill_slice_seconds,
          .iter_stats_max_iterations = options.iter_stats_max_iterations,
          .trace = options.trace};
}

ReplicaInfo describe(const model::NetworkInfo& network) {
  ReplicaInfo info;
  info.device = network.device;
  info.description = network.description;
  info.weight_bytes = network.weight_bytes;
  info.state_bytes = network.state_bytes;
  info.activation_bytes = network.activation_bytes;
  info.scratch_bytes = network.scratch_bytes;
  info.cache_tokens = static_cast<std::uint64_t>(network.num_blocks) *
                      static_cast<std::uint64_t>(network.block_size);
  info.graph_bytes = network.graph_bytes;
  info.free_bytes = network.free_bytes;
  return info;
}

// The memory of a draft model's network is its replica's.
void add_draft(ReplicaInfo& info, const model::NetworkInfo& draft) {
  info.weight_bytes += draft.weight_bytes;
  info.state_bytes += draft.state_bytes;
  info.activation_bytes += draft.activation_bytes;
  info.scratch_bytes += draft.scratch_bytes;
  info.graph_bytes += draft.graph_bytes;
}

ExecutorInfo describe(const Engine& engine, const executor::Replicas& replicas,
                      std::uint64_t draft_weight_bytes) {
  const std::vector<const model::NetworkInfo*> networks = replicas.networks();
  const std::vector<const model::NetworkInfo*> drafts = replicas.drafts();
  ExecutorInfo info;
  info.kv_cache_dtype = name_of(networks.front()->cache_dtype);
  bool reads_host = false;
  for (const model::NetworkInfo* network : networks) {
    const bool is_first = info.replicas.empty();
    ReplicaInfo replica = describe(*network);
    reads_host = reads_host || replica.weight_bytes == 0;
    if (!drafts.empty()) add_draft(replica, *drafts.at(info.replicas.size()));
    info.device += (is_first ? "" : ",") + replica.device;
    info.description += (is_first ? "" : "; ") + replica.description;
    info.max_batch_size += network->slots - network->paused_slots;
    info.max_paused_requests += network->paused_slots;
    info.weight_bytes += replica.weight_bytes;
    info.state_bytes += replica.state_bytes;
    info.activation_bytes += replica.activation_bytes;
    info.scratch_bytes += replica.scratch_bytes;
    info.graph_bytes += replica.graph_bytes;
    info.cache_tokens += replica.cache_tokens;
    info.replicas.push_back(replica);
  }
  if (reads_host) info.weight_bytes += engine.info().weight_bytes + draft_weight_bytes;
  return info;
}

// The device of all replicas, or a list of several devices.
std::string place_of(const ExecutorInfo& info) {
  const std::string& first = info.replicas.front().device;
  const bool is_one = std::all_of(info.replicas.begin(), info.replicas.end(),
                                  [&](const ReplicaInfo& of) { return of.device == first; });
  return is_one ? first : info.device;
}

}  // namespace

class ExecutorImpl {
 public:
  ExecutorImpl(const Engine& the_engine, const ExecutorOptions& options)
      : ExecutorImpl(the_engine, options, open_model(the_engine, options)) {}

  // Whether all loops have ended and all callbacks have run; waits for that, at most `timeout`
  // seconds if given. Does nothing in a forked child.
  bool close(bool drain, std::optional<double> timeout) {
    if (!home.is_here()) return true;
    const executor::Clock::time_point begin = executor::Clock::now();
    if (!replicas.close(drain, timeout)) return false;
    if (timeout.has_value()) {
      const std::chrono::duration<double> waited = executor::Clock::now() - begin;
      timeout = std::max(*timeout - waited.count(), 0.0);
    }
    return courier.close(timeout);
  }

  const HomeProcess home;
  const Engine engine;
  const std::unique_ptr<const model::Itineraries> itineraries;
  executor::Replicas replicas;
  executor::VoiceBook voices;
  const ExecutorInfo info;
  const executor::SpeculationSite speculation;
  const std::string place;  // where the rows of a request may be besides the host
  executor::Courier courier;
  std::atomic<std::uint64_t> next_id{1};

 private:
  ExecutorImpl(const Engine& the_engine, const ExecutorOptions& options, OpenedModel model)
      : engine(the_engine),
        itineraries(std::move(model.itineraries)),
        replicas(std::move(model.networks), loop_options(options), std::move(model.drafter)),
        voices(*itineraries, std::move(model.voices)),
        info(describe(the_engine, replicas, model.draft_weight_bytes)),
        speculation{model.speculation.rules, model.speculation.refusal,
                    !options.draft_engine.empty()},
        place(place_of(info)) {}
};

Executor::Executor(const Engine& engine, const ExecutorOptions& options) {
  check_options(options);
  impl_ = std::make_unique<ExecutorImpl>(engine, options);
}

Executor::~Executor() {
  if (impl_->home.is_here()) {
    impl_->close(false, std::nullopt);
  } else {
    const ExecutorImpl* left = impl_.release();
    static_cast<void>(left);
  }
}

Handle Executor::submit(Request request) {
  executor::Pending pending;
  pending.submitted = executor::Clock::now();
  impl_->home.check("submit");
  impl_->replicas.check_accepts();
  executor::check_places(request, impl_->place);
  executor::resolve_context_text(request, impl_->engine.front_end().get());
  executor::SpokenText spoken = executor::resolve_text(request, impl_->engine.front_end().get(),
                                                       impl_->engine.info().max_encoder_input_len);
  const std::optional<Speculation> speculation = request.speculation;
  pending.request = executor::prepare(std::move(request), *impl_->itineraries, impl_->voices);
  pending.request.spoken = std::move(spoken);
  pending.request.speculation =
      executor::speculation_of(speculation, impl_->speculation, pending.request.itinerary);
  for (const model::NetworkInfo* network : impl_->replicas.networks())
    executor::check_tokens(pending.request.itinerary, *network);
  pending.channel = make_channel(impl_->next_id.fetch_add(1));
  const step::Rounds& rounds = pending.request.itinerary.rounds;
  if (rounds.later > 0) pending.channel->open_feed(rounds);
  Handle handle(std::make_shared<Ticketed>(pending.channel));
  impl_->replicas.submit(std::move(pending));
  return handle;
}

Handle Executor::submit(Request request, EventCallback on_event) {
  TTSRT_CHECK(ConfigError, on_event != nullptr, "submit: on_event: expected a callback, got none");
  Handle handle = submit(std::move(request));
  impl_->courier.add(handle, std::move(on_event));
  return handle;
}

Result Executor::generate(Request request) {
  Handle handle = submit(std::move(request));
  std::optional<Result> result = handle.result();
  TTSRT_CHECK(InternalError, result.has_value(), "generate: a result is waited for without end");
  TTSRT_CHECK(InternalError, result->finish_reason != FinishReason::error,
              "generate: ", result->error);
  return std::move(*result);
}

std::vector<float> Executor::score(std::vector<std::int32_t> ids) {
  Request request;
  request.text_ids = std::move(ids);
  request.score = true;
  return std::move(generate(std::move(request)).nll);
}

void Executor::add_voice(const std::string& name, Matrix<float> embeddings) {
  impl_->home.check("add_voice");
  impl_->replicas.check_open("add_voice");
  impl_->voices.add(name, std::move(embeddings));
}
void Executor::add_voice_codes(const std::string& name, Matrix<std::int32_t> codes) {
  impl_->home.check("add_voice_codes");
  impl_->replicas.check_open("add_voice_codes");
  impl_->voices.add_codes(name, std::move(codes));
}
void Executor::add_voice_speaker(const std::string& name, Speaker speaker) {
  impl_->home.check("add_voice_speaker");
  impl_->replicas.check_open("add_voice_speaker");
  impl_->voices.add_speaker(name, std::move(speaker));
}
Matrix<float> Executor::voice_embeddings(const VoiceRef& voice) const {
  impl_->home.check("voice_embeddings");
  impl_->replicas.check_open("voice_embeddings");
  return impl_->itineraries->rows_of_voice(*impl_->voices.find(voice));
}
void Executor::remove_voice(const std::string& name) {
  impl_->home.check("remove_voice");
  impl_->voices.remove(name);
}
std::vector<std::string> Executor::voices() const {
  impl_->home.check("voices");
  return impl_->voices.names();
}
ExecutorStats Executor::stats() const {
  impl_->home.check("stats");
  ExecutorStats stats = impl_->replicas.stats();
  stats.num_voices = impl_->voices.count();
  stats.voice_bytes = impl_->voices.bytes();
  return stats;
}
const ExecutorInfo& Executor::info() const { return impl_->info; }
const Engine& Executor::engine() const { return impl_->engine; }

void Executor::close(bool drain) { impl_->close(drain, std::nullopt); }

bool Executor::close_for(std::chrono::duration<double> timeout, bool drain) {
  TTSRT_CHECK(ConfigError, timeout.count() >= 0.0,
              "close_for: timeout: expected seconds of 0 or more, got ", timeout.count());
  return impl_->close(drain, timeout.count());
}

}  // namespace ttsrt
