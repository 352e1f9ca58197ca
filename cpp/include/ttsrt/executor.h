// The executor runs requests; it owns the device, the caches and the loop thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/engine.h"
#include "ttsrt/export.h"
#include "ttsrt/options.h"
#include "ttsrt/request.h"
#include "ttsrt/stats.h"

namespace ttsrt {

class ExecutorImpl;
struct Ticketed;

/// One request in flight. Copies share it. Dropping every copy cancels the request.
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
  bool is_done() const;
  std::uint64_t id() const;

 private:
  friend class Executor;
  friend class Selector;
  explicit Handle(std::shared_ptr<Ticketed> ticketed) : ticketed_(std::move(ticketed)) {}
  std::shared_ptr<Ticketed> ticketed_;
};

/// The device and the memory of an executor.
struct ExecutorInfo {
  std::string device;       ///< the chosen device if the option was "auto"
  std::string description;  ///< instruction set, threads
  std::string kv_cache_dtype;
  std::int32_t max_batch_size = 0;       ///< requests that run at once
  std::int32_t max_paused_requests = 0;  ///< requests that may be paused besides
  std::uint64_t weight_bytes = 0;
  std::uint64_t state_bytes = 0;  ///< caches and slots
  std::uint64_t activation_bytes = 0;
  std::uint64_t scratch_bytes = 0;  ///< packed inputs and what threads need beside activations
};

/// Runs many requests at once. All methods are thread safe.
class TTSRT_API Executor {
 public:
  explicit Executor(const Engine& engine, const ExecutorOptions& options = {});
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Checks the request against the engine and queues it. Throws ConfigError (the request is
  /// invalid), CapacityError (the queue is full, or the request may need more cache than exists),
  /// ClosedError, or DeviceError (the device failed before).
  Handle submit(Request request);
  /// Submits a request and waits for its result; throws InternalError if the request failed.
  Result generate(Request request);

  /// Adds a voice of rows as the decoder takes them [rows, dim]. Throws ConfigError if the name is
  /// in use, the shape is wrong or the model takes no rows; or ClosedError.
  void add_voice(const std::string& name, Matrix<float> embeddings);
  /// Adds a voice of codec codes, including special columns [frames, codebooks], like a request's
  /// context_codes. It takes a hundredth of the memory of embeddings. Throws as add_voice.
  void add_voice_codes(const std::string& name, Matrix<std::int32_t> codes);
  /// Removes a voice; requests that use it go on. Throws ConfigError if there is no such voice.
  void remove_voice(const std::string& name);
  std::vector<std::string> voices() const;

  ExecutorStats stats() const;
  const ExecutorInfo& info() const;
  const Engine& engine() const;

  /// Stops accepting requests and waits until all accepted requests have ended. With `drain` they
  /// run to their end; otherwise they are cancelled. May be called again.
  void close(bool drain = false);

 private:
  std::unique_ptr<ExecutorImpl> impl_;
};

}  // namespace ttsrt
