"""The C++ library as Python sees it.

Types are kept by hand and checked by stubtest. Docstrings are those of the bindings:
scripts/document_stubs.py copies them here.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ttsrt_rt.options import (
    CacheDType,
    Device,
    DType,
    EosMethod,
    FlowMethod,
    FlowMode,
    MaskGitSampling,
    NgramMatch,
    Preempt,
    PriorMode,
    Quantization,
    RepetitionScope,
    SpeculationMode,
    Suppress,
    TextSplit,
)
from ttsrt_rt.result import FinishReason

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

class DeviceInfo:
    """A device that can run engines."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def name(self) -> Device:
        """The value for ExecutorOptions.device: "cpu", "reference"."""

    @property
    def description(self) -> str:
        """For people: instruction set, cores."""

    @property
    def available(self) -> bool:
        """Whether an executor can run on it."""

    @property
    def reason(self) -> str:
        """Why the device is unavailable, if it is."""

def usable_cores() -> int:
    """The cores that this process may use, by its affinity and by the quota of its control
    groups: the default number of threads."""

def list_devices() -> list[DeviceInfo]:
    """Every device this build knows, available or not."""

def gpu_of(address: int) -> int:
    """The index of the GPU in whose memory an address lies. Raises ConfigError if it lies in
    none, DeviceError where this build or machine can't use GPUs."""

def wait_for_cuda_stream(gpu: int, stream: int) -> None:
    """Waits until the work that was queued on a stream of a GPU has ended. The stream is a
    cudaStream_t as a number: 0 or 1 for the default stream, which waits for all streams that
    weren't created as non-blocking, and 2 for that of this thread."""

def read_dlpack(
    capsule: object,
) -> tuple[int, int, int, tuple[int, int, int], tuple[int, ...], tuple[int, ...] | None]:
    """Device type, device id, address, (type code, bits, lanes), shape, and strides in elements
    or None, of a DLPack capsule, which keeps the array."""

def describe_products(dtype: str, quantization: str) -> str:
    """How this machine's CPU multiplies matrices of this type."""

def read_wav(path: _Path) -> tuple[NDArray[np.float32], int]:
    """The samples of a WAV file, float32 [frames, channels], and their rate."""

def parse_wav(data: bytes, name: str) -> tuple[NDArray[np.float32], int]:
    """As read_wav, of the bytes of a file; `name` stands for it in messages."""

