// Requests, and the events and results that they produce.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ttsrt/error.h"
#include "ttsrt/export.h"
#include "ttsrt/options.h"
#include "ttsrt/stats.h"
#include "ttsrt/tensor.h"
#include "ttsrt/text.h"

namespace ttsrt {

/// A stored voice, by index or by name.
using VoiceRef = std::variant<std::int32_t, std::string>;

/// Whether a voice may have this name: 1 to 64 letters of any script, digits, "_", "-" and ".", in
/// UTF-8; not "." or "..".
TTSRT_API bool is_voice_name(const std::string& name);

/// Request::max_frames is more than fits behind the rows in front of what is generated. In Python a
/// ConfigError with `limit`.
class TTSRT_API FrameLimitError : public ConfigError {
 public:
  FrameLimitError(const std::string& message, std::int64_t limit)
      : ConfigError(message), limit_(limit) {}
  std::int64_t limit() const noexcept { return limit_; }  ///< the most that this request may have

 private:
  std::int64_t limit_;
};

/// Rows of floats that a request takes: as `values`, or where they are in the memory of a GPU. Rows
/// on a GPU are not copied through the host. They must not change until the request has ended, and
/// whatever was to write them must have ended before submit() (wait_for_cuda_stream).
struct InputRows : Matrix<float> {
  InputRows() = default;
  InputRows(Matrix<float> matrix) : Matrix<float>(std::move(matrix)) {}  // NOLINT: as a Matrix
  InputRows(std::int64_t num_rows, std::int64_t num_cols, std::vector<float> given)
      : Matrix<float>{num_rows, num_cols, std::move(given)} {}
  /// Float32 [num_rows, num_cols], dense, on the GPU `cuda:index`, which lives at least as long as
  /// `data` is shared: `std::shared_ptr<const float>(owner, pointer)` keeps `owner`. The request
  /// drops it when it has ended, on a thread of the executor.
  static InputRows on_gpu(std::int32_t index, std::shared_ptr<const float> data,
                          std::int64_t num_rows, std::int64_t num_cols) {
    InputRows of;
    of.rows = num_rows;
    of.cols = num_cols;
    of.gpu = index;
    of.gpu_data = std::move(data);
    return of;
  }
  bool is_on_gpu() const { return gpu_data != nullptr; }

  std::int32_t gpu = -1;                  ///< index of the GPU that has the rows
  std::shared_ptr<const float> gpu_data;  ///< [rows, cols] there, instead of `values`; or null
};

/// What sound of speech tokens goes on from: the reference of a voice.
struct SoundPrompt {
  std::vector<float> embedding;     ///< of the speaker encoder [speaker_dim]
  std::vector<std::int32_t> codes;  ///< speech tokens of the reference; may be empty
  Matrix<float> spectrogram;        ///< as Speaker::prompt_spectrogram
};

/// What a voice is made of in models that are conditioned on a speaker embedding (Chatterbox T3 and
/// S3Gen).
struct Speaker {
  std::vector<float> embedding;  ///< of the voice encoder, or of the speaker encoder [speaker_dim]
  /// Speech tokens of the reference, below BOS; may be empty.
  std::vector<std::int32_t> prompt_codes;
  std::optional<float> emotion;  ///< absent: the checkpoint's default
  /// S3Gen: the log-mel spectrogram of these tokens: two frames for each, or one more in all
  /// [frames, mel_bins].
  Matrix<float> prompt_spectrogram;
  /// T3 in an engine that makes sound of its tokens: what that takes. Absent: the voice has codes
  /// only.
  std::optional<SoundPrompt> sound;
};

/// One utterance to generate. An absent option takes the checkpoint's default.
struct Request {
  /// What is spoken, in UTF-8, for engines that carry a front end (Engine::front_end), instead of
  /// text_ids: submit() encodes it and adds the id that ends a text. Result has what became of it.
  std::optional<std::string> text;
  std::optional<std::string> language;          ///< of the text; absent: the front end's default
  TextOptions text_options;                     ///< how the text is read
  TextSplit text_split = TextSplit::automatic;  ///< when it becomes several chunks
  std::vector<LexiconEntry> lexicon;            ///< pronunciations of words of the text

