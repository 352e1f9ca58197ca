// Bindings of ttsrt/options.h. Python reads the defaults from these classes, so that only options.h
// has them.
#include "ttsrt/options.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "values.h"

namespace ttsrt::python {
namespace {

// The shortest double that rounds to a float: 0.1, not 0.10000000149011612.
double as_written(float value) {
  char digits[32];
  for (int precision = 1; precision < 9; ++precision) {
    std::snprintf(digits, sizeof(digits), "%.*g", precision, static_cast<double>(value));
    if (std::strtof(digits, nullptr) == value) break;
  }
  return std::strtod(digits, nullptr);
}

template <typename Class>
void def_float(py::class_<Class>& bound, const char* name, std::optional<float> Class::* field,
               const char* doc) {
  bound.def_property(
      name,
      [field](const Class& self) -> std::optional<double> {
        if (!(self.*field).has_value()) return std::nullopt;
        return as_written(*(self.*field));
      },
      [field, name](Class& self, const py::object& value) {
        self.*field = value_from<std::optional<float>>(value, name);
      },
      doc);
}

template <typename Class>
void def_float(py::class_<Class>& bound, const char* name, float Class::* field, const char* doc) {
  bound.def_property(
      name, [field](const Class& self) { return as_written(self.*field); },
      [field, name](Class& self, const py::object& value) {
        self.*field = value_from<float>(value, name);
      },
      doc);
}

void register_attention_prior(py::module_& module) {
  py::class_<AttentionPrior> bound(module, "AttentionPrior", "Options of the attention prior.");
  bound.def(py::init<>(), "The library's defaults.");
  def_plain(bound);
  def_field(bound, "mode", &AttentionPrior::mode,
            "The rule: \"nemo\", \"nemo_2503\" or \"window\".");
  def_field(bound, "lookahead", &AttentionPrior::lookahead,
            "Positions searched for the next focus, from the current one on.");
  def_field(bound, "left", &AttentionPrior::left, "Favoured positions before the focus.");
  def_field(bound, "right", &AttentionPrior::right, "Favoured positions after the focus.");
  def_field(bound, "estimate_layers", &AttentionPrior::estimate_layers,
            "Layers whose attention finds the focus; empty: all text layers.");
  def_field(bound, "apply_layers", &AttentionPrior::apply_layers,
            "Layers the prior acts in; empty: all text layers.");
  def_field(bound, "start_step", &AttentionPrior::start_step,
            "First decoder step after which the focus moves.");
  def_field(bound, "skip_after", &AttentionPrior::skip_after,
            "A focus counted this many times is skipped.");
  def_field(bound, "suppress_after", &AttentionPrior::suppress_after,
            "A position counted this many times gets epsilon; 0: never.");
  def_field(bound, "suppress", &AttentionPrior::suppress,
            "\"upto\": it and all positions before; \"single\": only it.");
  def_field(bound, "short_text", &AttentionPrior::short_text,
            "Texts up to this length get weight 1 everywhere.");
  def_field(bound, "end_margin", &AttentionPrior::end_margin,
            "Tokens at the end that the search leaves out.");
  def_field(bound, "count_end", &AttentionPrior::count_end,
            "Whether the end reached by an empty search is counted (2503: not).");
  def_field(bound, "track_finish", &AttentionPrior::track_finish,
            "Whether progress through the text forbids and forces end of speech.");
  def_field(bound, "unfinished_grace", &AttentionPrior::unfinished_grace,
            "Steps near the end during which end of speech stays forbidden.");
  def_field(bound, "force_after", &AttentionPrior::force_after,
            "Steps near the end after which end of speech is forced.");
  def_field(bound, "end_after", &AttentionPrior::end_after,
            "\"window\": the request ends after this many steps at the end; 0: never.");
  def_field(bound, "recompute", &AttentionPrior::recompute,
            "Each step recomputes all positions with the newest prior (slow).");
  def_float(bound, "epsilon", &AttentionPrior::epsilon,
            "Weight outside the favoured positions, in [0, 1].");
}

void register_maskgit(py::module_& module) {
  py::class_<MaskGit> bound(module, "MaskGit",
                            "How a MaskGit local transformer unmasks a stack of codes.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "steps", &MaskGit::steps, "Number of passes.");
  def_field(bound, "schedule", &MaskGit::schedule,
            "Codes already unmasked at the start of each pass; overrides steps; empty: cosine.");
  def_field(bound, "dynamic_cfg_scale", &MaskGit::dynamic_cfg_scale,
            "Guidance rises linearly from 1 to cfg_scale over the passes.");
  def_field(bound, "sampling", &MaskGit::sampling,
            "\"default\", \"causal\", \"purity_default\", \"purity_causal\".");
  def_float(bound, "noise_scale", &MaskGit::noise_scale, "Noise added to confidences.");
  def_float(bound, "confidence_temperature", &MaskGit::confidence_temperature,
            "Divides logits for the confidences; None: the request's temperature, or the "
            "checkpoint's if that is 0.");
}

void register_block(py::module_& module) {
  py::class_<BlockDiffusion> bound(module, "BlockDiffusion",
                                   "How a model decides the codes of a block together.");
  bound.def(py::init<>(), "Nothing given: as the checkpoint says.");
  def_repr(bound);
  def_field(bound, "steps", &BlockDiffusion::steps, "Steps that decide a block, at most.");
  def_float(bound, "early", &BlockDiffusion::early,
            "How early a step decides codes beyond its schedule; 0: never.");
  def_float(bound, "shift", &BlockDiffusion::shift,
            "Of the schedule: 1 decides evenly, less decides more codes late.");
  def_float(bound, "noise", &BlockDiffusion::noise,
            "Factor of the noise in the scores by which codes are decided.");
}

void register_flow(py::module_& module) {
  py::class_<Flow> bound(module, "Flow", "How flow matching makes a spectrogram.");
  bound.def(py::init<>(), "Nothing given: as the checkpoint says.");
  def_repr(bound);
  def_field(bound, "steps", &Flow::steps, "Of the integration.");
  def_float(bound, "cfg_strength", &Flow::cfg_strength,
            "Guidance: cond + cfg_strength * (cond - uncond) on velocities.");
  def_float(bound, "sway_sampling_coef", &Flow::sway_sampling_coef,
            "Bends the steps towards the beginning (-1) or the end; 0: it does not.");
  def_field(bound, "use_epss", &Flow::use_epss, "Whether few steps are the pruned ones of EPSS.");
  def_field(bound, "method", &Flow::method, "\"euler\" or \"midpoint\".");
  def_field(bound, "duration", &Flow::duration, "Frames of the utterance, prompt included.");
  def_field(bound, "max_duration", &Flow::max_duration, "The most frames.");
  def_field(bound, "lens", &Flow::lens, "Frames of the prompt.");
  def_field(bound, "no_ref_audio", &Flow::no_ref_audio, "The prompt is not heard.");
  def_field(bound, "mode", &Flow::mode, "Sound of speech tokens: \"whole\" or \"chunks\".");
  def_field(bound, "hops", &Flow::hops, "With \"chunks\": tokens of each chunk.");
  def_field(bound, "history", &Flow::history,
            "With \"chunks\": tokens in front of a chunk that are integrated with it.");
}

void register_speculation(py::module_& module) {
  py::class_<Speculation> bound(module, "Speculation",
                                "How ids of a text are guessed and checked together.");
  bound.def(py::init<>(), "Nothing given: as the executor says, or the library's defaults.");
  def_repr(bound);
  def_field(bound, "mode", &Speculation::mode, "\"none\", \"ngram\" or \"draft\".");
  def_field(bound, "num_draft_tokens", &Speculation::num_draft_tokens,
            "Ids guessed for one step, at most.");
  def_field(bound, "max_ngram", &Speculation::max_ngram,
            "Last ids that are looked up together, at most.");
  def_field(bound, "match", &Speculation::match,
            "Which earlier place counts: \"last\" or \"first\".");
  def_float(bound, "min_confidence", &Speculation::min_confidence,
            "Guesses end where the draft engine's likeliest id has a smaller probability.");
  def_field(bound, "speculate_below", &Speculation::speculate_below,
            "Requests in flight, from which on nothing is guessed.");
}

void register_tokens(py::module_& module) {
  py::class_<TokenOptions> bound(module, "TokenOptions",
                                 "How language models choose among their tokens.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "stop_ids", &TokenOptions::stop_ids, "Ids that end a text beside the model's.");
  def_field(bound, "ignore_eos", &TokenOptions::ignore_eos,
            "The model's own id of the end is an ordinary token.");
  def_field(bound, "mask_padding_ids", &TokenOptions::mask_padding_ids,
            "Ids that the tokenizer does not have are never drawn.");
  def_field(bound, "repetition_scope", &TokenOptions::repetition_scope,
            "Which ids the repetition penalty counts: \"all\" or \"generated\".");
  def_float(bound, "presence_penalty", &TokenOptions::presence_penalty,
            "Taken from the score of each id that was drawn.");
  def_float(bound, "frequency_penalty", &TokenOptions::frequency_penalty,
            "The same, once for each time it was drawn.");
  def_field(bound, "logit_bias", &TokenOptions::logit_bias, "Added to the scores of ids.");
  def_field(bound, "bad_ids", &TokenOptions::bad_ids, "Are never drawn.");
  def_field(bound, "logprobs", &TokenOptions::logprobs,
            "So many of the likeliest ids are told for each step, at most 20.");
}

void register_executor_options(py::module_& module) {
  py::class_<ExecutorOptions> bound(module, "ExecutorOptions", "Options of an executor.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  def_field(bound, "device", &ExecutorOptions::device,
            "Its name: \"auto\", \"cpu\", \"reference\".");
  def_field(bound, "num_threads", &ExecutorOptions::num_threads,
            "CPU threads; 0: one per core this process may use.");
  def_field(bound, "pin_threads", &ExecutorOptions::pin_threads,
            "On the CPU, binds thread t of the executor to the t-th core that the process may use. "
            "It binds only the executor's own threads, needs Linux and at least as many cores as "
            "threads, and is for processes that have their cores to themselves.");
  def_field(bound, "max_batch_size", &ExecutorOptions::max_batch_size,
            "Requests in flight; at most the engine's.");
  def_field(bound, "max_queue_size", &ExecutorOptions::max_queue_size,
            "Accepted requests that may wait; else CapacityError.");
  def_field(bound, "preempt", &ExecutorOptions::preempt,
            "\"none\", or \"priority\": a larger priority pauses a smaller one.");
  def_field(bound, "max_paused_requests", &ExecutorOptions::max_paused_requests,
            "Requests that may be paused at once; 0: as many as may run.");
  def_field(bound, "max_num_tokens", &ExecutorOptions::max_num_tokens,
            "Rows of one Program in one launch; at most the engine's.");
  def_field(
      bound, "max_tokens_in_paged_kv_cache", &ExecutorOptions::max_tokens_in_paged_kv_cache,
      "Positions of the paged self-attention cache for both branches of all requests, paused ones "
      "included; 0: enough for all of them guided and of full length. A request reserves its worst "
      "case.");
  def_field(bound, "kv_cache_free_gpu_mem_fraction",
            &ExecutorOptions::kv_cache_free_gpu_mem_fraction,
            "On a GPU, limits the paged cache to this share of the memory that is free beside "
            "everything else; None: no such limit.");
  def_field(
      bound, "prefill_slice_seconds", &ExecutorOptions::prefill_slice_seconds,
      "Approximate limit on the time of encoders and prefill per iteration while other requests "
      "decode; 0: no limit, as with trace. The next iteration continues where this one stopped.");
  def_field(bound, "kv_cache_dtype", &ExecutorOptions::kv_cache_dtype,
            "\"float32\", \"bfloat16\", \"float16\" or \"int8\" (with a float32 scale per position "
            "and head); empty: the dtype of the engine's weights.");
  def_field(bound, "speculation", &ExecutorOptions::speculation,
            "What requests to a language model do that do not say otherwise.");
  bound.def_property(
      "draft_engine", [](const ExecutorOptions& self) { return optional_path(self.draft_engine); },
      [](ExecutorOptions& self, const py::object& path) {
        self.draft_engine = path_or_empty(path, "draft_engine");
      },
      "The folder of the engine that guesses for requests of the mode \"draft\"; None: none.");
  def_field(bound, "iter_stats_max_iterations", &ExecutorOptions::iter_stats_max_iterations,
            "Iterations that stats() keeps.");
  def_field(bound, "profile", &ExecutorOptions::profile,
            "Record each stage's times for stats(); costs about 0.1 us per stage.");
  def_field(bound, "trace", &ExecutorOptions::trace,
            "Record every stage's values in Result.trace (slow; for validation).");
}

void register_build_options(py::module_& module) {
  py::class_<BuildOptions> bound(module, "BuildOptions", "Options of building an engine.");
  bound.def(py::init<>(), "The library's defaults.");
  def_repr(bound);
  bound.def_property(
      "dtype", [](const BuildOptions& self) { return name_of(self.dtype); },
      [](BuildOptions& self, const py::object& name) {
        self.dtype = dtype_from_name(value_from<std::string>(name, "dtype"));
      },
      "Of weights and cache: \"float32\", \"bfloat16\" or \"float16\".");
  def_field(bound, "quantization", &BuildOptions::quantization,
            "Quantization of the matrices to integers with scales: \"none\", \"w8a16\", \"w4a16\", "
            "\"w8a8\", \"w4a8\" (bits of the weights, bits of the activations). Tables, norms and "
            "biases stay floats.");
  def_field(bound, "group_size", &BuildOptions::group_size,
            "For w4: inputs that share a scale: 32, 64 or 128; 0: 64.");
  def_field(
      bound, "zero_points", &BuildOptions::zero_points,
      "For w4: a zero point for each scale, so that a group's range needn't be symmetric about 0.");
  def_field(bound, "head_quantization", &BuildOptions::head_quantization,
            "Of matrices that give logits: \"none\", \"w8a16\" or \"w8a8\"; empty: as of all.");
  def_field(bound, "exclude_modules", &BuildOptions::exclude_modules,
            "With a quantization: names of matrices that stay floats of dtype; * stands for any "
            "characters.");
  def_field(bound, "wide_heads", &BuildOptions::wide_heads,
            "Matrices that give logits stay floats of dtype; None: as the family says.");
  def_field(bound, "max_batch_size", &BuildOptions::max_batch_size, "Requests in flight; 0: 8.");
  def_field(bound, "max_seq_len", &BuildOptions::max_seq_len,
            "Decoder positions, including the context; 0: max_input_len plus the steps of the "
            "checkpoint's default max_frames.");
  def_field(bound, "max_input_len", &BuildOptions::max_input_len,
            "Context rows; 0: 256, or the longest stored voice if longer.");
  def_field(bound, "max_encoder_input_len", &BuildOptions::max_encoder_input_len,
            "Text tokens; 0: 512.");
  def_field(bound, "max_num_tokens", &BuildOptions::max_num_tokens,
            "Rows of one Program in one launch; 0: 512, or more if the longest text, the longest "
            "context or two rows per request need more.");
  bound.def_property(
      "codec_dir", [](const BuildOptions& self) { return optional_path(self.codec_dir); },
      [](BuildOptions& self, const py::object& path) {
        self.codec_dir = path_or_empty(path, "codec_dir");
      },
      "The checkpoint of a codec that becomes part of the engine; None: none.");
  def_field(bound, "overwrite", &BuildOptions::overwrite, "Replace an existing engine.");
}

}  // namespace

void register_options(py::module_& module) {
  register_attention_prior(module);
  register_maskgit(module);
  register_tokens(module);
  register_block(module);
  register_flow(module);
  register_speculation(module);
  register_executor_options(module);
  register_build_options(module);
}

}  // namespace ttsrt::python
