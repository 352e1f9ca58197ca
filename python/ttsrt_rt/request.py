"""`Request` and its options, frozen and keyword-only.

Defaults of options are not repeated here: they come from the library's own structs
(`ttsrt/options.h`). An option of a request that is None takes the checkpoint's default. Arrays may
be anything that numpy can read: arrays, lists, the buffer protocol, DLPack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

from ttsrt_rt.decoding_options import (
    AttentionPrior,
    BlockDiffusion,
    Flow,
    FlowText,
    MaskGit,
    PriorFields,
    Speculation,
    TokenOptions,
)
from ttsrt_rt.options import named_fields
from ttsrt_rt.quoting import show
from ttsrt_rt.text_options import TextOptions

if TYPE_CHECKING:
    from array import array

    from ttsrt_rt.options import EosMethod

__all__ = [
    "ArrayInput",
    "AttentionPrior",
    "BlockDiffusion",
    "Flow",
    "FlowText",
    "MaskGit",
    "PriorFields",
    "Request",
    "RequestFields",
    "Speculation",
    "TextOptions",
    "TokenOptions",
]


class _HasArray(Protocol):
    def __array__(self, *args: Any, **options: Any) -> Any: ...


class _HasDLPack(Protocol):
    def __dlpack__(self, *args: Any, **options: Any) -> Any: ...


class _HasCudaArray(Protocol):
    @property
    def __cuda_array_interface__(self) -> Any: ...


Row: TypeAlias = "Sequence[int] | Sequence[float] | _HasArray | _HasDLPack | _HasCudaArray"

ArrayInput: TypeAlias = "Row | Sequence[Row] | bytearray | memoryview | array[Any]"
"""What numpy can read as an array of numbers; not a text, although numpy reads that, too. Rows of
floats may be in the memory of the GPU that the executor runs on (docs/gpu.md)."""


@named_fields
@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One utterance to speak.

    The text is exactly one of `text`, `text_ids`, `text_features` and `encoder_output`; the
    context exactly one of `voice`, `context_codes`, `context_embeddings`, `context_text` and
    `context_text_ids`. A codec takes exactly one of `codes` and `samples` instead.

    Attributes:
        text: What to speak, for engines that carry a front end (docs/text.md).
        language: Of `text`: "en", "de-DE", or the name of one of the engine's tokenizers; None for
            the engine's default.
        text_options: How `text` is read.
        text_ids: Ids as given, nothing is appended: integers [text_len]. Chatterbox T3: an id -1
            stands for the next row of `text_features`, so that ids and rows may be mixed.
        text_chunks: A long text: how many of `text_ids` each of its chunks has: integers [chunks].
            They are one utterance: each chunk but the first goes on with the state that NeMo
            carries from chunk to chunk. None for one chunk. Only Magpie has chunks.
        text_history: How many ids of the chunks before a later chunk reads again at most, 1 to
            4096. None for 20, as in NeMo 3.0.0, which ignores what a checkpoint says;
            "checkpoint" for its `history_len_heuristic`. Only Magpie has it.
        text_silences: Samples of silence in front of the sound of each chunk, and behind that of
            the last if speech comes to its end: integers [chunks + 1]. They are no frames, and what
            is carried from chunk to chunk goes on. Only of requests whose codes become sound.
        text_voices: The voice of each chunk, by index or by name; None for the context of the
            request. A chunk with another voice than the one before begins as a request does. Only
            Magpie has such voices.
        text_features: Rows before the encoder: floats [text_len, dim]. Chatterbox T3: rows in place
            of token embeddings; the text's learned positions are added.
        encoder_output: Rows after the encoder: floats [text_len, dim].
        voice: A stored voice, by index or by name.
        context_codes: Codec codes, special columns included: integers [frames, codebooks].
        context_embeddings: Rows as the decoder takes them: floats [rows, dim].
        context_text: A text that describes the voice, for engines whose front end has a tokenizer
            for it (docs/text.md#descriptions-of-voices).
        context_text_ids: Ids of such a text: integers [context_text_len].
        emotion: Chatterbox T3: how strong the emotion is, instead of the voice's; the original's
            `exaggeration`. Its row takes the place of the last row of the voice, also of
            `context_embeddings`, whose last row is that of the emotion.
        prompt_embeddings: Models whose prompt is rows in front of what they generate (Chatterbox
            T3): the whole prompt as the decoder takes it, the row behind which the first token is
            drawn included, instead of a text and a context: floats [rows, dim]. Nothing is added to
            these rows but the positions of a decoder that has learned ones of its own (GPT-2).
        unconditional_embeddings: With `prompt_embeddings` and guidance, the prompt of the
            unconditional branch: floats, as many rows. It and the other rows of floats may be
            float32 arrays on the GPU that the executor runs on, which must not change until the
            request has ended (docs/gpu.md).
        flow: Options of flow matching (F5-TTS, IndicF5). Such models take their text as `text_ids`
            and their prompt as a log-mel spectrogram, `context_embeddings` [frames, mel_bins], or a
            voice of such rows; they may have neither.
        flow_text: With `text` and a prompt, what the prompt says, by which the text is cut and
            timed as F5-TTS does it; the request then takes texts of any length, and `text` is what
            is spoken. None: `text` is that of the prompt and one chunk, of `flow.duration` frames.
        noise: Where the integration begins: floats [frames, mel_bins]; None draws it by `seed`.
        edit_mask: For each frame of the prompt, True or 1 where it stays as it is, False or 0 where
            it is made anew; None for all stay.
        mel: Vocoders, alone or in another model: the log-mel spectrogram to turn into sound,
            instead of a text: floats [at least 2 frames, mel_bins].
        codes: Codecs: the codes to turn into sound: integers [frames, codebooks], without
            special ids. S3Gen: the speech tokens of T3, [tokens, 1]; those that are no sound are
            left out.
        samples: Codecs with an encoder: the sound to turn into codes, one channel at the codec's
            `engine.info.sample_rate`, usually in [-1, 1]: floats [samples]. Zeros fill the last
            frame of `engine.info.samples_per_frame`.
        codes_only: Models with a codec (`build(codec_dir=...)`): the result has codes and no audio.
        return_audio: Whether a spectrogram becomes sound; None for yes where there is a vocoder.
        return_spectrogram: Whether the result has `spectrogram`; None for yes where it has no
            audio.
        audio_start: The first frame of the utterance that becomes sound; None for the last one of
            the prompt, or 0.
        cfg_scale: Guidance, `uncond + cfg_scale * (cond - uncond)` on logits; 1 for none. It is 1 +
            `cfg_weight` of Chatterbox.
        temperature: Divides logits before a draw; 0 takes the largest.
        top_k: Draws among the k likeliest; 0 for all.
        top_p: Draws among the likeliest whose probabilities sum to this.
        min_p: Draws among those at least this likely, relative to the likeliest.
        repetition_penalty: Not supported by Magpie, which accepts only 1.
        seed: Of this request's own random numbers, 0 to 2**64 - 1. The same seed gives the same
            result.
        max_frames: Codec frames after which the request ends with "length". Of a text in chunks,
            those of all chunks; each makes as many as the checkpoint's default at most.
        min_frames: Codec frames before which end of speech is impossible; see `strict_end`. Of a
            text in chunks, those of each chunk.
        score: Language models: nothing is generated. The result tells how likely each of
            `text_ids`, at most `max_seq_len` + 1, is behind those in front of it (`nll`).
        shared_prefix: Language models: of `text_ids`, the first so many begin other requests, too,
            with which this one shares their rows of the cache in whole blocks of 16: whoever comes
            first computes them. They stay for later requests until their blocks are needed. It
            changes no result.
        strict_end: Only for checkpoints whose configuration forces the id that ends speech. The
            original forbids special ids by their place after the codec's K codes: K+1 before
            `min_frames`, the others always, whichever id ends speech. False does as the original;
            with True the id that ends speech is impossible before `min_frames`, and possible from
            then on. Chatterbox T3 and language models accept only False.
        prior: "default" for the checkpoint's, None for off, or these options.
        eos_method: How end of speech is detected, e.g. "argmax_or_multinomial_any". Models that
            decide codes in blocks accept only None.
        use_local_transformer: False draws from the independent heads.
        maskgit: Options of a MaskGit local transformer, for checkpoints that have one.
        block: Options of block diffusion, for models that decide codes in blocks.
        speculation: Language models: whether and how ids are guessed and checked together; None for
            as the executor says. Requests with `forced_codes`, or with penalties, biases or
            log-probabilities of `tokens`, are never guessed.
        tokens: Options of language models; None does as transformers, which draws padding ids,
            too.
        forced_codes: Codes of the whole result, in whole decoder steps: integers [frames,
            codebooks]. Each step draws as usual and then goes on from these codes instead, and
            nothing ends it early. For comparing the stages of a given utterance.
        return_alignment: Whether the result has `alignment`.
        return_positions: Whether result and events have `text_positions`.
        analyze_alignment: Chatterbox T3 with alignment heads: True lets the alignment forbid an end
            of speech before the end of the text, and force one that is overdue (`chatterbox-tts`
            0.1.3 to 0.1.7, AlignmentStreamAnalyzer); None for the checkpoint's default.
        mask_invalid: Chatterbox T3: True lets only speech tokens and the end of speech be drawn.
        stop_after_equal: So many equal steps in a row end speech, not before `min_frames`; None for
            any number.
        chunk_frames: Streaming: the smallest number of frames in one event, except the last and
            those that end in silence. A codec turns so many frames at least into sound together.
        initial_chunk_frames: The same of the first event, which is early where this is small; None
            for `chunk_frames`.
        priority: Of the requests that wait, those with a larger priority start first; they may
            pause those with a smaller one, see `preempt` of `Executor`.
        deadline: Seconds from submit after which the request ends with "deadline".
    """

    text: str | None = None
    language: str | None = None
    text_options: TextOptions | None = None
    text_ids: ArrayInput | None = None
    text_chunks: ArrayInput | None = None
    text_history: int | str | None = None
    text_silences: ArrayInput | None = None
    text_voices: Sequence[int | str | None] | None = None
    text_features: ArrayInput | None = None
    encoder_output: ArrayInput | None = None
    voice: int | str | None = None
    context_codes: ArrayInput | None = None
    context_embeddings: ArrayInput | None = None
    context_text: str | None = None
    context_text_ids: ArrayInput | None = None
    emotion: float | None = None
    prompt_embeddings: ArrayInput | None = None
    unconditional_embeddings: ArrayInput | None = None
    flow: Flow | None = None
    flow_text: FlowText | None = None
    noise: ArrayInput | None = None
    edit_mask: ArrayInput | None = None
    mel: ArrayInput | None = None
    codes: ArrayInput | None = None
    samples: ArrayInput | None = None
    codes_only: bool = False
    return_audio: bool | None = None
    return_spectrogram: bool | None = None
    audio_start: int | None = None
    cfg_scale: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int = 0
    max_frames: int | None = None
    min_frames: int | None = None
    score: bool = False
    shared_prefix: int = 0
    strict_end: bool = False
    prior: AttentionPrior | Literal["default"] | None = "default"
    eos_method: EosMethod | None = None
    use_local_transformer: bool | None = None
    maskgit: MaskGit | None = None
    block: BlockDiffusion | None = None
    speculation: Speculation | Mapping[str, Any] | None = None
    tokens: TokenOptions | None = None
    forced_codes: ArrayInput | None = None
    return_alignment: bool = False
    return_positions: bool = False
    analyze_alignment: bool | None = None
    mask_invalid: bool = False
    stop_after_equal: int | None = None
    chunk_frames: int = 1
    initial_chunk_frames: int | None = None
    priority: int = 0
    deadline: float | None = None

    def __repr__(self) -> str:
        given = (
            f"{field.name}={_shown(value)}"
            for field in dataclasses.fields(self)
            if _is_given(value := getattr(self, field.name), field.default)
        )
        return f"Request({', '.join(given)})"