  /// The text is exactly one of: ids, used unchanged (nothing is appended) [text_len]; rows before
  /// the encoder [text_len, dim]; rows after it [text_len, dim]. Chatterbox T3 takes ids and rows
  /// together: each id -1 stands for the next row of text_features.
  std::vector<std::int32_t> text_ids;
  InputRows text_features;
  InputRows encoder_output;
  /// A long text: how many of text_ids each of its chunks has, which are spoken one after the other
  /// with the state that NeMo carries from chunk to chunk. Each ends as a text does. At least 1
  /// each, in all as many as there are ids; empty: one chunk. Only Magpie has chunks.
  std::vector<std::int32_t> text_chunks;
  /// How many ids of the chunks before a later chunk reads again at most, 1 to 4096; absent: 20, as
  /// in NeMo 3.0.0, which ignores `history_len_heuristic` of checkpoints. Only Magpie has it.
  std::optional<std::int32_t> text_history;
  /// How many chunks of the text come later, by Handle::add_text, while those before are spoken.
  /// One that comes too late is waited for. With them, text_ids is at least one chunk, and there
  /// are neither text_silences nor text_voices. Only Magpie takes such text.
  std::int32_t later_chunks = 0;
  /// Samples of silence in front of the sound of each chunk, and behind that of the last if speech
  /// comes to its end: one more than there are chunks, at most 2^25 in all; empty: none. They
  /// are no frames, and what is carried from chunk to chunk goes on. Only of requests whose codes
  /// become sound.
  std::vector<std::int32_t> text_silences;
  /// The voice of each chunk instead of the request's context, which speaks those that have none;
  /// empty: they all have none. A chunk with another voice than the one before begins as a request
  /// does: with its own context, nothing of the text before it and a focus at its begin. Random
  /// numbers and the codec go on. Only Magpie has such voices.
  std::vector<std::optional<VoiceRef>> text_voices;

  /// The context is exactly one of: a stored voice; codec codes, including special columns [frames,
  /// codebooks]; rows as the decoder takes them [rows, dim]; the ids of a text that describes the
  /// voice.
  std::optional<VoiceRef> voice;
  Matrix<std::int32_t> context_codes;
  InputRows context_embeddings;
  std::vector<std::int32_t> context_text_ids;
  /// A text that describes the voice, in UTF-8, for engines whose front end has its tokenizer
  /// (TextFrontEnd::context_tokenizer): instead of context_text_ids, which submit() makes of it.
  std::optional<std::string> context_text;

  /// Chatterbox T3: how strong the emotion is (the original's `exaggeration`), instead of the
  /// voice's.
  std::optional<float> emotion;

  /// Models whose prompt is rows in front of what they generate (Chatterbox T3): the whole prompt
  /// as the decoder takes it, the row behind which the first token is drawn included, instead of a
  /// text and a context [rows, dim]. Nothing is added to these rows but the positions of a decoder
  /// that has learned ones of its own (GPT-2).
  InputRows prompt_embeddings;
  /// With prompt_embeddings and guidance: the prompt of the unconditional branch [rows, dim], of
  /// as many rows.
  InputRows unconditional_embeddings;

  /// Models of flow matching (F5-TTS): what they integrate; their text is text_ids, and their
  /// prompt the log-mel spectrogram `context_embeddings` [frames, mel_bins] or a voice of such
  /// rows.
  std::optional<Flow> flow;
  InputRows noise;  ///< where the integration begins [frames, mel_bins]; absent: drawn by the seed
  /// For each frame of the prompt, 1 if it stays as it is and 0 if it is made anew. Empty: all
  /// stay.
  std::vector<std::int32_t> edit_mask;
  /// Vocoders, alone or in another model: the log-mel spectrogram to turn into sound, instead of a
  /// text [at least 2 frames, mel_bins].
  InputRows mel;
  std::optional<bool> return_audio;        ///< absent: whether the model has a vocoder
  std::optional<bool> return_spectrogram;  ///< absent: whether the result has no audio
  /// The first frame of the utterance that becomes sound; absent: the last one of the prompt, or 0.
  std::optional<std::int32_t> audio_start;

  /// Codecs: exactly one of: the codes to turn into sound [frames, codebooks]; or, for codecs that
  /// have an encoder, the samples to turn into codes, at the codec's sample rate, finite and
  /// usually within [-1, 1]. Samples that fill no whole frame are followed by zeros.
  Matrix<std::int32_t> codes;
  std::vector<float> samples;
  /// Models that draw codes and have a codec: the result has codes and no audio.
  bool codes_only = false;

