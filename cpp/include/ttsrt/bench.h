// Microbenchmarks: the peaks of a device, and the speed of single operations of the models on it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ttsrt/export.h"

namespace ttsrt {

/// The throughput that all threads of a device reach together in loops that do nothing else, with
/// the instructions that its kernels use. If the instruction set has no product of a type, the loop
/// does what the kernels do instead: bfloat16 is then widened to float32.
struct MachinePeaks {
  std::string isa;  ///< "avx512_bf16"
  std::int32_t num_threads = 0;
  double read_gb_per_s = 0.0;         ///< from memory, as measure_read; 1 GB is 1e9 bytes
  double cached_gb_per_s = 0.0;       ///< from the shared cache: measure_read of 16 MiB
  double float32_gflop_per_s = 0.0;   ///< a multiply-add counts 2
  double bfloat16_gflop_per_s = 0.0;  ///< products of bfloat16, sums in float32
  double int8_gop_per_s = 0.0;        ///< products of int8, sums in int32
};

/// Measures for about `seconds`. It uses the whole device, so nothing else should run.
/// `device` and `num_threads` are as in ExecutorOptions. Throws ConfigError for a device without
/// peaks ("reference") or for `seconds` outside 0.001 to 60.
TTSRT_API MachinePeaks measure_peaks(const std::string& device = "cpu",
                                     std::int32_t num_threads = 0, double seconds = 1.0);

/// Returns the GB/s (1e9 bytes) at which all threads together read `bytes` sequentially and
/// repeatedly, each its own range: the best of the passes in about `seconds`. This is the bandwidth
/// of memory, or of the cache that holds so many bytes. 0 bytes measure memory, with 512 MiB and at
/// least 32 MiB per thread. It uses the whole device. `device`, `num_threads` and `seconds` are as
/// in measure_peaks. Throws ConfigError for wrong values of these, or for bytes above 0 that are
/// not in 4096 to 2^34.
TTSRT_API double measure_read(const std::string& device = "cpu", std::int32_t num_threads = 0,
                              std::int64_t bytes = 0, double seconds = 0.25);

/// Returns the seconds of one barrier of all threads, as there is one after every stage of a step:
/// the best mean of 256 barriers in about `seconds`. `device`, `num_threads`, `seconds` and errors
/// are as in measure_peaks.
TTSRT_API double measure_barrier(const std::string& device = "cpu", std::int32_t num_threads = 0,
                                 double seconds = 0.1);

/// One operation at one shape. A family uses `rows`, `dtype` and the fields that its line names.
///   "linear"           [rows, inputs] times [outputs, inputs]; quantization
///   "norm_linear"      linear after a layer norm of the inputs
///   "layer_norm"       [rows, inputs]
///   "embed_rows"       the mean of `codebooks` rows of tables [codebooks * vocab, outputs]
///   "time_conv"        a causal convolution of [rows, inputs] over time, 7 taps to `outputs`
///   "self_attention"   one decode row of each of `rows` requests over a paged cache of half of
///                      `length` to all `length` positions: heads, head_dim, length, cache_dtype
///   "cross_attention"  the same over a text of `length`, with prior and alignment scores
///   "sample_codes"     guided sampling for `rows` requests: codebooks, vocab
///   "pick_codes"       guided sampling by a local transformer for `rows` requests: inputs and
///                      outputs (the decoder's and its own width), heads, layers, codebooks, vocab
struct OpBenchOptions {
  std::string family = "linear";
  std::string device = "cpu";    ///< as in ExecutorOptions
  std::int32_t num_threads = 0;  ///< as in ExecutorOptions
  std::int32_t rows = 1;
  std::int32_t outputs = 768;  ///< N
  std::int32_t inputs = 768;   ///< K
  std::int32_t heads = 12;
  std::int32_t head_dim = 64;
  std::int32_t length = 256;
  std::int32_t layers = 1;
  std::int32_t codebooks = 8;
  std::int32_t vocab = 2024;
  std::string dtype = "float32";        ///< of weights: "float32", "bfloat16", "float16"
  std::string cache_dtype = "float32";  ///< of keys and values: the same, or "int8"
  std::string quantization = "none";    ///< of the weights, as BuildOptions::quantization
  std::int32_t group_size = 0;          ///< as BuildOptions::group_size
  /// Whether all ops use the same weight or cache, which then stays in the processor's caches. If
  /// not, each op of an iteration has its own, and together they are larger than all caches (with
  /// at most 256 ops, 64 layers of cross-attention and 4e9 operations).
  bool resident = false;
};

/// Returns the possible values of OpBenchOptions::family.
TTSRT_API std::vector<std::string> op_bench_families();

/// Runs one operation on random data many times. An iteration is one launch of `num_ops` ops. The
/// class is not thread safe, except for stop(). In a forked child run() and check() throw
/// ClosedError.
class TTSRT_API OpBench {
 public:
  /// Creates weights, caches and their contents. Throws ConfigError for options it cannot run.
  explicit OpBench(const OpBenchOptions& options);
  ~OpBench();
  OpBench(OpBench&&) noexcept;
  OpBench& operator=(OpBench&&) noexcept;

  /// Runs 1 to 1000000 iterations and returns the total time in seconds.
  double run(std::int64_t iterations);
  /// For another thread: ends the run that goes on, or else the next one, after an iteration.
  void stop();

  /// Returns the largest difference between the results of this device and of device "reference",
  /// relative to the largest value of the result; 1 if codes differ. It runs the same op, but with
  /// at most 32 rows, 3 codebooks and 1 layer of pick_codes, because the reference is slow.
  double check();

  const OpBenchOptions& options() const;
  std::int32_t num_ops() const;     ///< ops per iteration
  std::int64_t bytes() const;       ///< bytes that an op reads and writes: weights, caches, rows
  std::int64_t operations() const;  ///< arithmetic operations of an op; a multiply-add counts 2
  std::string description() const;  ///< of the device: instruction set, threads

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ttsrt
