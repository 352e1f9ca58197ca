// The running thing: owns the device, the caches and the loop thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/engine.h"
#include "ttsrt/options.h"
#include "ttsrt/request.h"
#include "ttsrt/stats.h"

namespace ttsrt {

class ExecutorImpl;
struct Ticketed;

/// One request in flight. Copies share it. Dropping every copy cancels the request.
class Handle {
 public:
  Handle() = default;

  /// The next event, waiting for it; nothing after the last. A failed request's last event says
  /// "error". Like all that waits or asks, throws ConfigError where the handle is empty.
  std::optional<Event> next();
  /// As next(), but gives up after `timeout`; `timed_out` tells the two kinds of nothing apart.
  /// Throws ConfigError where the timeout is negative or not a number.
  std::optional<Event> next_for(std::chrono::duration<double> timeout, bool& timed_out);
  /// The whole result, waiting for it; nothing on a time-out. Throws ConfigError where the timeout
  /// is negative or not a number.
  std::optional<Result> result(std::optional<double> timeout_seconds = std::nullopt);
  /// Asks for the end; idempotent; what was made is kept.
  void cancel();
  bool is_done() const;
  std::uint64_t id() const;

 private:
  friend class Executor;
  friend class Selector;
  explicit Handle(std::shared_ptr<Ticketed> ticketed) : ticketed_(std::move(ticketed)) {}
  std::shared_ptr<Ticketed> ticketed_;
};

/// What the executor took for itself.
struct ExecutorInfo {
  std::string device;       ///< what "auto" chose, too
  std::string description;  ///< instruction set, threads
  std::string kv_cache_dtype;
  std::uint64_t weight_bytes = 0;
  std::uint64_t state_bytes = 0;  ///< caches and slots
  std::uint64_t activation_bytes = 0;
};

/// Runs requests, many at once. All methods are thread safe.
class Executor {
 public:
  explicit Executor(const Engine& engine, const ExecutorOptions& options = {});
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Checks the request against the engine and queues it. Throws ConfigError (a bad request),
  /// CapacityError (the queue is full, or the request may need more cache than there is),
  /// ClosedError, DeviceError (the device failed before).
  Handle submit(Request request);
  /// submit and wait; throws InternalError where the request failed.
  Result generate(Request request);

  /// Names a voice: rows as the decoder takes them [rows, dim]. Throws ConfigError for a name in
  /// use, a bad shape or a model that takes no rows; ClosedError.
  void add_voice(const std::string& name, Matrix<float> embeddings);
  /// The same of codec codes, special columns included [frames, codebooks], as a request's
  /// context_codes: a hundredth of the memory of embeddings. Throws as add_voice.
  void add_voice_codes(const std::string& name, Matrix<std::int32_t> codes);
  /// Forgets a voice; requests that use it go on. Throws ConfigError where there is none.
  void remove_voice(const std::string& name);
  std::vector<std::string> voices() const;

  ExecutorStats stats() const;
  const ExecutorInfo& info() const;
  const Engine& engine() const;

  /// No more submissions. `drain`: what is accepted is finished first, else cancelled. Idempotent;
  /// waits.
  void close(bool drain = false);

 private:
  std::unique_ptr<ExecutorImpl> impl_;
};

}  // namespace ttsrt