class RequestFields(TypedDict, total=False):
    """The fields of `Request`, as keyword arguments of `generate`, `stream`, `submit` and so on."""

    text: str | None
    language: str | None
    text_options: TextOptions | None
    text_ids: ArrayInput | None
    text_chunks: ArrayInput | None
    text_history: int | str | None
    text_silences: ArrayInput | None
    text_voices: Sequence[int | str | None] | None
    text_features: ArrayInput | None
    encoder_output: ArrayInput | None
    voice: int | str | None
    context_codes: ArrayInput | None
    context_embeddings: ArrayInput | None
    context_text: str | None
    context_text_ids: ArrayInput | None
    emotion: float | None
    prompt_embeddings: ArrayInput | None
    unconditional_embeddings: ArrayInput | None
    flow: Flow | None
    flow_text: FlowText | None
    noise: ArrayInput | None
    edit_mask: ArrayInput | None
    mel: ArrayInput | None
    codes: ArrayInput | None
    samples: ArrayInput | None
    codes_only: bool
    return_audio: bool | None
    return_spectrogram: bool | None
    audio_start: int | None
    cfg_scale: float | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    seed: int
    max_frames: int | None
    min_frames: int | None
    score: bool
    shared_prefix: int
    strict_end: bool
    prior: AttentionPrior | Literal["default"] | None
    eos_method: EosMethod | None
    use_local_transformer: bool | None
    maskgit: MaskGit | None
    block: BlockDiffusion | None
    speculation: Speculation | Mapping[str, Any] | None
    tokens: TokenOptions | None
    forced_codes: ArrayInput | None
    return_alignment: bool
    return_positions: bool
    analyze_alignment: bool | None
    mask_invalid: bool
    stop_after_equal: int | None
    chunk_frames: int
    initial_chunk_frames: int | None
    priority: int
    deadline: float | None


def _is_given(value: object, default: object) -> bool:
    # An array is not compared with a default, which would be done element by element.
    return value is not default and not (type(value) is type(default) and value == default)


def _shown(value: object) -> str:
    """A value of a field: an array as its type and shape."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return show(value) if shape is None else f"{dtype}{list(shape)}"
