// Microbenchmarks: what a device reaches at best, and what single operations of the models reach on
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ttsrt {

/// What all threads of a device reach together in loops that do nothing else, with the instructions
/// that its kernels use. A type that the instruction set has no product of counts what its kernels
/// do instead: bfloat16 is then widened to float32.
struct MachinePeaks {
  std::string isa;  ///< "avx512_bf16"
  std::int32_t num_threads = 0;
  double read_gb_per_s = 0.0;         ///< as measure_read beyond all caches; 1e9 bytes
  double cached_gb_per_s = 0.0;       ///< as measure_read of 16 MiB: from the shared cache
  double float32_gflop_per_s = 0.0;   ///< a multiply-add counts 2
  double bfloat16_gflop_per_s = 0.0;  ///< products of bfloat16, sums in float32
  double int8_gop_per_s = 0.0;        ///< products of int8, sums in int32
};

/// Measures for about `seconds`. Takes the whole device: nothing else should run.
/// `device`, `num_threads`: as in ExecutorOptions. Throws ConfigError for a device that has no
/// peaks ("reference") or `seconds` outside 0.001 to 60.
MachinePeaks measure_peaks(const std::string& device = "cpu", std::int32_t num_threads = 0,
                           double seconds = 1.0);

/// GB/s (1e9 bytes) at which all threads together read `bytes` in order, again and again, each its
/// own part: the best of the passes made in about `seconds`. What memory gives, or whatever cache
/// holds so much. 0 bytes: memory, by 512 MiB and at least 32 MiB a thread. Takes the whole device.
/// `device`, `num_threads`, `seconds`: as in measure_peaks. Throws ConfigError for them, or for
/// bytes above 0 that are not 4096 to 2^34.
double measure_read(const std::string& device = "cpu", std::int32_t num_threads = 0,
                    std::int64_t bytes = 0, double seconds = 0.25);

/// One operation at one shape. Every family reads the fields that its line names, besides `rows`
/// and `dtype`.
///   "linear"           [rows, inputs] times [outputs, inputs]; quantization
///   "norm_linear"      the same behind a layer norm of the inputs
///   "layer_norm"       [rows, inputs]
///   "embed_rows"       the mean of `codebooks` rows of tables [codebooks * vocab, outputs]
///   "self_attention"   a decode row of each of `rows` requests over a paged cache: heads,
///   head_dim,
///                      length, cache_dtype; from half of `length` positions to all of them
///   "cross_attention"  the same over a text of `length`, with prior and alignment scores
///   "sample_codes"     guided draws of `rows` requests: codebooks, vocab
///   "pick_codes"       a local transformer's guided draws of `rows` requests: inputs (hidden),
///                      outputs (its own width), heads, layers, codebooks, vocab
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
  std::string quantization = "none";    ///< of products, as BuildOptions::quantization
  std::int32_t group_size = 0;          ///< as BuildOptions::group_size
  /// Whether one weight or cache is used again and again, and stays in the processor's caches. If
  /// not, each op of an iteration has its own, together beyond all caches (within the bounds of
  /// 256 ops, 64 layers of cross-attention and 4e9 operations).
  bool resident = false;
};

/// The names that OpBenchOptions::family takes.
std::vector<std::string> op_bench_families();

/// Runs one operation on random data, many times. An iteration is one launch of `num_ops` ops. Not
/// thread safe.
class OpBench {
 public:
  /// Makes weights, caches and their contents. Throws ConfigError for what it can't run.
  explicit OpBench(const OpBenchOptions& options);
  ~OpBench();
  OpBench(OpBench&&) noexcept;
  OpBench& operator=(OpBench&&) noexcept;

  /// Seconds that 1 to 1000000 iterations took together.
  double run(std::int64_t iterations);

  /// Largest difference between this device's result and device "reference", over the largest
  /// value of the result; 1 where codes differ. Of the same op, at no more rows (32), codebooks (3)
  /// and layers (1 of pick_codes) than the reference bears.
  double check();

  const OpBenchOptions& options() const;
  std::int32_t num_ops() const;     ///< of an iteration
  std::int64_t bytes() const;       ///< read and written by an op: weights, caches, rows
  std::int64_t operations() const;  ///< of an op; a multiply-add counts 2
  std::string description() const;  ///< of the device: instruction set, threads

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ttsrt