  std::optional<float> cfg_scale;     ///< 1: no guidance, one branch
  std::optional<float> temperature;   ///< 0: argmax after masks
  std::optional<std::int32_t> top_k;  ///< 0: all
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;  ///< Magpie accepts only 1: no penalty
  std::uint64_t seed = 0;
  /// Codec frames, of all chunks together. Each chunk makes as many as the checkpoint's default at
  /// most.
  std::optional<std::int32_t> max_frames;
  /// Codec frames of each chunk before which end of speech is impossible; see strict_end.
  std::optional<std::int32_t> min_frames;
  /// Only for checkpoints whose configuration forces the id that ends speech. The original forbids
  /// special ids by their place after the codec's K codes: K+1 before min_frames, the others
  /// always, whichever id ends speech. False: as the original. True: the id that ends speech is
  /// impossible before min_frames and possible from then on. Models without an encoder refuse it.
  bool strict_end = false;

  bool use_default_prior = true;          ///< true: the checkpoint's prior; false: `prior`
  std::optional<AttentionPrior> prior;    ///< if use_default_prior is false: this prior, or none
  std::optional<std::string> eos_method;  ///< not for models that decide codes in blocks
  std::optional<bool> use_local_transformer;  ///< false: independent heads
  std::optional<MaskGit> maskgit;             ///< only for models that have one
  std::optional<BlockDiffusion> block;        ///< only for models that decide codes in blocks
  /// Only for language models. Absent: as transformers does, which draws padding ids too.
  std::optional<TokenOptions> tokens;

  /// Language models: nothing is generated. The result tells how likely each of text_ids, at most
  /// max_seq_len + 1, is behind those in front of it (Result::nll).
  bool score = false;

  /// Language models: of text_ids, the first so many begin other requests, too, with which this one
  /// shares their rows of the cache in whole blocks of 16: whoever comes first computes them. They
  /// stay for later requests until their blocks are needed. 0: none. It changes no result.
  std::int32_t shared_prefix = 0;

  /// Language models: whether and how ids are guessed and checked together. Absent: as the executor
  /// says (ExecutorOptions::speculation). Requests with forced_codes are never guessed.
  std::optional<Speculation> speculation;

  /// Codes of the whole result, [frames, codebooks] in whole decoder steps: each step draws as
  /// usual and then goes on from these codes instead, and nothing ends it early. For comparing the
  /// stages of a given utterance (ExecutorOptions::trace, return_alignment). Empty: none.
  Matrix<std::int32_t> forced_codes;

