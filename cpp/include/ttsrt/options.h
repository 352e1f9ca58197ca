// All options with their defaults. Each option is defined only here; its check is in decode/ or
// executor/, and Python has a binding and a stub for it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ttsrt/tensor.h"

namespace ttsrt {

/// The attention prior keeps cross-attention moving along the text.
///
/// An absent option takes the value of the checkpoint's prior. If the checkpoint has no prior, or
/// one of another mode, it takes the value that its mode has by itself; the comments give those of
/// "nemo". Positions are text positions; layers are decoder layers.
///
/// The modes are "nemo", the rule of NVIDIA NeMo 3's MagpieTTS; "nemo_2503", that of the generation
/// before (epsilon 1e-5, lookahead 10, right 5, start_step 10, suppress "single", count_end false,
/// track_finish true, unfinished_grace 10); and "window", that of the TensorRT-LLM fork (right 5,
/// end_after 20), which has no start_step, suppress_after, suppress, short_text, end_margin,
/// count_end, track_finish, unfinished_grace and force_after.
struct AttentionPrior {
  std::optional<std::string> mode;  ///< "nemo", "nemo_2503" or "window"; absent: the checkpoint's
  std::optional<float> epsilon;     ///< 0.1: weight outside the favoured positions, in [0, 1]
  std::optional<std::int32_t>
      lookahead;  ///< 5: positions searched for the next focus, from the current one on
  std::optional<std::int32_t> left;   ///< 1: favoured positions before the focus
  std::optional<std::int32_t> right;  ///< favoured positions after the focus; "nemo": as lookahead
  std::optional<std::vector<std::int32_t>>
      estimate_layers;  ///< layers whose attention finds the focus; empty: all text layers
  std::optional<std::vector<std::int32_t>>
      apply_layers;                        ///< layers the prior acts in; empty: all text layers
  std::optional<std::int32_t> start_step;  ///< 0: first decoder step after which the focus moves
  std::optional<std::int32_t> skip_after;  ///< 8: a focus counted this many times is skipped
  std::optional<std::int32_t>
      suppress_after;  ///< 10: a position counted this many times gets epsilon; 0: never
  std::optional<std::string> suppress;  ///< "upto": it and all positions before; "single": only it
  std::optional<std::int32_t> short_text;  ///< 5: texts up to this length get weight 1 everywhere
  std::optional<std::int32_t> end_margin;  ///< 3: tokens at the end that the search leaves out
  std::optional<bool>
      count_end;  ///< true: whether the end reached by an empty search is counted (2503: not)
  std::optional<bool> track_finish;  ///< false: whether progress through the text forbids and
                                     ///< forces end of speech
  std::optional<std::int32_t>
      unfinished_grace;  ///< 5: steps near the end during which end of speech stays forbidden
  std::optional<std::int32_t>
      force_after;  ///< 20: steps near the end after which end of speech is forced
  std::optional<std::int32_t>
      end_after;  ///< "window": the request ends after this many steps at the end; 0: never
  std::optional<bool>
      recompute;  ///< false: each step recomputes all positions with the newest prior (slow)
};

/// How a MaskGit local transformer unmasks a stack of codes.
struct MaskGit {
  std::int32_t steps = 3;              ///< number of passes
  float noise_scale = 0.0F;            ///< noise added to confidences
  std::vector<std::int32_t> schedule;  ///< codes already unmasked at the start of each pass;
                                       ///< overrides `steps`; empty: cosine
  bool dynamic_cfg_scale = false;  ///< guidance rises linearly from 1 to cfg_scale over the passes
  std::string sampling = "default";  ///< "default", "causal", "purity_default", "purity_causal"
  /// Temperature of the probabilities by which codes are ranked, above 0. Absent: the request's
  /// temperature, or the checkpoint's if the request's is 0.
  std::optional<float> confidence_temperature;
};

/// How a model decides the codes of a block together (block diffusion: Chatterbox-Flash). What is
/// absent is as the checkpoint says.
struct BlockDiffusion {
  std::optional<std::int32_t> steps;  ///< that decide a block, at most
  /// How early a step decides codes beyond its schedule: those whose score is among the best
  /// early * step / steps of the undecided. 0: never.
  std::optional<float> early;
  std::optional<float> shift;  ///< of the schedule: 1 decides evenly, less decides more codes late
  std::optional<float> noise;  ///< factor of the noise in the scores by which codes are decided
};

/// How language models choose among their tokens, beyond what all requests have.
struct TokenOptions {
  /// Ids that end a text beside the model's own; with that one, at most 33 in all.
  std::vector<std::int32_t> stop_ids;
  bool ignore_eos = false;  ///< the model's own id of the end is an ordinary token
  /// Whether ids that the tokenizer does not have, at the end of the model's table, are never
  /// drawn.
  bool mask_padding_ids = true;
  /// Which ids Request::repetition_penalty counts: "all", those of the prompt and the drawn ones,
  /// or "generated".
  std::string repetition_scope = "all";
  float presence_penalty =
      0.0F;  ///< taken from the score of each id that was drawn, in [-100, 100]
  float frequency_penalty = 0.0F;            ///< the same, once for each time it was drawn
  std::map<std::int32_t, float> logit_bias;  ///< added to the scores of ids; finite, at most 1024
  std::vector<std::int32_t> bad_ids;         ///< are never drawn; at most 1024
  /// So many of the likeliest ids, at most 20, are told for each step with the logarithms of their
  /// probabilities (Result::logprobs); 0: the drawn one alone. Absent: none.
  std::optional<std::int32_t> logprobs;
};

/// How a model of flow matching makes a spectrogram (F5-TTS). What is absent is as the checkpoint
/// says.
struct Flow {
  std::optional<std::int32_t> steps;  ///< of the integration from noise to the spectrogram
  /// Guidance: `cond + cfg_strength * (cond - uncond)` on velocities. Below 1e-5 only the
  /// conditional branch is computed.
  std::optional<float> cfg_strength;
  /// Bends the steps towards the beginning (-1) or the end; 0: it does not. In [-1, 2 / (pi - 2)].
  std::optional<float> sway_sampling_coef;
  /// Whether 5, 6, 7, 10, 12 and 16 steps are the pruned ones of EPSS, and not even ones.
  std::optional<bool> use_epss;
  std::optional<std::string> method;  ///< "euler", or "midpoint": two evaluations a step
  /// Frames of the whole utterance, prompt included. It has at least one frame more than the prompt
  /// and than the text has ids. Absent: as many as `Request::noise` has rows.
  std::optional<std::int32_t> duration;
  /// The most frames; a text or a prompt that does not fit is refused. Absent: max_seq_len, and a
  /// longer duration is refused.
  std::optional<std::int32_t> max_duration;
  std::optional<std::int32_t> lens;  ///< frames of the prompt; absent: all that are given
  /// The prompt is not heard: its frames take part as silence, and come back as zeros.
  bool no_ref_audio = false;
  /// Sound of speech tokens (S3Gen): "whole", as the original: one integration over all tokens; or
  /// "chunks": one for each chunk of tokens, over those up to three behind it, which keeps the
  /// frames of the chunk. Chunks become sound while tokens are drawn, and their sound is not that
  /// of "whole". Absent: "whole".
  std::optional<std::string> mode;
  /// With "chunks": tokens of each chunk, the last number of all that follow. Empty: 25, 50, 100.
  std::vector<std::int32_t> hops;
  /// With "chunks": tokens in front of a chunk, behind the prompt, that are integrated with it.
  /// Absent: all. A number bounds what a chunk of a long text costs.
  std::optional<std::int32_t> history;
};

/// Speculative decoding of language models: the ids that may follow are guessed, and one decoder
/// step checks several of them. A guess counts only if the model picks that very id there, by
/// argmax or by the draw with that id's own random number, so results are equal with and without.
///
/// What is absent takes the executor's value in a request, and the value in the comment in an
/// executor.
struct Speculation {
  /// "none": it is off; "ngram": what followed the last ids where they stood before in the prompt
  /// or in the ids generated since (prompt lookup); "draft": what ExecutorOptions::draft_engine
  /// picks, by the request's own rules and random numbers. An executor with a draft engine that
  /// says nothing else has "draft".
  std::optional<std::string> mode;
  std::optional<std::int32_t> num_draft_tokens;  ///< 4: ids guessed for one step, at most; 1 to 8
  std::optional<std::int32_t> max_ngram;  ///< 3: last ids that are looked up together; 1 to 16
  /// Which earlier place counts: "last" (the default), or "first", as in Hugging Face transformers.
  std::optional<std::string> match;
  /// 0.4: "draft": guessing for a step ends where the draft engine's likeliest id has a smaller
  /// probability; 0 to 1.
  std::optional<float> min_confidence;
  /// 8: with so many requests in flight on a replica nothing is guessed, at least 1: the
  /// device is then busy with the requests themselves.
  std::optional<std::int32_t> speculate_below;
};

/// Options of an executor. Zero means the limit of the engine, or everything that is available.
struct ExecutorOptions {
  /// "auto" (a GPU where there is one), "cpu", "cuda:0", "reference"; or several of them, as in
  /// "cuda:0,cuda:1": then each has a replica of the model, with the limits below for itself, and
  /// all of them take their requests from one queue. "cuda:all" stands for all GPUs, one after the
  /// other.
  std::string device = "auto";
  /// CPU threads of a replica; 0: one per core this process may use, of several replicas on the CPU
  /// each its share of the cores.
  std::int32_t num_threads = 0;
  /// On the CPU, binds thread t of the executor to the t-th core that the process may use. It binds
  /// only the executor's own threads, needs Linux and at least as many cores as threads, and is for
  /// processes that have their cores to themselves. Only one replica may run on the CPU then.
  bool pin_threads = false;
  std::int32_t max_batch_size = 0;    ///< requests in flight on a replica; at most the engine's
  std::int32_t max_queue_size = 256;  ///< accepted requests that may wait; else CapacityError
  /// What a request does that finds all places taken: "none": it waits; "priority": it pauses the
  /// youngest of the running requests with the lowest priority if that is below its own. A paused
  /// request keeps its state and its cache, goes on as soon as there is a place, and gives the same
  /// result. Each paused request takes the memory of one more request in flight.
  std::string preempt = "none";
  /// Requests that may be paused at once with preempt "priority"; 0: max_batch_size.
  std::int32_t max_paused_requests = 0;
  std::int32_t max_num_tokens = 0;  ///< rows of one Program in one launch; at most the engine's
  /// Positions of the paged self-attention cache for both branches of all requests, paused ones
  /// included; 0: enough for all of them guided and of full length. A request reserves its worst
  /// case.
  std::int32_t max_tokens_in_paged_kv_cache = 0;
  /// On a GPU, limits the paged cache to this share, above 0 and at most 1, of the memory that is
  /// free on the device beside weights, activations and everything else; together with
  /// max_tokens_in_paged_kv_cache the smaller limit counts. Absent: no such limit. A share that is
  /// too small for one request is a CapacityError. Elsewhere a ConfigError.
  std::optional<double> kv_cache_free_gpu_mem_fraction;
  /// Approximate limit on the time of encoders and prefill per iteration while other requests
  /// decode; 0: no limit, as with `trace`. The next iteration continues where this one stopped.
  double prefill_slice_seconds = 0.02;
  /// "float32", "bfloat16", "float16" or "int8" (with a float32 scale per position and head);
  /// empty: the dtype of the engine's weights.
  std::string kv_cache_dtype;
  /// What requests to a language model do that do not say otherwise (Request::speculation). Its
  /// num_draft_tokens and speculate_below also say how many rows beyond one per request a step may
  /// have on the CPU. Not together with `trace`, and not for other models.
  Speculation speculation;
  /// The folder of the engine of a smaller language model with the same vocabulary, which guesses
  /// for requests of the mode "draft"; empty: none. It runs on the same devices, within the limits
  /// above and with a cache of its own for as many positions.
  std::string draft_engine;
  std::int32_t iter_stats_max_iterations = 100;  ///< iterations that stats() keeps
  bool profile = false;  ///< record each stage's times for stats(); costs about 0.1 us per stage
  bool trace = false;    ///< record every stage's values in `Result::trace` (slow; for validation)
};

/// Options of a build. A limit of zero takes the default in its comment, reduced to the size of the
/// checkpoint's position tables; an explicit limit above that size is a ConfigError.
struct BuildOptions {
  DType dtype = DType::float32;  ///< weights and cache: float32, bfloat16, float16
  /// Quantization of the matrices to integers with scales: "none", "w8a16", "w4a16", "w8a8", "w4a8"
  /// (bits of the weights, bits of the activations). Tables, norms and biases stay floats.
  std::string quantization = "none";
  std::int32_t group_size = 0;  ///< w4: inputs that share a scale: 32, 64 or 128; 0: 64
  /// w4: a zero point for each scale, so that a group's range needn't be symmetric about 0.
  bool zero_points = false;
  /// Matrices that give logits stay floats of `dtype`; absent: as the model's family says, which is
  /// yes for Chatterbox T3 and no for the others.
  std::optional<bool> wide_heads;
  /// Of matrices that give logits, instead of `quantization` and `wide_heads`: "none", "w8a16" or
  /// "w8a8"; empty: as these say.
  std::string head_quantization;
  /// With a quantization: names of matrices that stay floats of `dtype`. In a name, `*` stands for
  /// any characters, up to four times; each name must stand for one matrix at least.
  std::vector<std::string> exclude_modules;
  std::int32_t max_batch_size = 8;  ///< requests in flight; 0: 8
  /// Decoder positions, including the context; 0: max_input_len plus the steps of the checkpoint's
  /// default max_frames.
  std::int32_t max_seq_len = 0;
  std::int32_t max_input_len = 0;  ///< context rows; 0: 256, or the longest stored voice if longer
  std::int32_t max_encoder_input_len = 0;  ///< text tokens; 0: 512
  /// Rows of one Program in one launch; 0: 512, or more if the longest text, the longest context or
  /// two rows per request need more.
  std::int32_t max_num_tokens = 0;
  /// The checkpoint of a codec that turns the model's codes into sound, and becomes part of the
  /// engine; empty: none.
  std::string codec_dir;
  bool overwrite = false;  ///< replace an existing engine
};

}  // namespace ttsrt
