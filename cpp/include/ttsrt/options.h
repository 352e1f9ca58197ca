// Options with their defaults: each exists here once, with its check in decode/ or executor/, its
// binding and its stub.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/tensor.h"

namespace ttsrt {

/// The attention prior: how cross-attention is kept moving along the text.
///
/// "nemo" is the rule of NVIDIA NeMo's MagpieTTS, both generations by their quirks; "window" is the
/// rule of the TensorRT-LLM fork. Positions are text positions; layers are decoder layers. The
/// defaults are NeMo 3's; a checkpoint brings its own.
struct AttentionPrior {
  std::string mode = "nemo";   ///< "nemo" or "window"
  float epsilon = 0.1F;        ///< weight outside the favoured positions, in [0, 1]
  std::int32_t lookahead = 5;  ///< positions searched for the next focus, from the current one on
  std::int32_t left = 1;       ///< favoured positions before the focus
  std::int32_t right = 5;      ///< favoured positions after the focus
  std::vector<std::int32_t>
      estimate_layers;  ///< layers whose attention finds the focus; empty: all text layers
  std::vector<std::int32_t> apply_layers;  ///< layers the prior acts in; empty: all text layers
  std::int32_t start_step = 0;             ///< first decoder step after which the focus moves
  std::int32_t skip_after = 8;             ///< a focus counted so often is stepped over
  std::int32_t suppress_after = 10;  ///< a position counted so often falls to epsilon; 0: never
  std::string suppress = "upto";     ///< "upto": it and all before it; "single": it alone
  std::int32_t short_text = 5;       ///< texts up to this length get weight 1 everywhere
  std::int32_t end_margin = 3;       ///< tokens at the end that the search leaves out
  bool count_end = true;  ///< whether the end reached by an empty search is counted (2503: not)
  bool track_finish =
      false;  ///< whether progress through the text forbids and forces end of speech
  std::int32_t unfinished_grace =
      5;                          ///< steps near the end during which end of speech stays forbidden
  std::int32_t force_after = 20;  ///< steps near the end after which end of speech is forced
  std::int32_t end_after =
      0;                   ///< "window": the request ends after so many steps at the end; 0: never
  bool recompute = false;  ///< every position recomputed under the newest prior each step (slow)
};

/// How a MaskGit local transformer unmasks a stack of codes.
struct MaskGit {
  std::int32_t steps = 3;    ///< passes
  float noise_scale = 0.0F;  ///< noise on confidences
  std::vector<std::int32_t>
      schedule;  ///< codes unmasked at the start of each pass; empty: cosine; sets the passes
  bool dynamic_cfg_scale = false;  ///< guidance rises linearly from 1 to cfg_scale over the passes
  std::string sampling = "default";  ///< "default", "causal", "purity_default", "purity_causal"
};

/// What an executor may use. Zero means: as the engine was built, or all there is.
struct ExecutorOptions {
  std::string device = "auto";   ///< "auto", "cpu", "reference"
  std::int32_t num_threads = 0;  ///< CPU threads; 0: one per core this process may use
  /// CPU: thread t of the executor stays on the t-th core that the process may use. Its own threads
  /// only, Linux only, and no more threads than cores. For a process that has its cores to itself.
  bool pin_threads = false;
  std::int32_t max_batch_size = 0;    ///< requests in flight; at most the engine's
  std::int32_t max_queue_size = 256;  ///< accepted requests that wait; one more is a CapacityError
  std::int32_t max_num_tokens = 0;    ///< rows of one launch and class; at most the engine's
  /// Positions of the paged self-attention cache, both branches of all requests together; 0: enough
  /// for max_batch_size guided requests at full length. A request reserves its worst case from it.
  std::int32_t max_tokens_in_paged_kv_cache = 0;
  /// How long encoders and prefill may take per iteration, about, while other requests decode; 0:
  /// no limit, as under `trace`. They go on with the next iteration where this one stopped.
  double prefill_slice_seconds = 0.02;
  /// "float32", "bfloat16", "float16" or "int8" (with a float32 scale per position and head);
  /// empty: as the engine computes.
  std::string kv_cache_dtype;
  std::int32_t iter_stats_max_iterations = 100;  ///< iterations that stats() remembers
  bool profile = false;  ///< keep each stage's times for stats(), for about 0.1 us a stage
  bool trace = false;    ///< keep every stage's values for `Result::trace` (slow; for validation)
};

/// What an engine is built for. A limit of zero takes what its comment says, or the most that the
/// checkpoint's position tables hold where that is less; a limit above that is a ConfigError.
struct BuildOptions {
  DType dtype = DType::float32;  ///< weights and cache: float32, bfloat16, float16
  /// Matrices as whole numbers with scales: "none", "w8a16", "w4a16", "w8a8", "w4a8" (bits of the
  /// weights, bits of what they are multiplied by). Tables, norms and biases stay floats.
  std::string quantization = "none";
  std::int32_t group_size = 0;      ///< w4: inputs that share a scale: 32, 64 or 128; 0: 64
  std::int32_t max_batch_size = 8;  ///< requests in flight; 0: 8
  /// Decoder positions, context included; 0: max_input_len and the checkpoint's default max_frames.
  std::int32_t max_seq_len = 0;
  std::int32_t max_input_len = 0;  ///< context rows; 0: 256, or the longest stored voice if longer
  std::int32_t max_encoder_input_len = 0;  ///< text tokens; 0: 512
  /// Rows of one launch and class; 0: 512, or what the longest text, the longest context or two
  /// rows per request need if more.
  std::int32_t max_num_tokens = 0;
  bool overwrite = false;  ///< replace an engine that is there
};

}  // namespace ttsrt