  /// The result has `alignment`: for each step, how much it attended to each row of the text, or of
  /// the window of its chunk (Result::chunk_offsets).
  bool return_alignment = false;
  /// Result and events have `text_positions`: the row of the text that each step attends to most.
  bool return_positions = false;
  /// Chatterbox T3 with alignment heads: whether the alignment forbids an end of speech before the
  /// end of the text, and forces one that is overdue (the original's alignment stream analyzer).
  std::optional<bool> analyze_alignment;
  /// Chatterbox T3: whether only speech tokens and the end of speech may be drawn.
  bool mask_invalid = false;
  /// So many equal steps in a row end speech, at least 1; absent: none do. Such an end is never
  /// before min_frames.
  std::optional<std::int32_t> stop_after_equal;
  /// Streaming: least number of frames in one event, but for the last one and those that end in
  /// silence. Of models that have a codec, as many frames at least become sound together.
  std::int32_t chunk_frames = 1;
  /// The same of the first event, which is early where this is small; absent: chunk_frames.
  std::optional<std::int32_t> initial_chunk_frames;
  /// Larger values start first, and may pause smaller ones (ExecutorOptions::preempt).
  std::int32_t priority = 0;
  std::optional<double> deadline;  ///< seconds from submit
};

/// Why a request ended.
enum class FinishReason : std::int32_t { stop, length, cancelled, deadline, error };

/// Returns "stop", "length", "cancelled", "deadline" or "error".
TTSRT_API const char* name_of(FinishReason reason);

/// Times of one request, in seconds.
struct Metrics {
  double queue_seconds = 0.0;        ///< submit until it gets a slot
  double first_frame_seconds = 0.0;  ///< submit to the first frame
  double first_audio_seconds = 0.0;  ///< submit to the first samples; 0: there were none
  double total_seconds = 0.0;        ///< submit to the end
  double frames_per_second = 0.0;    ///< frames / total_seconds
  double x_real_time = 0.0;      ///< seconds of audio per second: frames_per_second / frame rate
  double rtf = 0.0;              ///< total_seconds per second of audio; 0 without frames
  std::int32_t steps = 0;        ///< decoder steps
  SpeculationStats speculation;  ///< of a request that speculates
};

/// Logarithms of probabilities of the steps of a language model: of its scores as they are, before
/// any penalty, mask or temperature.
struct Logprobs {
  std::vector<float> drawn;      ///< of the id that each step drew [steps]
  Matrix<std::int32_t> top_ids;  ///< the likeliest ids of each step, in order [steps, asked]
  Matrix<float> top;             ///< and of these [steps, asked]
};

/// A part of a result while streaming. The last event of a request has `is_last` and the finish
/// reason.
struct Event {
  Matrix<std::int32_t> codes;  ///< [new frames, codebooks], may be empty at the end
  std::int32_t first_frame = 0;
  bool is_last = false;
  FinishReason finish_reason = FinishReason::stop;  ///< of the last event
  Matrix<float> spectrogram;  ///< [new rows, bands] of models that end in a spectrogram
  /// New samples, of models that end in sound. Where they follow codes, they may be of frames whose
  /// codes were in an earlier event.
  std::vector<float> audio;
  /// Of the new steps, if requested: as Result::text_positions.
  std::vector<std::int32_t> text_positions;
  /// Of each chunk of a text that has ended since the event before: as in Result.
  std::vector<std::int32_t> chunk_steps;
  std::vector<std::int32_t> chunk_frames;
  Logprobs logprobs;  ///< of the new steps, if requested: as Result::logprobs
  /// Of the last event: as Result::stop_id.
  std::optional<std::int32_t> stop_id;
};

/// The values of one stage in one step, recorded with ExecutorOptions::trace.
struct TraceEntry {
  std::string name;       ///< "encoder_out", "decoder.hidden", ...
  std::int32_t step = 0;  ///< decoder step; of whole items, the evaluation; 0 for encoders
  Matrix<float> values;
};

/// The whole result of a request.
struct Result {
  Matrix<std::int32_t> codes;  ///< [frames, codebooks]
  FinishReason finish_reason = FinishReason::stop;
  std::string error;  ///< the message if finish_reason is error
  /// Of a request with a text: the text, the engine's name of the language that it was spoken in
  /// (or of the tokenizer, where that was named), the ids that it became, where each of them begins
  /// and ends in the text, in code points [ids], and the characters that were left out.
  std::string text;
  std::string language;
  std::vector<std::int32_t> text_ids;
  std::vector<TextSpan> text_spans;
  std::vector<DroppedCharacter> dropped_text;
  /// If requested: [steps, text_len]; of a text in chunks, text_len is that of the longest window,
  /// column j of a step is row chunk_offsets[its chunk] + j of the text, and columns behind the
  /// window are 0.
  Matrix<float> alignment;
  std::vector<std::int32_t>
      focus;  ///< text position in focus after each step; empty without a prior
  /// If requested: for each step, the index in text_ids (or the row) with the largest alignment.
  std::vector<std::int32_t> text_positions;
  /// Of each chunk that has begun: its decoder steps, and the index in text_ids at which its window
  /// begins, which holds the end of the chunk before. A text without chunks is one.
  std::vector<std::int32_t> chunk_steps;
  std::vector<std::int32_t> chunk_offsets;
  std::vector<std::int32_t> chunk_frames;  ///< of each of these chunks: its codec frames
  /// In front of each of these chunks, and behind the last where that was made: samples of silence
  /// in `audio`. Empty: there are none.
  std::vector<std::int32_t> chunk_silences;
  Metrics metrics;
  Matrix<float> spectrogram;     ///< [rows, bands] of models that end in a spectrogram
  std::vector<float> audio;      ///< samples, of models that end in sound
  std::int32_t sample_rate = 0;  ///< of `audio`, in Hz; 0: the model makes no sound
  std::vector<TraceEntry> trace;
  /// If requested (Request::score): the negative logarithm of the probability of each of text_ids
  /// but the first, given those in front of it [ids - 1].
  std::vector<float> nll;
  /// If requested (TokenOptions::logprobs). The step that drew the id of the end is the last one.
  Logprobs logprobs;
  /// Of models whose steps draw one code: the id that ended the request. It is not among `codes`.
  std::optional<std::int32_t> stop_id;
};

}  // namespace ttsrt