def resample(samples: ArrayLike, from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """The samples, float32 [count], at another rate, by torchaudio's default filter."""

def log_mel(
    samples: ArrayLike,
    *,
    kind: str = "vocos",
    sample_rate: int = 24000,
    window: int = 1024,
    hop: int = 256,
    bands: int = 100,
) -> NDArray[np.float32]:
    """The log-mel spectrogram of samples, float32 [frames, bands]."""

class TextPart:
    """A part of what is spoken: plain text, or phonemes."""

    def __init__(
        self,
        text: str,
        *,
        is_phonemes: bool = False,
        tokenizer: str = "",
        begin: int = 0,
        spans: ArrayLike | None = None,
    ) -> None:
        """Takes the fields."""

    @property
    def text(self) -> str:
        """What is spoken."""

    @property
    def is_phonemes(self) -> bool:
        """Whether the text is a pronunciation as dictionaries have it: every code point is a
        symbol, white space means nothing."""

    @property
    def tokenizer(self) -> str:
        """The tokenizer that encodes it; "": the one of the call."""

    @property
    def begin(self) -> int:
        """Where it begins in the given text, in code points."""

    @property
    def spans(self) -> NDArray[np.int32]:
        """Where each code point comes from in the given text, int32 [code points, 2]; none: they
        are there in a row, from `begin`."""

class TextPiece:
    """A chunk of a text before it is encoded."""

    @property
    def text(self) -> str:
        """As it will be encoded."""

    @property
    def begin(self) -> int:
        """Where it begins in the given text, in code points."""

    @property
    def end(self) -> int:
        """Behind its last character in the given text, in code points."""

    @property
    def spans(self) -> NDArray[np.int32]:
        """Where each code point comes from in the given text, int32 [code points, 2]."""

class EncodedText:
    """The ids of a text."""

    @property
    def ids(self) -> NDArray[np.int32]:
        """Ids of the model's table, without the one that ends a text, int32 [ids]."""

    @property
    def spans(self) -> NDArray[np.int32]:
        """Where each comes from in the given text, in characters, int32 [ids, 2]."""

    @property
    def dropped(self) -> dict[str, int]:
        """The characters that no symbol speaks, and how often each was left out."""

class EncodedChunks:
    """A text in chunks, ready for a model."""

    @property
    def ids(self) -> NDArray[np.int32]:
        """Of all chunks; each ends in the id that ends a text, int32 [ids]."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Ids of each chunk, int32 [chunks]."""

    @property
    def spans(self) -> NDArray[np.int32]:
        """Where each id comes from in the given text, in characters, int32 [ids, 2]."""

    @property
    def pieces(self) -> list[TextPiece]:
        """The chunks' texts."""

    @property
    def dropped(self) -> dict[str, int]:
        """The characters that no symbol speaks, and how often each was left out."""

class TextTokenizerInfo:
    """One of the vocabularies that a front end is made of."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """ "ipa", "bytes", "chars"; "mandarin" and "japanese" are encoded in Python."""

    @property
    def offset(self) -> int:
        """Its first id."""

    @property
    def size(self) -> int:
        """How many ids it has."""

    @property
    def pad(self) -> int:
        """Its padding id, offset included; -1: none."""

class TextLanguage:
    """A language that a front end speaks."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def language(self) -> str:
        """As the checkpoint calls it: "de"; "": a tokenizer was named."""

    @property
    def tokenizer(self) -> str:
        """The name of its tokenizer."""

class LexiconEntry:
    """A word's pronunciation, which comes before heteronyms and dictionaries."""

    def __init__(self, word: str, symbols: str, *, is_exact: bool = False) -> None:
        """Takes the fields."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def word(self) -> str:
        """One word of letters, "-" and "'"."""

    @property
    def symbols(self) -> str:
        """As the text of a part of phonemes."""

    @property
    def is_exact(self) -> bool:
        """Whether capitals count."""

class TextFrontEnd:
    """Turns text into ids. Thread safe."""

    @staticmethod
    def open(folder: _Path) -> TextFrontEnd:
        """Reads the folder "text" of a checkpoint or an engine. Raises FormatError naming file
        and line or field."""

    @staticmethod
    def find(folder: _Path) -> TextFrontEnd | None:
        """As open, of the checkpoint or engine that has the folder "text"; None if it has none,
        or a front end that only Python knows. Raises FormatError as open."""

    def tokenizers(self) -> list[TextTokenizerInfo]:
        """Its vocabularies, in the order of their ids."""

    def languages(self) -> list[TextLanguage]:
        """What it speaks, sorted."""

    @property
    def default_language(self) -> str:
        """The language of calls that name none."""

    @property
    def size(self) -> int:
        """Ids of all vocabularies."""

    @property
    def text_bos(self) -> int:
        """The id that begins a text."""

    @property
    def text_eos(self) -> int:
        """The id that ends a text."""

    @property
    def context_tokenizer(self) -> str:
        """The tokenizer of texts that describe a voice; "": there is none."""

    def encode_context(self, text: str) -> list[int]:
        """The ids of a text that describes a voice, with padding behind them. Raises ConfigError
        if there is no context_tokenizer, or the text has too many.
        """

    def tokens(self, tokenizer: str) -> list[str]:
        """The vocabulary of one tokenizer, in the order of its ids. Where two symbols are equal,
        the later id stands for both. Raises ConfigError for another name, listing the known
        ones."""

    def resolve(self, language: str = "") -> TextLanguage:
        """A language and its tokenizer, found by the language ("de", "de-DE", "de_DE") or by the
        name of a tokenizer; "": the default. Raises ConfigError for another name, listing the
        known ones."""

    def encode(
        self,
        parts: str | Sequence[TextPart],
        tokenizer: str,
        *,
        strict: bool = False,
        special_text: bool = False,
        lexicon: Sequence[LexiconEntry] = (),
    ) -> EncodedText:
        """Encodes a text, or parts one behind the other, as they are; nothing is split.
        `strict`: characters that no symbol speaks are an error. `special_text`: tokenizers of
        bytes read "</s>" and the like as the original does. `lexicon`: a list of
        LexiconEntry, which come before heteronyms and dictionaries. Raises ConfigError for a
        text that is no Unicode or over 16 MiB, an unknown tokenizer or one that needs Python,
        phonemes that the tokenizer lacks, a wrong entry, and with `strict` for characters
        that no symbol speaks."""

    def split(self, text: str, language: str = "", mode: TextSplit = "auto") -> list[TextPiece]:
        """Cuts a text into chunks: with "auto" by sentences if it is long, with "never" not at
        all, with "sentences" always, and with "phrases" as with auto, but with at most 35
        words in a chunk. Raises ConfigError for a text that is no Unicode or over 16 MiB, an
        unknown language or another mode."""

    def count(self, text: str, language: str = "") -> int:
        """Words of a text, or characters of Chinese and Japanese, as splitting counts them.
        Raises ConfigError for a text that is no Unicode or over 16 MiB, or an unknown
        language."""

    def threshold(self, language: str = "") -> int:
        """The count from which on a text is split into sentences. Raises ConfigError for an
        unknown language."""

    def encode_chunks(
        self,
        text: str,
        language: str = "",
        *,
        split: TextSplit = "auto",
        strict: bool = False,
        special_text: bool = False,
        lexicon: Sequence[LexiconEntry] = (),
    ) -> EncodedChunks:
        """Splits and encodes a text; the options are those of `encode` and `split`. A chunk in
        which nothing can be spoken is left out. Raises ConfigError if that is true of all,
        and as `encode` and `split`."""

class AttentionPrior:
    """Options of the attention prior."""

    mode: PriorMode | None
    """The rule: "nemo", "nemo_2503" or "window"."""
    epsilon: float | None
    """Weight outside the favoured positions, in [0, 1]."""
    lookahead: int | None
    """Positions searched for the next focus, from the current one on."""
    left: int | None
    """Favoured positions before the focus."""
    right: int | None
    """Favoured positions after the focus."""
    estimate_layers: list[int] | None
    """Layers whose attention finds the focus; empty: all text layers."""
    apply_layers: list[int] | None
    """Layers the prior acts in; empty: all text layers."""
    start_step: int | None
    """First decoder step after which the focus moves."""
    skip_after: int | None
    """A focus counted this many times is skipped."""
    suppress_after: int | None
    """A position counted this many times gets epsilon; 0: never."""
    suppress: Suppress | None
    """"upto": it and all positions before; "single": only it."""
    short_text: int | None
    """Texts up to this length get weight 1 everywhere."""
    end_margin: int | None
    """Tokens at the end that the search leaves out."""
    count_end: bool | None
    """Whether the end reached by an empty search is counted (2503: not)."""
    track_finish: bool | None
    """Whether progress through the text forbids and forces end of speech."""
    unfinished_grace: int | None
    """Steps near the end during which end of speech stays forbidden."""
    force_after: int | None
    """Steps near the end after which end of speech is forced."""
    end_after: int | None
    """"window": the request ends after this many steps at the end; 0: never."""
    recompute: bool | None
    """Each step recomputes all positions with the newest prior (slow)."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    def __init__(self) -> None:
        """The library's defaults."""

class MaskGit:
    """How a MaskGit local transformer unmasks a stack of codes."""

    steps: int
    """Number of passes."""
    noise_scale: float
    """Noise added to confidences."""
    schedule: list[int]
    """Codes already unmasked at the start of each pass; overrides steps; empty: cosine."""
    dynamic_cfg_scale: bool
    """Guidance rises linearly from 1 to cfg_scale over the passes."""
    sampling: MaskGitSampling
    """"default", "causal", "purity_default", "purity_causal"."""
    confidence_temperature: float | None
    """Divides logits for the confidences; None: the request's temperature, or the checkpoint's
    if that is 0."""

    def __init__(self) -> None:
        """The library's defaults."""

class TokenOptions:
    """How language models choose among their tokens."""

    stop_ids: list[int]
    """Ids that end a text beside the model's."""
    ignore_eos: bool
    """The model's own id of the end is an ordinary token."""
    mask_padding_ids: bool
    """Ids that the tokenizer does not have are never drawn."""
    repetition_scope: RepetitionScope
    """Which ids the repetition penalty counts: "all" or "generated"."""
    presence_penalty: float
    """Taken from the score of each id that was drawn."""
    frequency_penalty: float
    """The same, once for each time it was drawn."""
    logit_bias: dict[int, float]
    """Added to the scores of ids."""
    bad_ids: list[int]
    """Are never drawn."""
    logprobs: int | None
    """So many of the likeliest ids are told for each step, at most 20."""

    def __init__(self) -> None:
        """The library's defaults."""

class BlockDiffusion:
    """How a model decides the codes of a block together."""

    steps: int | None
    """Steps that decide a block, at most."""
    early: float | None
    """How early a step decides codes beyond its schedule; 0: never."""
    shift: float | None
    """Of the schedule: 1 decides evenly, less decides more codes late."""
    noise: float | None
    """Factor of the noise in the scores by which codes are decided."""

    def __init__(self) -> None:
        """Nothing given: as the checkpoint says."""

class Speculation:
    """How ids of a text are guessed and checked together."""

    mode: SpeculationMode | None
    """"none", "ngram" or "draft"."""
    num_draft_tokens: int | None
    """Ids guessed for one step, at most."""
    max_ngram: int | None
    """Last ids that are looked up together, at most."""
    match: NgramMatch | None
    """Which earlier place counts: "last" or "first"."""
    min_confidence: float | None
    """Guesses end where the draft engine's likeliest id has a smaller probability."""
    speculate_below: int | None
    """Requests in flight, from which on nothing is guessed."""

    def __init__(self) -> None:
        """Nothing given: as the executor says, or the library's defaults."""

class Flow:
    """How flow matching makes a spectrogram."""

    steps: int | None
    """Of the integration."""
    cfg_strength: float | None
    """Guidance: cond + cfg_strength * (cond - uncond) on velocities."""
    sway_sampling_coef: float | None
    """Bends the steps towards the beginning (-1) or the end; 0: it does not."""
    use_epss: bool | None
    """Whether few steps are the pruned ones of EPSS."""
    method: FlowMethod | None
    """"euler" or "midpoint"."""
    duration: int | None
    """Frames of the utterance, prompt included."""
    max_duration: int | None
    """The most frames."""
    lens: int | None
    """Frames of the prompt."""
    no_ref_audio: bool
    """The prompt is not heard."""
    mode: FlowMode | None
    """Sound of speech tokens: "whole" or "chunks"."""
    hops: list[int]
    """With "chunks": tokens of each chunk."""
    history: int | None
    """With "chunks": tokens in front of a chunk that are integrated with it."""

    def __init__(self) -> None:
        """Nothing given: as the checkpoint says."""

class ExecutorOptions:
    """Options of an executor."""

    device: str
    """Its name: "auto", "cpu", "reference"."""
    num_threads: int
    """CPU threads; 0: one per core this process may use."""
    pin_threads: bool
    """On the CPU, binds thread t of the executor to the t-th core that the process may use. It
    binds only the executor's own threads, needs Linux and at least as many cores as threads,
    and is for processes that have their cores to themselves."""
    max_batch_size: int
    """Requests in flight; at most the engine's."""
    max_queue_size: int
    """Accepted requests that may wait; else CapacityError."""
    preempt: Preempt
    """"none", or "priority": a larger priority pauses a smaller one."""
    max_paused_requests: int
    """Requests that may be paused at once; 0: as many as may run."""
    max_num_tokens: int
    """Rows of one Program in one launch; at most the engine's."""
    max_tokens_in_paged_kv_cache: int
    """Positions of the paged self-attention cache for both branches of all requests, paused ones
    included; 0: enough for all of them guided and of full length. A request reserves its
    worst case."""
    kv_cache_free_gpu_mem_fraction: float | None
    """On a GPU, limits the paged cache to this share of the memory that is free beside
    everything else; None: no such limit."""
    prefill_slice_seconds: float
    """Approximate limit on the time of encoders and prefill per iteration while other requests
    decode; 0: no limit, as with trace. The next iteration continues where this one stopped."""
    kv_cache_dtype: str
    """"float32", "bfloat16", "float16" or "int8" (with a float32 scale per position and head);
    empty: the dtype of the engine's weights."""
    speculation: Speculation
    """What requests to a language model do that do not say otherwise."""
    draft_engine: str | None
    """The folder of the engine that guesses for requests of the mode "draft"; None: none."""
    iter_stats_max_iterations: int
    """Iterations that stats() keeps."""
    profile: bool
    """Record each stage's times for stats(); costs about 0.1 us per stage."""
    trace: bool
    """Record every stage's values in Result.trace (slow; for validation)."""

    def __init__(self) -> None:
        """The library's defaults."""

class BuildOptions:
    """Options of building an engine."""

    dtype: DType
    """Of weights and cache: "float32", "bfloat16" or "float16"."""
    quantization: Quantization
    """Quantization of the matrices to integers with scales: "none", "w8a16", "w4a16", "w8a8",
    "w4a8" (bits of the weights, bits of the activations). Tables, norms and biases stay
    floats."""
    group_size: int
    """For w4: inputs that share a scale: 32, 64 or 128; 0: 64."""
    zero_points: bool
    """For w4: a zero point for each scale, so that a group's range needn't be symmetric about 0."""
    head_quantization: str
    """Of matrices that give logits: "none", "w8a16" or "w8a8"; empty: as of all."""
    exclude_modules: list[str]
    """With a quantization: names of matrices that stay floats of dtype; * stands for any
    characters."""
    wide_heads: bool | None
    """Matrices that give logits stay floats of dtype; None: as the family says."""
    max_batch_size: int
    """Requests in flight; 0: 8."""
    max_seq_len: int
    """Decoder positions, including the context; 0: max_input_len plus the steps of the
    checkpoint's default max_frames."""
    max_input_len: int
    """Context rows; 0: 256, or the longest stored voice if longer."""
    max_encoder_input_len: int
    """Text tokens; 0: 512."""
    max_num_tokens: int
    """Rows of one Program in one launch; 0: 512, or more if the longest text, the longest
    context or two rows per request need more."""
    codec_dir: str | None
    """The checkpoint of a codec that becomes part of the engine; None: none."""
    overwrite: bool
    """Replace an existing engine."""

    def __init__(self) -> None:
        """The library's defaults."""

class GpuRows:
    """Rows of float32 in the memory of a GPU, where a request reads them."""

    def __init__(self, gpu: int, address: int, rows: int, cols: int, owner: object) -> None:
        """Dense float32 [rows, cols] from an address on, which exist as long as the owner."""

    @property
    def gpu(self) -> int:
        """The index of the GPU."""

    @property
    def address(self) -> int:
        """Of the first number."""

    @property
    def rows(self) -> int:
        """Their number."""

    @property
    def cols(self) -> int:
        """Numbers of each."""

class Request:
    """One utterance, as the library takes it."""

    text_ids: NDArray[np.int32]
    """Ids, used unchanged [text_len]."""
    text_features: NDArray[np.float32] | GpuRows
    """Rows before the encoder [text_len, dim]."""
    encoder_output: NDArray[np.float32] | GpuRows
    """Rows after the encoder [text_len, dim]."""
    context_codes: NDArray[np.int32]
    """Codec codes, with special columns [frames, codebooks]."""
    context_embeddings: NDArray[np.float32] | GpuRows
    """Rows as the decoder takes them [rows, dim]."""
    context_text_ids: NDArray[np.int32]
    """Ids of a text that describes the voice [context_text_len]."""
    voice: int | str | None
    """A stored voice, by index or name."""
    emotion: float | None
    """Instead of the voice's; of Chatterbox T3."""
    prompt_embeddings: NDArray[np.float32] | GpuRows
    """The whole prompt instead of a text and a context [rows, dim]."""
    unconditional_embeddings: NDArray[np.float32] | GpuRows
    """The unconditional branch's, with prompt_embeddings and guidance [rows, dim]."""
    flow: Flow | None
    """How flow matching makes a spectrogram."""
    noise: NDArray[np.float32] | GpuRows
    """Where an integration begins [frames, mel_bins]."""
    edit_mask: NDArray[np.int32]
    """1 for frames of the prompt that stay as they are, else 0 [frames]."""
    mel: NDArray[np.float32] | GpuRows
    """The spectrogram that a vocoder turns into sound [frames, mel_bins]."""
    codes: NDArray[np.int32]
    """Codes that a codec turns into sound [frames, codebooks]."""
    samples: NDArray[np.float32]
    """Samples that a codec turns into codes, at its sample rate."""
    return_audio: bool | None
    """Whether a spectrogram becomes sound."""
    return_spectrogram: bool | None
    """Whether the result has the spectrogram."""
    audio_start: int | None
    """The first frame that becomes sound."""
    cfg_scale: float | None
    """1: no guidance, one branch."""
    temperature: float | None
    """0: argmax after masks."""
    top_k: int | None
    """0: all."""
    top_p: float | None
    """Draws among the likeliest that sum to this."""
    min_p: float | None
    """Draws among those at least this likely, relative to the likeliest."""
    repetition_penalty: float | None
    """Divides or multiplies logits of seen ids; 1: none."""
    seed: int
    """Of this request's random numbers."""
    max_frames: int | None
    """Codec frames, of all chunks."""
    min_frames: int | None
    """Codec frames of each chunk before which end of speech is impossible."""
    use_default_prior: bool
    """True: the checkpoint's prior; false: prior."""
    prior: AttentionPrior | None
    """If use_default_prior is false: this prior, or none."""
    eos_method: EosMethod | None
    """How the end of speech is detected."""
    use_local_transformer: bool | None
    """False: independent heads."""
    maskgit: MaskGit | None
    """How a MaskGit local transformer unmasks."""
    tokens: TokenOptions | None
    """How a language model chooses its tokens."""
    block: BlockDiffusion | None
    """How the codes of a block are decided together."""
    speculation: Speculation | None
    """How ids are guessed and checked together; None: as the executor says."""
    shared_prefix: int
    """Of text_ids, the first so many are computed once for requests that begin with them."""
    score: bool
    """Whether ids are scored, and nothing is generated; of language models."""
    strict_end: bool
    """Whether min_frames forbids the end id itself where the checkpoint moved it."""
    text_chunks: NDArray[np.int32]
    """How many of text_ids each chunk of a long text has; empty: it is one [chunks]."""
    text_silences: NDArray[np.int32]
    """Samples of silence in front of each chunk, and behind the last [chunks + 1]."""
    text_history: int | None
    """How many ids of the chunks before a later chunk reads again at most; None: 20."""
    later_chunks: int
    """How many chunks come by Handle.add_text while the request runs."""
    context_text: str | None
    """A text that describes the voice, instead of context_text_ids."""
    text_voices: list[int | str | None]
    """The voice of each chunk; None: the context of the request."""
    forced_codes: NDArray[np.int32]
    """Codes that are taken instead of the sampled ones [frames, codebooks]."""
    return_alignment: bool
    """Whether the result has the alignment."""
    return_positions: bool
    """Whether result and events have text_positions."""
    analyze_alignment: bool | None
    """Whether the alignment forbids and forces the end of speech; of Chatterbox T3."""
    mask_invalid: bool
    """Whether only speech tokens and the end of speech may be drawn; of Chatterbox T3."""
    stop_after_equal: int | None
    """So many equal steps in a row end speech; absent: none do."""
    chunk_frames: int
    """Streaming: least number of frames in one event."""
    initial_chunk_frames: int | None
    """The same of the first event; None: chunk_frames."""
    codes_only: bool
    """Whether the result of a model that has a codec has no audio."""
    priority: int
    """Larger values start first, and may pause smaller ones."""
    deadline: float | None
    """Seconds from submit."""

    def __init__(self) -> None:
        """Nothing is set but the library's defaults."""

def is_voice_name(name: str) -> bool:
    """Whether a voice may have this name: 1 to 64 letters of any script, digits, _, - and dots."""

class Metrics:
    """Times of one request, in seconds."""

    @property
    def queue_seconds(self) -> float:
        """Submit until it gets a slot."""

    @property
    def first_frame_seconds(self) -> float:
        """Submit to the first frame."""

    @property
    def first_audio_seconds(self) -> float:
        """Submit to the first samples; 0: there were none."""

    @property
    def total_seconds(self) -> float:
        """Submit to the end."""

    @property
    def frames_per_second(self) -> float:
        """Frames / total_seconds."""

    @property
    def x_real_time(self) -> float:
        """Seconds of audio per second: frames_per_second / frame rate."""

    @property
    def rtf(self) -> float:
        """Total_seconds per second of audio; 0 without frames."""

    @property
    def steps(self) -> int:
        """Decoder steps."""

    @property
    def speculation(self) -> SpeculationStats:
        """Of a request that speculates."""

class TraceEntry:
    """Values of one stage of one step."""

    @property
    def name(self) -> str:
        """The stage: "encoder_out", "decoder.hidden" and so on."""

    @property
    def step(self) -> int:
        """Decoder step; 0 for encoders."""

    @property
    def values(self) -> NDArray[np.float32]:
        """Float32 [rows, columns]."""

class Event:
    """A part of a result."""

    @property
    def codes(self) -> NDArray[np.int32]:
        """Int32 [new frames, codebooks]."""

    @property
    def first_frame(self) -> int:
        """Index of the first of these frames in the result."""

    @property
    def is_last(self) -> bool:
        """Whether the request ends with this event."""

    @property
    def finish_reason(self) -> FinishReason:
        """Why the request ended, in the last event."""

    @property
    def audio(self) -> NDArray[np.float32]:
        """New samples, of models that end in sound."""

    @property
    def spectrogram(self) -> NDArray[np.float32]:
        """New rows of a spectrogram."""

    @property
    def text_positions(self) -> NDArray[np.int32]:
        """Int32 [new steps], if they were requested."""

    @property
    def chunk_steps(self) -> NDArray[np.int32]:
        """Int32: decoder steps of each chunk that has ended since the event before."""

    @property
    def chunk_frames(self) -> NDArray[np.int32]:
        """Int32: codec frames of each of these chunks."""

    @property
    def logprobs(self) -> NDArray[np.float32]:
        """Float32 [steps]: of the id that each step drew, if requested."""

    @property
    def top_ids(self) -> NDArray[np.int32]:
        """Int32 [steps, asked]: the likeliest ids of each step."""

    @property
    def top_logprobs(self) -> NDArray[np.float32]:
        """Float32 [steps, asked]: of these ids."""

    @property
    def stop_id(self) -> int | None:
        """The id that ended the request."""

class Result:
    """Everything that a request made."""

    @property
    def codes(self) -> NDArray[np.int32]:
        """Int32 [frames, codebooks]."""

    @property
    def finish_reason(self) -> FinishReason:
        """ "stop", "length", "cancelled", "deadline" or "error"."""

    @property
    def error(self) -> str:
        """The message if finish_reason is error."""

    @property
    def alignment(self) -> NDArray[np.float32]:
        """Float32 [steps, text_len], if it was requested."""

    @property
    def focus(self) -> NDArray[np.int32]:
        """Int32 [steps]: text position in focus after each step; empty without a prior."""

    @property
    def text_positions(self) -> NDArray[np.int32]:
        """Int32 [steps]: the index in text_ids with the largest alignment, if requested."""

    @property
    def chunk_steps(self) -> NDArray[np.int32]:
        """Int32 [chunks]: decoder steps of each chunk that has begun."""

    @property
    def chunk_offsets(self) -> NDArray[np.int32]:
        """Int32 [chunks]: the index in text_ids at which the chunk's window begins."""

    @property
    def chunk_frames(self) -> NDArray[np.int32]:
        """Int32 [chunks]: codec frames of each of these chunks."""

    @property
    def chunk_silences(self) -> NDArray[np.int32]:
        """Int32: samples of silence in front of each of these chunks, and behind the last."""

    @property
    def metrics(self) -> Metrics:
        """Times."""

    @property
    def nll(self) -> NDArray[np.float32]:
        """Float32 [ids - 1]: negative logarithms of probabilities, of scored ids."""

    @property
    def audio(self) -> NDArray[np.float32]:
        """Samples, of models that end in sound."""

    @property
    def spectrogram(self) -> NDArray[np.float32]:
        """Float32 [frames, mel_bins], of models that end in a spectrogram."""

    @property
    def sample_rate(self) -> int:
        """Of audio, in Hz; 0: the model makes no sound."""

    @property
    def trace(self) -> list[TraceEntry]:
        """Values of every stage, with ExecutorOptions.trace."""

    @property
    def logprobs(self) -> NDArray[np.float32]:
        """Float32 [steps]: of the id that each step drew, if requested."""

    @property
    def top_ids(self) -> NDArray[np.int32]:
        """Int32 [steps, asked]: the likeliest ids of each step."""

    @property
    def top_logprobs(self) -> NDArray[np.float32]:
        """Float32 [steps, asked]: of these ids."""

    @property
    def stop_id(self) -> int | None:
        """The id that ended the request."""

class EngineInfo:
    """The numbers of an engine that callers need for their requests."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def family(self) -> str:
        """The kind of model: "magpie", "t3", "llm", "f5", "vocos", "nanocodec"."""

    @property
    def dtype(self) -> DType:
        """Of the weights that are not quantized."""

    @property
    def quantization(self) -> Quantization:
        """Quantization of the matrices."""

    @property
    def group_size(self) -> int:
        """Inputs that share a scale; 0: no groups."""

    @property
    def dim(self) -> int:
        """Width of the decoder."""

    @property
    def codebooks(self) -> int:
        """Codes of one codec frame."""

    @property
    def codebook_vocab(self) -> int:
        """Ids of one codebook, special ids included."""

    @property
    def frame_stacking(self) -> int:
        """Codec frames of one decoder step."""

    @property
    def text_vocab(self) -> int:
        """Ids of the text table."""

    @property
    def frame_rate(self) -> float:
        """Codec frames per second of audio."""

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids with a meaning of their own, by name: audio_eos, text_eos and so on; which there
        are depends on the family."""

    @property
    def forbidden_ids(self) -> list[int]:
        """Codes that are never sampled."""

    @property
    def eos_id(self) -> int:
        """The code that ends the speech."""

    @property
    def codec(self) -> str | None:
        """The codec as the checkpoint names it; None where it names none."""

    @property
    def sample_rate(self) -> int | None:
        """Of the codec's audio, in Hz; None where the checkpoint does not say it."""

    @property
    def has_vocoder(self) -> bool:
        """Whether results have audio."""

    @property
    def samples_per_frame(self) -> int:
        """Samples that a codec frame becomes; 0: there is no codec."""

    @property
    def has_encoder(self) -> bool:
        """A codec: whether it makes codes of samples."""

    @property
    def mel_bins(self) -> int:
        """Columns of spectrograms; 0: the model has none."""

    @property
    def default_prior(self) -> AttentionPrior | None:
        """The checkpoint's attention prior; None where it has none."""

    @property
    def max_batch_size(self) -> int:
        """Most requests in flight."""

    @property
    def max_seq_len(self) -> int:
        """Most decoder positions, context included."""

    @property
    def max_input_len(self) -> int:
        """Most context rows."""

    @property
    def max_encoder_input_len(self) -> int:
        """Most text tokens."""

    @property
    def max_num_tokens(self) -> int:
        """Most rows of one Program in one launch."""

    @property
    def num_voices(self) -> int:
        """Voices stored in the engine."""

    @property
    def voice_names(self) -> list[str]:
        """Their names, sorted."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors."""

class EngineTensor:
    """One stored tensor, for inspection."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dtype(self) -> str:
        """Its type: "float32", "int8" and so on."""

    @property
    def shape(self) -> list[int]:
        """As stored, padding included."""

    @property
    def layout(self) -> str:
        """ "dense", "panel16", or "panel16_w8a16" and the like."""

    @property
    def bytes(self) -> int:
        """Its size."""

    @property
    def sha256(self) -> str:
        """The hash of its bytes that the build recorded."""

class Engine:
    """An opened engine; copies share it. Thread safe."""

    @staticmethod
    def open(path: _Path) -> Engine:
        """Reads the folder's descriptions; executors read its weights. Raises FormatError naming
        the file and what is wrong with it."""

    @property
    def info(self) -> EngineInfo:
        """What callers must know for their requests."""

    @property
    def path(self) -> str:
        """The engine's folder."""

    @property
    def description(self) -> str:
        """engine.json, as text."""

    @property
    def front_end(self) -> TextFrontEnd | None:
        """What turns text into ids for this engine; None if it carries nothing of the kind, or
        something that only Python knows."""

    def tensors(self) -> list[EngineTensor]:
        """Every stored tensor, in the order of the file."""

    def verify(self) -> None:
        """Compares every weight with its recorded hash. Raises FormatError naming the first that
        differs."""

class TensorDescription:
    """A tensor that a checkpoint holds."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def component(self) -> str:
        """The part of the model it belongs to: "decoder", ..."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def role(self) -> str:
        """Table, vector, matrix, convolution, transposed, heads, data or unused."""

    @property
    def shape(self) -> list[int]:
        """-1: a size that the configuration doesn't fix."""

    @property
    def dtypes(self) -> list[str]:
        """The types that it may have."""

def describe_manifest(config: str) -> list[TensorDescription]:
    """Every tensor that a checkpoint with this config.json holds, in the order of the file.
    Raises FormatError."""

class MemoryOptions:
    """Limits to plan memory for."""

    device: str
    """As ExecutorOptions.device."""
    num_threads: int
    """As ExecutorOptions.num_threads."""
    max_batch_size: int
    """Requests in flight; 0: the engine's."""
    max_seq_len: int
    """Decoder positions; 0: the engine's."""
    kv_cache_dtype: str
    """As ExecutorOptions.kv_cache_dtype."""
    preempt: Preempt
    """As ExecutorOptions.preempt."""
    max_paused_requests: int
    """As ExecutorOptions.max_paused_requests."""
    max_num_tokens: int
    """Rows of one Program in one launch; 0: the engine's."""
    max_tokens_in_paged_kv_cache: int
    """As ExecutorOptions.max_tokens_in_paged_kv_cache."""
    kv_cache_free_gpu_mem_fraction: float | None
    """As in ExecutorOptions: on a GPU, of the memory that is free there now."""
    speculation: Speculation
    """As ExecutorOptions.speculation."""
    draft_engine: str | None
    """As ExecutorOptions.draft_engine."""

    def __init__(self) -> None:
        """The library's defaults."""

class ReplicaMemory:
    """Bytes of one replica."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def device(self) -> Device:
        """The device."""

    @property
    def kv_cache(self) -> int:
        """Self-attention."""

    @property
    def cross_memory(self) -> int:
        """Cross-attention."""

    @property
    def slots(self) -> int:
        """Everything else that a request keeps."""

    @property
    def activations(self) -> int:
        """Activations of all Programs."""

    @property
    def scratch(self) -> int:
        """Packed inputs and what threads need beside activations."""

    @property
    def weights(self) -> int:
        """Of its own copy on a GPU; 0: it reads those of the host."""

    @property
    def free(self) -> int:
        """Of the GPU's memory, while this was planned; 0: the device is the CPU."""

    @property
    def cache_tokens(self) -> int:
        """Positions of its paged cache."""

class MemoryPlan:
    """Bytes for one choice of limits; sums over the replicas, while the limits are of each."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def max_batch_size(self) -> int:
        """Requests in flight."""

    @property
    def max_seq_len(self) -> int:
        """Decoder positions of each."""

    @property
    def kv_cache_dtype(self) -> CacheDType:
        """Type of keys and values."""

    @property
    def max_paused_requests(self) -> int:
        """Requests that may be paused besides; 0 without preemption."""

    @property
    def max_num_tokens(self) -> int:
        """Rows of one Program in one launch."""

    @property
    def cache_tokens(self) -> int:
        """Positions of the paged cache."""

    @property
    def weights(self) -> int:
        """The copies that GPUs keep, and the engine's file once if a replica reads it on the
        host."""

    @property
    def kv_cache(self) -> int:
        """Self-attention: two branches and a shared prefix per request, paused ones included."""

    @property
    def cross_memory(self) -> int:
        """Cross-attention: keys and values of texts and contexts."""

    @property
    def slots(self) -> int:
        """Everything else that a request keeps."""

    @property
    def activations(self) -> int:
        """Activations of all Programs."""

    @property
    def scratch(self) -> int:
        """Packed inputs and what threads need beside activations."""

    @property
    def is_served(self) -> bool:
        """Whether this engine, as it was built, can be opened so."""

    @property
    def replicas(self) -> list[ReplicaMemory]:
        """What each replica takes, in the order of MemoryOptions.device."""

def plan_memory(engine: Engine, options: MemoryOptions) -> MemoryPlan:
    """What an executor with these limits takes, to the byte. Raises ConfigError for limits that
    no engine of this checkpoint could be built for."""

class FolderWriter:
    """Writes a folder that appears under its name only when it is complete."""

    def __init__(
        self,
        output_dir: str | bytes,
        *,
        noun: str,
        format: str,
        description: str,
        others: list[str],
        overwrite: bool,
        folders: list[str] = [],
    ) -> None:
        """Decides everything before the work starts, locks the target and makes a temporary
        folder."""

    @property
    def folder(self) -> str:
        """Where the files are to be written."""

    @property
    def target(self) -> str:
        """Where they will be: absolute, links followed."""

    def publish(self) -> None:
        """Moves the files to the target."""

    def close(self) -> None:
        """Removes what was not published, and releases the lock."""

def build(
    checkpoint_dir: _Path,
    output_dir: _Path,
    options: BuildOptions,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Packs a checkpoint into an engine; progress(done, total, name) is called as tensors are
    packed."""

class PlanOptions:
    """Options of building plans of TensorRT."""

    device: int
    """The GPU that runs the plans: its index."""
    tensorrt: int
    """Major version: 8, 10 or 11; 0: the newest that is installed."""
    builder_opt: int
    """TensorRT's optimization level, 0 to 5."""
    opt_num_tokens: int
    """Rows for which kernels of launches that aren't steps are chosen; 0: 128, of flows 2048."""
    products: str
    """The layer that products are: "matrix" or "convolution"."""
    workspace_mib: int
    """Memory that a kernel may ask for; 0: no limit."""
    enable_debug_output: bool
    """Plans that give what a trace keeps, too."""
    input_timing_cache: str
    """A file with times of kernels; empty: none."""
    output_timing_cache: str
    """Where the times are written, old and new; empty: nowhere."""
    overwrite: bool
    """Replace plans that are there."""

    def __init__(self) -> None:
        """The library's defaults."""

def build_plans(
    engine_dir: _Path,
    options: PlanOptions,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Builds an engine's plans of TensorRT; progress(done, total, name) is called after each."""

class Handle:
    """One request in flight."""

    def next(self, timeout: float | None = None) -> tuple[Event | None, bool]:
        """The next event, or None after the last; and whether the wait ended for lack of time."""

    def result(self, timeout: float | None = None) -> Result | None:
        """The whole result, or None if the time is up."""

    def cancel(self) -> None:
        """Asks for the end of the request; idempotent."""

    def add_text(self, text_ids: ArrayLike) -> None:
        """Gives the ids of the next of the later chunks."""

    def fail_text(self, why: str) -> None:
        """Says that the rest of the text can't come."""

    @property
    def is_done(self) -> bool:
        """Whether the request has ended."""

    @property
    def id(self) -> int:
        """The request's number, unique in its executor."""

class Selector:
    """Waits for many requests at once."""

    def __init__(self) -> None:
        """Watches nothing yet."""

    def add(self, handle: Handle, key: int, until_end: bool = False) -> None:
        """Watches a request under a key: for what it has to take, or only for its end."""

    def remove(self, handle: Handle, key: int) -> None:
        """Stops watching a request under a key."""

    def select(self) -> list[int]:
        """Waits until a watched request has something to take, or for wake(); the keys."""

    def wake(self) -> None:
        """Ends the wait of select()."""

class KvCacheStats:
    """The paged self-attention cache."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def max_num_blocks(self) -> int:
        """Blocks that the cache has."""

    @property
    def free_num_blocks(self) -> int:
        """Blocks that nobody uses."""

    @property
    def used_num_blocks(self) -> int:
        """By requests in flight, and by prefixes kept for later ones."""

    @property
    def tokens_per_block(self) -> int:
        """Positions of one block."""

    @property
    def alloc_total_blocks(self) -> int:
        """Allocated since the start, new or shared."""

    @property
    def alloc_new_blocks(self) -> int:
        """Of these, new blocks."""

    @property
    def reused_blocks(self) -> int:
        """Of these, blocks shared with a prefix."""

class SpeculationStats:
    """What speculation did."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def rounds(self) -> int:
        """Launches of requests that speculate, with or without guesses."""

    @property
    def tokens(self) -> int:
        """Ids that the rounds gave."""

    @property
    def drafted(self) -> int:
        """Ids that were guessed and checked."""

    @property
    def accepted(self) -> int:
        """Of these, ids that the model picked."""

    @property
    def drafted_at(self) -> list[int]:
        """Guessed ids by their place in the round."""

    @property
    def accepted_at(self) -> list[int]:
        """Of these, ids that the model picked."""

    @property
    def draft_seconds(self) -> float:
        """That guessing took."""

    @property
    def faults(self) -> int:
        """Requests for which a draft engine gave numbers that are not finite."""

    @property
    def tokens_per_round(self) -> float:
        """Tokens / rounds; 0 without rounds."""

class InflightBatchingStats:
    """The contents of the iteration's launch."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def num_scheduled_requests(self) -> int:
        """Requests with rows in the launch."""

    @property
    def num_context_requests(self) -> int:
        """Of these, in encoders or prefill."""

    @property
    def num_gen_requests(self) -> int:
        """Of these, decoding."""

    @property
    def num_paused_requests(self) -> int:
        """In flight, but not scheduled."""

    @property
    def num_ctx_tokens(self) -> int:
        """Rows of encoders and prefill."""

class IterationStats:
    """One iteration of the loop: plan, launch, commit."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def timestamp(self) -> float:
        """Seconds since 1970, at its end."""

    @property
    def iter(self) -> int:
        """Counts from 1, over all replicas."""

    @property
    def replica(self) -> int:
        """Index in ExecutorStats.replicas of the one that ran it."""

    @property
    def iter_latency_ms(self) -> float:
        """Milliseconds of the iteration."""

    @property
    def device_latency_ms(self) -> float:
        """Milliseconds that its launches took on the device; 0 where none is told."""

    @property
    def new_active_requests_queue_latency_ms(self) -> float:
        """Sum over requests taken from the queue."""

    @property
    def num_new_active_requests(self) -> int:
        """Requests taken from the queue."""

    @property
    def num_active_requests(self) -> int:
        """Requests in flight on the replica."""

    @property
    def num_queued_requests(self) -> int:
        """Requests that wait."""

    @property
    def num_completed_requests(self) -> int:
        """Ended in this iteration, for any reason."""

    @property
    def num_frames(self) -> int:
        """Codec frames produced."""

    @property
    def num_threads(self) -> int:
        """Threads of the CPU that its launches ran on; 0 on other devices. Fewer than the device
        has where the system runs something else on their cores."""

    @property
    def kv_cache_stats(self) -> KvCacheStats:
        """The replica's cache at its end."""

    @property
    def inflight_batching_stats(self) -> InflightBatchingStats:
        """The contents of its launch."""

class RequestStats:
    """One request in flight or waiting, as of the last iteration."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def id(self) -> int:
        """The request's number, as Handle.id."""

    @property
    def stage(self) -> str:
        """ "queued", "encoder_in_progress", "context_in_progress" or "generation_in_progress"."""

    @property
    def context_prefill_position(self) -> int:
        """Context rows in the cache."""

    @property
    def num_generated_tokens(self) -> int:
        """Codes: frames times codebooks."""

    @property
    def scheduled(self) -> bool:
        """Whether the last launch included it."""

    @property
    def paused(self) -> bool:
        """In flight, but not in the last launch."""

    @property
    def replica(self) -> int:
        """Index in ExecutorStats.replicas; -1: the request waits."""

class StageTimes:
    """The time that launches spent in one stage."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def program(self) -> str:
        """Name of the Program: "encode_text", "decode"."""

    @property
    def stage(self) -> str:
        """The stage, such as "linear 2304 x 768 bfloat16"."""

    @property
    def runs(self) -> int:
        """Since the start."""

    @property
    def seconds(self) -> float:
        """Mean over threads, including the wait for the last thread."""

    @property
    def busy_seconds(self) -> float:
        """Of these, inside kernels."""

    @property
    def replica(self) -> int:
        """Index in ExecutorStats.replicas."""

class ReplicaStats:
    """One replica: a network on one device with a loop of its own."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def device(self) -> Device:
        """Its device."""

    @property
    def description(self) -> str:
        """As ExecutorInfo.description."""

    @property
    def num_active_requests(self) -> int:
        """Requests in flight, paused ones included."""

    @property
    def num_preempted_requests(self) -> int:
        """Of these, paused for a larger priority."""

    @property
    def max_num_active_requests(self) -> int:
        """Most requests in flight at once."""

    @property
    def num_iterations(self) -> int:
        """Iterations of its loop."""

    @property
    def num_frames(self) -> int:
        """Codec frames produced."""

    @property
    def num_threads(self) -> int:
        """As IterationStats.num_threads, of its latest iteration."""

    @property
    def kv_cache_stats(self) -> KvCacheStats:
        """Its cache."""

    @property
    def failure(self) -> str:
        """Why its device has failed; empty: it works."""

class ExecutorStats:
    """Counters since the start, and the requests in flight; sums over all replicas, failed ones
    included."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def num_submitted(self) -> int:
        """Requests that were accepted."""

    @property
    def num_completed(self) -> int:
        """Requests that ended whole: "stop" or "length"."""

    @property
    def num_failed(self) -> int:
        """Requests that ended with "error"."""

    @property
    def num_cancelled(self) -> int:
        """By callers, by close() or by their deadline."""

    @property
    def num_refused(self) -> int:
        """Submissions refused because the queue was full."""

    @property
    def num_iterations(self) -> int:
        """Iterations of the loop."""

    @property
    def num_frames(self) -> int:
        """Codec frames produced."""

    @property
    def iteration_seconds(self) -> float:
        """Sum over iterations."""

    @property
    def num_active_requests(self) -> int:
        """Requests in flight."""

    @property
    def num_queued_requests(self) -> int:
        """Requests that wait."""

    @property
    def num_preempted_requests(self) -> int:
        """Of those in flight, paused for a larger priority."""

    @property
    def num_preemptions(self) -> int:
        """Times that a request was paused for a larger priority."""

    @property
    def max_num_active_requests(self) -> int:
        """Most requests in flight at once: the limit of the executor."""

    @property
    def kv_cache_stats(self) -> KvCacheStats:
        """The cache."""

    @property
    def speculation(self) -> SpeculationStats:
        """Of all requests that speculated."""

    @property
    def num_voices(self) -> int:
        """Named voices, of the engine and added ones."""

    @property
    def voice_bytes(self) -> int:
        """Of the added voices."""

    @property
    def iterations(self) -> list[IterationStats]:
        """The latest iterations, oldest first; at most
        ExecutorOptions.iter_stats_max_iterations."""

    @property
    def requests(self) -> list[RequestStats]:
        """Requests in flight, replica by replica and oldest first, then waiting requests in
        order of arrival."""

    @property
    def stages(self) -> list[StageTimes]:
        """Stages in the order of their first runs in a program; empty without
        ExecutorOptions.profile and on devices that do not record times."""

    @property
    def replicas(self) -> list[ReplicaStats]:
        """In the order of ExecutorOptions.device; one where it names one device."""

class ReplicaInfo:
    """The device and the memory of one replica."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def device(self) -> Device:
        """Its device."""

    @property
    def description(self) -> str:
        """Instruction set, threads."""

    @property
    def weight_bytes(self) -> int:
        """Of its own copy on a GPU; 0: it reads those of the host."""

    @property
    def state_bytes(self) -> int:
        """Caches and slots."""

    @property
    def activation_bytes(self) -> int:
        """Activations of all Programs."""

    @property
    def scratch_bytes(self) -> int:
        """Packed inputs and what threads need beside activations."""

    @property
    def cache_tokens(self) -> int:
        """Positions of its paged cache."""

    @property
    def graph_bytes(self) -> int:
        """What CUDA took for the graphs of the launches and the code of the kernels, as measured
        while the replica started; others that used the GPU meanwhile change the number. 0:
        the device is the CPU."""

    @property
    def free_bytes(self) -> int:
        """Of the GPU's memory, once the replica had started; 0: the device is the CPU."""

class ExecutorInfo:
    """The devices and the memory of an executor; sums over its replicas."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def device(self) -> Device:
        """The chosen device if the option was "auto"; "cpu,cpu" for two."""

    @property
    def description(self) -> str:
        """Instruction set, threads; of each replica."""

    @property
    def kv_cache_dtype(self) -> CacheDType:
        """Type of keys and values."""

    @property
    def max_batch_size(self) -> int:
        """Most requests in flight."""

    @property
    def max_paused_requests(self) -> int:
        """Most requests that may be paused at once."""

    @property
    def weight_bytes(self) -> int:
        """Of the copies that GPUs keep, and of the engine's file once if a replica reads it on
        the host."""

    @property
    def scratch_bytes(self) -> int:
        """Packed inputs and what threads need beside activations."""

    @property
    def state_bytes(self) -> int:
        """Caches and slots."""

    @property
    def activation_bytes(self) -> int:
        """Activations of all Programs."""

    @property
    def cache_tokens(self) -> int:
        """Positions of the paged cache."""

    @property
    def graph_bytes(self) -> int:
        """As in ReplicaInfo."""

    @property
    def replicas(self) -> list[ReplicaInfo]:
        """In the order of ExecutorOptions.device."""

class Executor:
    """Runs requests, many at once. Thread safe."""

    def __init__(self, engine: Engine, options: ExecutorOptions) -> None:
        """Opens the device."""

    def submit(self, request: Request) -> Handle:
        """Checks the request and queues it. Raises ConfigError, CapacityError, ClosedError."""

    def add_voice(self, name: str, embeddings: NDArray[np.float32]) -> None:
        """Names a voice: rows as the decoder takes them [rows, dim]."""

    def add_voice_codes(self, name: str, codes: NDArray[np.int32]) -> None:
        """Names a voice: codec codes [frames, codebooks]."""

    def add_voice_speaker(
        self,
        name: str,
        embedding: NDArray[np.float32],
        prompt_codes: NDArray[np.int32],
        emotion: float | None,
        prompt_spectrogram: NDArray[np.float32] | None = None,
        sound: tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32] | None]
        | None = None,
    ) -> None:
        """Names a voice that is made of a speaker embedding [speaker_dim], speech tokens [tokens]
        and, for models that make sound of tokens, their spectrogram [frames, mel_bins]. `sound`
        has these three for what makes sound of the codes that the model draws: (embedding, codes,
        spectrogram or None)."""

    def voice_embeddings(self, voice: int | str) -> NDArray[np.float32]:
        """The rows of a voice as the decoder takes them [rows, dim]."""

    def remove_voice(self, name: str) -> None:
        """Removes a voice; requests that use it go on."""

    def voices(self) -> list[str]:
        """The names of all voices, sorted."""

    def stats(self) -> ExecutorStats:
        """Counters and the requests in flight."""

    @property
    def info(self) -> ExecutorInfo:
        """The device and the memory of the executor."""

    @property
    def engine(self) -> Engine:
        """The engine that runs."""

    def close(self, drain: bool = False) -> None:
        """Accepts no more requests and waits for the executor to end. Accepted requests are
        finished with `drain`, otherwise cancelled. Idempotent."""

class MachinePeaks:
    """The peak figures of a device."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, nested, as json.dumps takes them."""

    @property
    def isa(self) -> str:
        """Instruction set, such as "avx512_bf16"."""

    @property
    def num_threads(self) -> int:
        """The threads that were measured."""

    @property
    def read_gb_per_s(self) -> float:
        """From memory, as measure_read; 1 GB is 1e9 bytes."""

    @property
    def cached_gb_per_s(self) -> float:
        """From the shared cache: measure_read of 16 MiB."""

    @property
    def float32_gflop_per_s(self) -> float:
        """A multiply-add counts 2."""

    @property
    def bfloat16_gflop_per_s(self) -> float:
        """Products of bfloat16, sums in float32."""

    @property
    def int8_gop_per_s(self) -> float:
        """Products of int8, sums in int32."""

def measure_peaks(device: str = "cpu", num_threads: int = 0, seconds: float = 1.0) -> MachinePeaks:
    """Measures them for about so many seconds; nothing else should run."""

def measure_read(
    device: str = "cpu", num_threads: int = 0, bytes: int = 0, seconds: float = 0.25
) -> float:
    """GB/s of reading so many bytes again and again; 0: beyond all caches."""

def measure_barrier(device: str = "cpu", num_threads: int = 0, seconds: float = 0.1) -> float:
    """Seconds that all threads take to wait for each other once."""

class OpBenchOptions:
    """One operation at one shape."""

    family: str
    """One of op_bench_families()."""
    device: str
    """As in ExecutorOptions."""
    num_threads: int
    """As in ExecutorOptions."""
    rows: int
    """Rows, or requests, of one op."""
    outputs: int
    """Outputs of a product, N."""
    inputs: int
    """Inputs of a product, K."""
    heads: int
    """Heads of attention."""
    head_dim: int
    """Width of a head."""
    length: int
    """Positions of a cache or a text."""
    layers: int
    """Layers of a local transformer."""
    codebooks: int
    """Codes of one draw."""
    vocab: int
    """Ids of one code."""
    dtype: str
    """Of weights: "float32", "bfloat16", "float16"."""
    cache_dtype: str
    """Of keys and values: the same, or "int8"."""
    quantization: str
    """Of the weights, as BuildOptions.quantization."""
    group_size: int
    """As BuildOptions.group_size."""
    resident: bool
    """Whether all ops use the same weight or cache, which then stays in the processor's caches.
    If not, each op of an iteration has its own, and together they are larger than all caches
    (with at most 256 ops, 64 layers of cross-attention and 4e9 operations)."""

    def __init__(self) -> None:
        """The library's defaults."""

class LayerValues:
    """Values of one buffer of a layer."""

    @property
    def name(self) -> str:
        """The name, such as "attn_in"."""

class LlmLayer:
    """One layer of a language model by itself, in float32. Not thread safe."""

    def __init__(
        self, stack: str, max_rows: int, device: str = "cpu", num_threads: int = 0
    ) -> None:
        """Takes the object "decoder" of a language model's config.json, as JSON."""

    def weights(self) -> list[str]:
        """Names of the weights that set() takes."""

    def set(self, name: str, values: ArrayLike) -> None:
        """Replaces a weight: float32 [outputs, inputs], or [1, size]."""

    def run(self, part: str, rows: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Runs a part over the rows of one text; float32 arrays by name."""

def op_bench_families() -> list[str]:
    """The families of operations."""

class OpBench:
    """Runs one operation on random data, many times."""

    def __init__(self, options: OpBenchOptions) -> None:
        """Creates weights, caches and their contents."""

    def run(self, iterations: int) -> float:
        """Seconds that so many iterations took together."""

    def check(self) -> float:
        """Largest relative difference to the reference; 1 if codes differ."""

    @property
    def num_ops(self) -> int:
        """Ops per iteration."""

    @property
    def bytes(self) -> int:
        """Bytes that an op reads and writes: weights, caches, rows."""

    @property
    def operations(self) -> int:
        """Arithmetic operations of an op; a multiply-add counts 2."""

    @property
    def description(self) -> str:
        """Of the device: instruction set, threads."""
