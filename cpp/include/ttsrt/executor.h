// The executor runs requests; it owns the device, the caches and the loop thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/engine.h"
#include "ttsrt/error.h"
#include "ttsrt/export.h"
#include "ttsrt/options.h"
#include "ttsrt/request.h"
#include "ttsrt/stats.h"

namespace ttsrt {

/// A request may need more cache than there is, so that submitting it again can't help. In Python a
/// CapacityError with `is_final`.
class TTSRT_API NeverFitsError : public CapacityError {
 public:
  using CapacityError::CapacityError;
};

class ExecutorImpl;
struct Ticketed;

/// One request in flight. Copies share it. Dropping every copy cancels the request. In a forked
/// child every method but id() throws ClosedError.
class TTSRT_API Handle {
 public:
  Handle() = default;

  /// Waits for the next event and returns it, or nothing after the last one. The last event of a
  /// failed request has the finish reason "error". Like all methods except the constructors, throws
  /// ConfigError if the handle is empty.
  std::optional<Event> next();
  /// As next(), but returns nothing after `timeout`; `timed_out` says which of the two it was.
  /// Throws ConfigError if the timeout is negative or not a number.
  std::optional<Event> next_for(std::chrono::duration<double> timeout, bool& timed_out);
  /// Waits for the whole result and returns it, or nothing after the timeout. Throws ConfigError if
  /// the timeout is negative or not a number.
  std::optional<Result> result(std::optional<double> timeout_seconds = std::nullopt);
  /// Cancels the request, which keeps the frames produced so far. May be called again.
  void cancel();
  /// Gives the ids of the next of Request::later_chunks; none for a chunk in which nothing is
  /// spoken. Throws ConfigError if there are no more, or for ids that a request could not have.
  void add_text(std::vector<std::int32_t> text_ids);
  /// Says that the rest of the text can't come: the request ends with this error, unless it has all
  /// of its text.
  void fail_text(const std::string& why);
  bool is_done() const;
  std::uint64_t id() const;

 private:
  friend class Executor;
  friend class Selector;
  explicit Handle(std::shared_ptr<Ticketed> ticketed) : ticketed_(std::move(ticketed)) {}
  std::shared_ptr<Ticketed> ticketed_;
};

/// Takes the events of a request as they are made; see Executor::submit.
using EventCallback = std::function<void(Handle&, Event)>;

/// The device and the memory of one replica.
struct ReplicaInfo {
  std::string device;
  std::string description;
  std::uint64_t weight_bytes = 0;  ///< of its own copy on a GPU; 0: it reads those of the host
  std::uint64_t state_bytes = 0;
  std::uint64_t activation_bytes = 0;
  std::uint64_t scratch_bytes = 0;
  std::uint64_t cache_tokens = 0;  ///< positions of its paged cache
  /// What CUDA took for the graphs of the launches and the code of the kernels, as measured while
  /// the replica started; others that used the GPU meanwhile change the number. 0: the CPU.
  std::uint64_t graph_bytes = 0;
  std::uint64_t free_bytes = 0;  ///< of the GPU's memory, once the replica had started; 0: the CPU
};

/// The devices and the memory of an executor; sums over its replicas.
struct ExecutorInfo {
  std::string device;       ///< the chosen device if the option was "auto"; "cpu,cpu" for two
  std::string description;  ///< instruction set, threads; of each replica
  std::string kv_cache_dtype;
  std::int32_t max_batch_size = 0;       ///< requests that run at once
  std::int32_t max_paused_requests = 0;  ///< requests that may be paused besides
  /// Of the copies that GPUs keep, and of the engine's file once if a replica reads it on the host.
  std::uint64_t weight_bytes = 0;
  std::uint64_t state_bytes = 0;  ///< caches and slots
  std::uint64_t activation_bytes = 0;
  std::uint64_t scratch_bytes = 0;    ///< packed inputs and what threads need beside activations
  std::uint64_t cache_tokens = 0;     ///< positions of the paged cache
  std::uint64_t graph_bytes = 0;      ///< as in ReplicaInfo
  std::vector<ReplicaInfo> replicas;  ///< in the order of ExecutorOptions::device
};

/// Runs many requests at once. All methods are thread safe.
///
/// With several devices (ExecutorOptions::device), each has a replica of the model, and all share
/// one queue and the voices. If a device fails, the requests that it ran end with an error that
/// names it; those that wait go to the others.
///
/// A forked child has none of the executor's threads. There every method throws ClosedError, except
/// info(), engine() and close(), which does nothing; destroying the executor is safe, and leaks it.
/// A new executor on the same engine works in the child.
class TTSRT_API Executor {
 public:
  explicit Executor(const Engine& engine, const ExecutorOptions& options = {});
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Checks the request against the engine and queues it. Throws ConfigError (the request is
  /// invalid), CapacityError (the queue is full), NeverFitsError (it may need more cache than
  /// exists), ClosedError, or DeviceError (the device failed before; of several, all did).
  Handle submit(Request request);
  /// As above, and passes each event to `on_event`, which next() then does not return. All
  /// callbacks of an executor run one after another on a thread of their own, which the first such
  /// call starts: one that takes long delays the others, but never the decoding. A callback may
  /// call any method of the handle and of the executor; close() does not wait for the callback that
  /// calls it. The request runs to its end even if every handle is dropped; cancel() ends it. The
  /// last event has `is_last`, and handle.result() then returns at once. A callback should not
  /// throw: if it does, the request is cancelled, and it gets no further event.
  Handle submit(Request request, EventCallback on_event);
  /// Submits a request and waits for its result; throws InternalError if the request failed.
  Result generate(Request request);

  /// Scores ids with a language model, as a request with `score` does: float32 [ids - 1],
  /// Result::nll. Throws as generate.
  std::vector<float> score(std::vector<std::int32_t> ids);

  /// Adds a voice of rows as the decoder takes them [rows, dim]. Throws ConfigError if the name is
  /// in use, the shape is wrong or the model takes no rows; or ClosedError.
  void add_voice(const std::string& name, Matrix<float> embeddings);
  /// Adds a voice of codec codes, including special columns [frames, codebooks], like a request's
  /// context_codes. It takes a hundredth of the memory of embeddings. Throws as add_voice.
  void add_voice_codes(const std::string& name, Matrix<std::int32_t> codes);
  /// Adds a voice that is made of a speaker embedding, in models that are conditioned on one.
  /// Throws as add_voice.
  void add_voice_speaker(const std::string& name, Speaker speaker);
  /// The rows of a voice as the decoder takes them [rows, dim]; add_voice takes them again. Throws
  /// ConfigError if there is no such voice, or it is kept as codec codes; or ClosedError.
  Matrix<float> voice_embeddings(const VoiceRef& voice) const;
  /// Removes a voice; requests that use it go on. Throws ConfigError if there is no such voice.
  void remove_voice(const std::string& name);
  std::vector<std::string> voices() const;

  ExecutorStats stats() const;
  const ExecutorInfo& info() const;
  const Engine& engine() const;

  /// Stops accepting requests and waits until all accepted requests have ended. With `drain` they
  /// run to their end; otherwise they are cancelled. Also waits until every event has been passed
  /// to its callback. May be called again.
  void close(bool drain = false);
  /// As close(), but waits for at most `timeout`, and returns whether all of that has ended. Call
  /// it again to go on waiting; without `drain`, what still runs is then cancelled. Throws
  /// ConfigError if the timeout is negative or not a number.
  bool close_for(std::chrono::duration<double> timeout, bool drain = false);

 private:
  std::unique_ptr<ExecutorImpl> impl_;
};

}  // namespace ttsrt
